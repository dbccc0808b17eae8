import fc from "fast-check";
import { expect } from "vitest";
import type { FencingToken, TaskStore } from "../../../src/store/task-store.js";
import type { ManualClock } from "./harness.js";

/** A store under test: two handles on it, which take calls in turn as the commands say. */
export interface Handles {
  readonly stores: readonly [TaskStore, TaskStore];
  readonly fence: FencingToken;
  readonly clock: ManualClock;
}

/** One call on one of the handles, compared with the model's answer. */
export type StoreCommand<Model> = fc.AsyncCommand<object, Handles> & { readonly of?: Model };

/** Commands of one name: the arguments, and what is done with them. */
export function call<Model extends object, Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  run: (model: Model, store: TaskStore, args: Args, real: Handles) => Promise<void>,
): fc.Arbitrary<StoreCommand<Model>> {
  return fc.tuple(args, fc.boolean()).map(([given, second]) => ({
    check: () => true,
    run: (model: object, real: Handles) => run(model as Model, real.stores[second ? 1 : 0], given, real),
    toString: () => `${name}(${fc.stringify(given)}) on ${second ? "the second" : "the first"} handle`,
  }));
}

/**
 * Runs random sequences of commands, shrinking one that fails; about 3,000 commands in all. `start` empties the
 * store, and gives a model that is as empty.
 */
export async function runCommands<Model extends object>(
  commands: fc.Arbitrary<StoreCommand<Model>>[],
  real: Handles,
  start: () => Promise<Model>,
): Promise<void> {
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { size: "max", maxCommands: 120 }), async (sequence) => {
      const model = await start();
      await fc.asyncModelRun(() => ({ model, real }), sequence);
      ran += [...sequence].length;
    }),
    { numRuns },
  );
  expect(ran).toBeGreaterThan(numRuns * 30);
}

/** Runs of about 60 commands each; more by the environment for long runs. */
const numRuns = Number(process.env.MIROIR_STORE_MODEL_RUNS ?? 50);

/** Ids that mean something in keys, or that only their bytes in UTF-8 put in order. */
export const awkwardIds: readonly string[] = [
  "a",
  "a:b",
  "a%3Ab",
  "a%",
  "_index",
  "__index",
  "_by_use",
  ":",
  "{x}",
  "\u{1F600}",
  "\uFFFD",
  "\u0000b",
  "é",
  "x".repeat(512),
];

/** Awkward ids, and others. */
export const id: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...awkwardIds),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
);

/** Times in milliseconds, one of them before the epoch. */
export const time: fc.Arbitrary<number> = fc.oneof(
  fc.nat({ max: 4_102_444_800_000 }),
  fc.constantFrom(0, -1, Number.MAX_SAFE_INTEGER),
);

/** Rows are compared whole, prototypes included. */
export function plainRecord<T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(members, { noNullPrototype: true } as fc.RecordConstraints<keyof T>) as fc.Arbitrary<T>;
}

/** Compares texts by their bytes in UTF-8. */
export function byBytes(a: string, b: string): number {
  return Buffer.from(a).compare(Buffer.from(b));
}

/** Milliseconds that a test with {@link runCommands} may take. */
export const modelTimeout = 30_000 + numRuns * 500;
