import { linearize, type SequentialObject, type Verdict } from "./linearizability.js";
import { describeOperation, type Operation } from "./operations.js";

/** A job as one caller at a time sees it; times are the store's. */
interface JobHold {
  readonly phase: "absent" | "queued" | "held" | "completed";
  readonly attempts: number;
  readonly holder: string;
  /** The claim ends then, or later where its last renewal was never answered. */
  readonly endsFrom: number;
  readonly runAfter: number;
  /** The store's time is known to be this, or later. */
  readonly at: number;
}

/** The job by which every operation about it is judged; the store's time only goes on. */
const job: SequentialObject<JobHold, Operation> = {
  initial: { phase: "absent", attempts: 0, holder: "", endsFrom: 0, runAfter: 0, at: 0 },
  key: (state) => JSON.stringify(Object.values(state)),
  apply: (state, { call, result }) => {
    if (call.kind === "enqueue") {
      if (result.kind === "fenced") return state;
      return state.phase === "absent" ? { ...state, phase: "queued" } : undefined;
    }
    if (call.kind === "claim") {
      if (state.phase !== "queued" && state.phase !== "held") return undefined;
      const due = state.phase === "queued" ? state.runAfter : state.endsFrom;
      // Nobody knows when, nor whether it was this job.
      const at = result.kind === "job" ? result.at : Math.max(state.at, due);
      if (at < state.at || at < due) return undefined;
      if (result.kind === "job" && result.attempt !== state.attempts + 1) return undefined;
      const { holder, ttlMs } = call;
      return { ...state, phase: "held", holder, attempts: state.attempts + 1, endsFrom: at + ttlMs, at };
    }
    if (!("attempt" in call)) return state;
    const isHeld = state.phase === "held" && state.holder === call.holder && state.attempts === call.attempt;
    if (result.kind === "refused") return isHeld ? undefined : state;
    const at = result.kind === "job" ? result.at : state.at;
    if (!isHeld || at < state.at) return undefined;
    switch (call.kind) {
      case "heartbeat":
        return { ...state, endsFrom: at + call.ttlMs, at };
      case "complete":
        return { ...state, phase: "completed", at };
      case "fail":
      case "give back":
        return { ...state, phase: "queued", runAfter: result.kind === "job" ? result.runAfter : 0, at };
    }
  },
};

/** The operations about each job. A claim that was never answered may be about any. */
export function byJob(history: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const jobs = new Map<string, Operation[]>();
  const lost = history.filter(({ call, result }) => call.kind === "claim" && result.kind === "unknown");
  for (const operation of history) {
    const { call, result } = operation;
    const id = "id" in call ? call.id : result.kind === "job" ? result.id : undefined;
    if (id === undefined) continue;
    const operations = jobs.get(id) ?? [...lost];
    operations.push(operation);
    jobs.set(id, operations);
  }
  return jobs;
}

/** The first job of which no order of the calls explains the answers; undefined where there is none. */
export function findUnexplainedJob(
  history: readonly Operation[],
): { readonly id: string; readonly verdict: Verdict<Operation> } | undefined {
  for (const [id, operations] of byJob(history)) {
    const verdict = linearize(operations, job);
    if (!verdict.linearizable) return { id, verdict };
  }
  return undefined;
}

/** What a history shows that must not happen to a job, in words; empty where there is nothing. */
export function findJobViolations(history: readonly Operation[]): string[] {
  return [...byJob(history)].flatMap(([id, operations]) =>
    violationsOf(operations).map((violation) => `job ${id}: ${violation}`),
  );
}

function violationsOf(operations: readonly Operation[]): string[] {
  const violations: string[] = [];
  const claims = operations.filter(({ call, result }) => call.kind === "claim" && result.kind === "job");
  const attemptOf = ({ result }: Operation) => (result.kind === "job" ? result.attempt : 0);
  const byAttempt = new Map<number, Operation>();
  for (const claim of claims) {
    const known = byAttempt.get(attemptOf(claim));
    if (known !== undefined) {
      violations.push(
        `attempt ${attemptOf(claim)} was given twice: ${describeOperation(known)} and ${describeOperation(claim)}`,
      );
    }
    byAttempt.set(attemptOf(claim), claim);
  }

  const completions = operations.filter(
    ({ call, result }) => call.kind === "complete" && result.kind === "job",
  );
  const [completion, again] = completions;
  if (completion !== undefined && again !== undefined) {
    violations.push(`completed twice: ${describeOperation(completion)} and ${describeOperation(again)}`);
  }
  for (const claim of claims) {
    if (completion !== undefined && claim.start > completion.end) {
      violations.push(`claimed after it was completed: ${describeOperation(claim)}`);
    }
  }

  for (const operation of operations) {
    const { call, result } = operation;
    if (!("attempt" in call) || result.kind !== "job") continue;
    const successor = claims.find((claim) => attemptOf(claim) > call.attempt && claim.end < operation.start);
    if (successor !== undefined) {
      violations.push(
        `accepted after ${describeOperation(successor)} had it: ${describeOperation(operation)}`,
      );
    }
    const own = byAttempt.get(call.attempt);
    if (own?.call.kind === "claim" && own.call.holder !== call.holder) {
      violations.push(`accepted from another than its holder: ${describeOperation(operation)}`);
    }
  }
  return violations;
}
