import { StoreUnavailableError, type TaskStore } from "../../../src/store/task-store.js";
import type { VirtualWorld } from "../virtual-world.js";
import type { ProcessWorld } from "./process-world.js";

/** Probabilities of what goes wrong with one call to the store. */
export interface StoreFaults {
  readonly unavailable: number;
  /** Had its effect, but the answer is lost. */
  readonly loseAnswer: number;
  /** Executed much later than it was sent, its sender told that nobody knows. */
  readonly delay: number;
  readonly maxDelayMs: number;
}

/** A store that always answers. */
export const RELIABLE_STORE: StoreFaults = { unavailable: 0, loseAnswer: 0, delay: 0, maxDelayMs: 0 };

/** How a control process reaches the store that it shares with others. */
export interface StoreLink {
  faults: StoreFaults;
}

type Call = (...parameters: unknown[]) => Promise<unknown>;

/** The shared store as one process sees it: every call takes its way there and back, and may be lost on it. */
export function linkStore(
  store: TaskStore,
  link: StoreLink,
  world: VirtualWorld,
  process: ProcessWorld,
): TaskStore {
  const { seeded } = world;
  const carry = async (name: string, call: () => Promise<unknown>): Promise<unknown> => {
    const { unavailable, loseAnswer, delay, maxDelayMs } = link.faults;
    await process.timers.sleep(seeded.below(2));
    const dice = seeded.next();
    if (dice < unavailable) throw new StoreUnavailableError(`${name}: no connection`, "certainly-aborted");
    if (dice < unavailable + delay) {
      world.timers.after(seeded.below(maxDelayMs), () => void call().catch(() => undefined));
      throw new StoreUnavailableError(`${name}: no answer`, "maybe-executed");
    }
    const outcome = await call().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await process.timers.sleep(seeded.below(2));
    if (dice < unavailable + delay + loseAnswer) {
      throw new StoreUnavailableError(`${name}: the connection broke`, "maybe-executed");
    }
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  };
  const table = (name: string, target: object): object =>
    new Proxy(target, {
      get(_, member) {
        const value: unknown = Reflect.get(target, member);
        if (typeof value !== "function") return value;
        const method = value.bind(target) as Call;
        return (...parameters: unknown[]) => carry(`${name}.${String(member)}`, () => method(...parameters));
      },
    });
  const tables = new Map<string, object>();
  return new Proxy(store, {
    get(_, member) {
      const value: unknown = Reflect.get(store, member);
      if (typeof value !== "object" || value === null) return value;
      const name = String(member);
      let linked = tables.get(name);
      if (linked === undefined) {
        linked = table(name, value);
        tables.set(name, linked);
      }
      return linked;
    },
  });
}
