import { linearize, type SequentialObject, type Verdict } from "./linearizability.js";
import { describeOperation, type Operation } from "./operations.js";

/** A lease and the row that its holders write, as one caller at a time sees them. */
interface LeaseState {
  readonly holder: string | null;
  readonly term: number;
  /** The lease ends in this span of the store's time; a point, unless its last renewal was never answered. */
  readonly endsFrom: number;
  readonly endsBy: number;
  /** The store's time is known to be this, or later. */
  readonly at: number;
  readonly value: string;
}

/** The lease by which every operation is judged; the store's time only goes on. */
const lease: SequentialObject<LeaseState, Operation> = {
  initial: { holder: null, term: 0, endsFrom: 0, endsBy: 0, at: 0, value: "" },
  key: (state) => JSON.stringify(Object.values(state)),
  apply: (state, operation) => {
    const { call, result } = operation;
    switch (call.kind) {
      case "acquire":
        return applyAcquire(state, call, result);
      case "renew":
        return applyRenew(state, call, result);
      case "release":
        if (result.kind === "refused") return holds(state, call) ? undefined : state;
        return holds(state, call) ? { ...state, holder: null } : undefined;
      case "write":
        if (result.kind === "fenced") return holds(state, call) ? undefined : state;
        return holds(state, call) ? { ...state, value: call.value } : undefined;
      case "enqueue":
        if (result.kind === "unknown") return undefined;
        return (result.kind === "fenced") === holds(state, call) ? undefined : state;
      case "read":
        return result.kind === "value" && result.value === state.value ? state : undefined;
      default:
        return state;
    }
  },
};

type CallOf<Kind> = Extract<Operation["call"], { kind: Kind }>;

function holds(state: LeaseState, { holder, term }: { holder: string; term: number }): boolean {
  return state.holder === holder && state.term === term;
}

function applyAcquire(
  state: LeaseState,
  { holder, ttlMs }: CallOf<"acquire">,
  result: Operation["result"],
): LeaseState | undefined {
  if (result.kind === "refused") {
    return state.holder !== null && state.holder !== holder && state.at < state.endsBy ? state : undefined;
  }
  if (result.kind === "unknown") {
    const at = state.holder === null ? state.at : Math.max(state.at, state.endsFrom);
    return {
      ...state,
      holder,
      term: state.term + 1,
      endsFrom: at + ttlMs,
      endsBy: Number.POSITIVE_INFINITY,
      at,
    };
  }
  if (result.kind !== "lease") return undefined;
  const at = result.expiresAt - ttlMs;
  if (at < state.at) return undefined;
  const keeps = state.holder === holder && at < state.endsBy && result.term === state.term;
  const takes = (state.holder === null || state.endsFrom <= at) && result.term === state.term + 1;
  if (!keeps && !takes) return undefined;
  return { ...state, holder, term: result.term, endsFrom: result.expiresAt, endsBy: result.expiresAt, at };
}

function applyRenew(
  state: LeaseState,
  call: CallOf<"renew">,
  result: Operation["result"],
): LeaseState | undefined {
  if (result.kind === "refused") {
    if (!holds(state, call)) return state;
    // It had ended by the store's time.
    return { ...state, at: Math.max(state.at, state.endsFrom) };
  }
  if (!holds(state, call) || state.at >= state.endsBy) return undefined;
  if (result.kind === "unknown") {
    return { ...state, endsFrom: state.at + call.ttlMs, endsBy: Number.POSITIVE_INFINITY };
  }
  if (result.kind !== "lease" || result.term !== state.term) return undefined;
  const at = result.expiresAt - call.ttlMs;
  if (at < state.at || at >= state.endsBy) return undefined;
  return { ...state, endsFrom: result.expiresAt, endsBy: result.expiresAt, at };
}

const leaseCalls = new Set(["acquire", "renew", "release", "write", "enqueue", "read"]);

/** Whether some order of the calls about the lease explains all their answers. */
export function linearizeLease(history: readonly Operation[]): Verdict<Operation> {
  return linearize(
    history.filter(({ call }) => leaseCalls.has(call.kind)),
    lease,
  );
}

/** What a history shows that no lease may do, in words; empty where there is nothing. */
export function findLeaseViolations(history: readonly Operation[]): string[] {
  const violations: string[] = [];
  const holders = new Map<number, Operation>();
  for (const operation of history) {
    const { call, result } = operation;
    if (call.kind !== "acquire" || result.kind !== "lease") continue;
    const known = holders.get(result.term);
    const knownHolder = known?.call.kind === "acquire" ? known.call.holder : call.holder;
    if (known !== undefined && knownHolder !== call.holder) {
      violations.push(
        `number ${result.term} has two holders: ${describeOperation(known)} and ${describeOperation(operation)}`,
      );
    }
    if (known === undefined || operation.end < known.end) holders.set(result.term, operation);
  }

  // From here on, by what had ended before a call started.
  const acquired = [...holders]
    .map(([term, operation]) => ({ term, operation }))
    .sort((a, b) => a.operation.end - b.operation.end);
  const highest: number[] = [];
  for (const { term } of acquired) highest.push(Math.max(term, highest.at(-1) ?? 0));
  const ends = acquired.map(({ operation }) => operation.end);
  for (const operation of history) {
    const { call, result, start } = operation;
    const before = highest[countBelow(ends, start) - 1] ?? 0;
    if (call.kind === "acquire" && result.kind === "lease" && result.term < before) {
      violations.push(`number ${before} was given before: ${describeOperation(operation)}`);
    }
    const isAcceptedWrite = (call.kind === "write" || call.kind === "enqueue") && result.kind === "done";
    const isRenewed = call.kind === "renew" && result.kind === "lease";
    if ((isAcceptedWrite || isRenewed) && call.term < before) {
      violations.push(`accepted after number ${before} was given: ${describeOperation(operation)}`);
    }
  }
  return violations;
}

/** How many of the ascending numbers are below `limit`. */
function countBelow(ascending: readonly number[], limit: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? limit) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
