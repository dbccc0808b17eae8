import type { ErrorBody } from "./errors.js";
import type { JsonValue } from "./exact-json.js";
import type { Task } from "./tasks.js";

/** What a fault does to a request that it meets. */
export type FaultEffect =
  /** Closes the connection without executing the request. */
  | { readonly kind: "refuse" }
  /** Answers with a status, without executing the request. */
  | { readonly kind: "status"; readonly status: number }
  /** Executes the request later. */
  | { readonly kind: "delay"; readonly ms: number; readonly jitterMs: number }
  /** Executes the request and never answers; the connection stays open. */
  | { readonly kind: "hang" }
  /** Executes the request and closes the connection without an answer. */
  | { readonly kind: "drop" }
  /** Ends the process at once, before or after the request was executed. */
  | { readonly kind: "crash"; readonly executed: boolean }
  /** Leaves hits out of the answer, each with the given probability. */
  | { readonly kind: "dropHits"; readonly probability: number }
  /** Makes a task fail. Matched against the type and index of tasks, not against requests. */
  | {
      readonly kind: "failTask";
      readonly code: string;
      readonly message: string;
      readonly taskType?: string;
      readonly indexUid?: string;
    };

/** A fault: where it strikes, how often, and what it does. */
export interface Fault {
  /** An upper-case method; absent: any. */
  readonly method?: string;
  /** A regular expression searched in the path with its query; absent: any. */
  readonly path?: string;
  /** Requests to let pass first; default 0. */
  readonly skip?: number;
  /** How often it strikes; default: always. */
  readonly count?: number;
  /** How likely it strikes where it could, from 0 to 1, by the plan's seeded generator; default 1. */
  readonly probability?: number;
  readonly effect: FaultEffect;
}

interface ArmedFault {
  readonly fault: Fault;
  skip: number;
  left: number;
  struck: number;
}

/** The faults of a node, replayable from their seed. */
export class FaultPlan {
  #armed: ArmedFault[] = [];
  #state = 1;

  /** Replaces all faults and restarts the generator. */
  set(faults: readonly Fault[], seed: number): void {
    this.#state = seed >>> 0 || 1;
    this.#armed = faults.map((fault) => ({
      fault,
      skip: fault.skip ?? 0,
      left: fault.count ?? Number.POSITIVE_INFINITY,
      struck: 0,
    }));
  }

  /** The faults with the number of times that each struck. */
  get view(): JsonValue {
    return this.#armed.map(({ fault, struck }) => ({
      ...(fault as unknown as Record<string, JsonValue>),
      struck,
    }));
  }

  /** The effects that strike a request, in order. */
  forRequest(method: string, path: string): FaultEffect[] {
    return this.#armed
      .filter(
        ({ fault }) =>
          fault.effect.kind !== "failTask" &&
          (fault.method === undefined || fault.method === method) &&
          (fault.path === undefined || new RegExp(fault.path).test(path)),
      )
      .filter((armed) => this.#strikes(armed))
      .map(({ fault }) => fault.effect);
  }

  /** The error with which a task is to fail, if any. */
  forTask(task: Task): ErrorBody | undefined {
    for (const armed of this.#armed) {
      const { effect } = armed.fault;
      if (effect.kind !== "failTask") continue;
      if (effect.taskType !== undefined && effect.taskType !== task.type) continue;
      if (effect.indexUid !== undefined && effect.indexUid !== task.indexUid) continue;
      if (!this.#strikes(armed)) continue;
      const { code, message } = effect;
      return { message, code, type: "invalid_request", link: `https://docs.meilisearch.com/errors#${code}` };
    }
    return undefined;
  }

  /** The next number of the seeded generator, in [0, 1). */
  random(): number {
    // xorshift32: small, seeded, good enough to vary faults.
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) / 0x1_0000_0000;
  }

  #strikes(armed: ArmedFault): boolean {
    if (armed.left <= 0) return false;
    if (armed.skip > 0) {
      armed.skip--;
      return false;
    }
    const probability = armed.fault.probability ?? 1;
    if (probability < 1 && this.random() >= probability) return false;
    armed.left--;
    armed.struck++;
    return true;
  }
}

/** Reads the body of `PUT /_embedded/faults`: `{ seed?, faults }`. */
export function readFaults(body: JsonValue): { readonly faults: readonly Fault[]; readonly seed: number } {
  if (typeof body !== "object" || body === null || Array.isArray(body) || !Array.isArray(body.faults)) {
    throw new TypeError("the body is not { seed?: number, faults: Fault[] }");
  }
  const kinds = ["refuse", "status", "delay", "hang", "drop", "crash", "dropHits", "failTask"];
  for (const fault of body.faults) {
    const effect =
      typeof fault === "object" && fault !== null && !Array.isArray(fault) ? fault.effect : undefined;
    const kind =
      typeof effect === "object" && effect !== null && !Array.isArray(effect) ? effect.kind : undefined;
    if (typeof kind !== "string" || !kinds.includes(kind)) {
      throw new TypeError(`a fault's effect.kind is one of ${kinds.join(", ")}`);
    }
  }
  return { faults: body.faults as unknown as Fault[], seed: typeof body.seed === "number" ? body.seed : 1 };
}
