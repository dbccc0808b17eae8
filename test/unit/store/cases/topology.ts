import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConflictError,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type TaskStore,
  type TopologyEpoch,
  type TopologyRow,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { call, type Handles, modelTimeout, runCommands } from "../random-commands.js";

const topology = (epoch: Partial<TopologyEpoch>, document: Uint8Array = Uint8Array.of(0, 255, 10)) =>
  ({ clusterId: "c1", term: 1, counter: 1, contentHash: "h", document, ...epoch }) satisfies TopologyRow;

interface Model {
  row: TopologyRow | undefined;
  fence: FencingToken;
  former: FencingToken[];
}

/** What a save has to answer. */
function expected(model: Model, at: TopologyEpoch | undefined, next: TopologyRow, fence: FencingToken) {
  if (next.term !== fence.term) return InvalidArgumentError;
  if (fence !== model.fence) return FencedError;
  const { row } = model;
  const line = (epoch: TopologyEpoch | undefined) =>
    epoch === undefined ? "none" : `${epoch.clusterId} ${epoch.term} ${epoch.counter}`;
  if (line(row) !== line(at)) return ConflictError;
  if (row === undefined) return undefined;
  const isLater = next.term > row.term || (next.term === row.term && next.counter > row.counter);
  return next.clusterId === row.clusterId && isLater ? undefined : ConflictError;
}

/** Mostly 0: how far an epoch is from the right one. */
const off = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 1) },
);
const rarely = fc.oneof(
  { weight: 8, arbitrary: fc.constant(false) },
  { weight: 1, arbitrary: fc.constant(true) },
);

const commands = [
  call(
    "save",
    fc.record({
      by: fc.integer({ min: 0, max: 3 }),
      seen: off,
      ahead: off,
      foreign: rarely,
      blind: rarely,
      late: rarely,
      document: fc.uint8Array({ maxLength: 300 }),
    }),
    async (model: Model, store, args) => {
      const fence = (args.late ? model.former.at(-1) : undefined) ?? model.fence;
      const { row } = model;
      const at = row === undefined || args.blind ? undefined : { ...row, counter: row.counter + args.seen };
      const next = {
        ...topology({ clusterId: args.foreign ? "c2" : "c1", term: fence.term + args.ahead }, args.document),
        counter: row?.term === fence.term ? row.counter + args.by : args.by,
      };
      const refusal = await store.topology.save(at, next, fence).catch((error: unknown) => error);
      const error = expected(model, at, next, fence);
      if (error !== undefined) {
        expect(refusal).toBeInstanceOf(error);
        return;
      }
      expect(refusal).toBeUndefined();
      model.row = next;
    },
  ),
  call("load", fc.constant(null), async (model: Model, store) => {
    expect(await store.topology.load()).toEqual(model.row);
  }),
  call("take over", rarely, async (model: Model, store, really) => {
    if (!really) return;
    await store.lease.release(model.fence);
    model.former.push(model.fence);
    model.fence = await lead(store, `control-${model.fence.term + 1}`);
  }),
];

export function describeTopology(factory: StoreFactory): void {
  describe("the stored topology", () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let other: TaskStore;
    let fence: FencingToken;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      other = await harness.open();
      fence = await lead(store);
    });
    afterEach(() => harness.dispose());

    it("is the bytes that were given, many, none, or a part of others", async () => {
      const large = new Uint8Array(randomBytes(5 * 1024 * 1024));
      const documents = [large, new Uint8Array(0), large.subarray(17, 4_242)];
      for (const [counter, document] of documents.entries()) {
        const last = counter === 0 ? undefined : topology({ counter });
        await store.topology.save(last, topology({ counter: counter + 1 }, document), fence);
        const loaded = await other.topology.load();
        expect(Buffer.from(document).equals(loaded?.document ?? Buffer.of(1))).toBe(true);
      }
      await store.close();
      expect(await (await harness.open()).topology.load()).toEqual(
        topology({ counter: 3 }, large.slice(17, 4_242)),
      );
    });

    it("is replaced by one of two who saw the same epoch", async () => {
      let last: TopologyRow | undefined;
      for (let counter = 1; counter <= 20; counter++) {
        const rivals = [store, other].map((handle, n) => {
          const next = topology({ counter }, Uint8Array.of(n));
          return handle.topology.save(last, next, fence).then(() => next);
        });
        const outcomes = await Promise.allSettled(rivals);
        const won = outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
        const lost = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
        expect(won).toHaveLength(1);
        expect(lost).toEqual([expect.any(ConflictError)]);
        last = won[0];
        expect(await store.topology.load()).toEqual(last);
      }
    });

    it("refuses what is no epoch", async () => {
      const bad: Partial<TopologyRow>[] = [
        { counter: -1 },
        { counter: 0.5 },
        { counter: 2 ** 53 },
        { clusterId: "\uD83D" },
        { contentHash: "\uDE00" },
      ];
      for (const overrides of bad) {
        const next = { ...topology({}), ...overrides };
        await expect(store.topology.save(undefined, next, fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      expect(await store.topology.load()).toBeUndefined();
    });

    it("answers any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      const real: Handles = { stores: [store, other], fence, clock: harness.clock };
      const current: Model = { row: undefined, fence, former: [] };
      await runCommands(commands, real, async () => {
        // There is no way back to an empty store: each run goes on where the last one ended.
        current.row = await store.topology.load();
        return current;
      });
    });
  });
}
