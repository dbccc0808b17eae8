import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type FencingToken,
  indexInstance,
  isFinalStatus,
  type NodeTaskRow,
  type NodeTaskUpdate,
  nodeId,
  nodeTaskUid,
  type TaskFilter,
  type TaskPageRequest,
  type TaskRow,
  type TaskStore,
  taskStatuses,
  taskUid,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { TaskModel } from "../task-model.js";

interface Real {
  readonly harness: StoreHarness;
  store: TaskStore;
  readonly fence: FencingToken;
}

type Command = fc.AsyncCommand<TaskModel, Real>;

/** Rows are compared whole, prototypes included. */
function plainRecord<T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(members, { noNullPrototype: true } as fc.RecordConstraints<keyof T>) as fc.Arbitrary<T>;
}

const uid = fc.nat({ max: 9 }).map(taskUid);
const instant = fc.integer({ min: 1, max: 12 });
const status = fc.constantFrom(...taskStatuses);
const type = fc.constantFrom("documentAdditionOrUpdate" as const, "settingsUpdate" as const);
const indexUid = fc.constantFrom("movies", "books");
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 2 });
const error = fc.constantFrom("a", "b").map((code) => ({ message: "m", code, type: "t", link: "l" }));
const details = fc.constantFrom("{}", '{"n":1}', '{"n":2}');

const nodeTask: fc.Arbitrary<NodeTaskRow> = plainRecord({
  nodeId: fc.constantFrom("node-0", "node-1").map(nodeId),
  nodeTaskUid: fc.nat({ max: 5 }).map(nodeTaskUid),
  status,
  error: maybe(error),
  shards: fc.constantFrom([], [1], [2, 3]),
  detailsJson: maybe(details),
  startedAt: maybe(instant),
  finishedAt: maybe(instant),
});

const task: fc.Arbitrary<TaskRow> = plainRecord({
  uid,
  indexUid: maybe(indexUid),
  instance: maybe(fc.constantFrom("i1", "i2").map(indexInstance)),
  type,
  status,
  detailsJson: maybe(details),
  error: maybe(error),
  enqueuedAt: instant,
  startedAt: maybe(instant),
  finishedAt: maybe(instant),
  canceledBy: maybe(uid),
  customMetadata: maybe(fc.constantFrom("x", "y")),
  documentsByShard: fc.constantFrom([], [1], [1, 2]).map((s) => new Map(s.map((shard) => [shard, 7]))),
  nodeTasks: fc.array(nodeTask, { maxLength: 3 }),
}).map((row) => (isFinalStatus(row.status) ? { ...row, finishedAt: row.finishedAt ?? 6 } : row));

const update: fc.Arbitrary<NodeTaskUpdate> = fc
  .tuple(nodeTask, maybe(uid), fc.boolean())
  .map(([{ shards, ...rest }, owner, knowsShards]) => ({
    ...rest,
    ...(owner === null ? {} : { taskUid: owner }),
    ...(knowsShards ? { shards } : {}),
  }));

const few = <T>(value: fc.Arbitrary<T>) => fc.array(value, { maxLength: 3 });
const filter: fc.Arbitrary<TaskFilter> = fc.record(
  {
    uids: few(uid),
    indexUids: few(indexUid),
    statuses: few(status),
    types: few(type),
    canceledBy: few(uid),
    beforeEnqueuedAt: instant,
    afterEnqueuedAt: instant,
    beforeStartedAt: instant,
    afterStartedAt: instant,
    beforeFinishedAt: instant,
    afterFinishedAt: instant,
  },
  { requiredKeys: [], noNullPrototype: true },
);
/** Mostly few filters, so that something matches; sometimes all sorts. */
const usualFilter = fc.tuple(filter, fc.nat({ max: 3 })).map(([all, keep]): TaskFilter => {
  const entries = Object.entries(all).sort(
    ([a], [b]) => ((a.length * 7 + a.charCodeAt(0)) % 5) - (b.length % 5),
  );
  return keep === 3 ? all : Object.fromEntries(entries.slice(0, keep));
});
const page: fc.Arbitrary<TaskPageRequest> = fc.record(
  { limit: fc.nat({ max: 5 }), from: uid, reverse: fc.boolean() },
  { requiredKeys: ["limit"], noNullPrototype: true },
);
const rule = fc.record(
  {
    finishedBefore: fc.integer({ min: 1, max: 5 }),
    keepFinished: fc.integer({ min: 2, max: 9 }),
    limit: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

function command(name: string, run: (model: TaskModel, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name };
}

const show = (name: string, ...args: unknown[]) => `${name}(${fc.stringify(args)})`;

const commands: fc.Arbitrary<Command>[] = [
  fc.array(task, { maxLength: 4 }).map((rows) =>
    command(show("upsert", rows), async (model, { store, fence }) => {
      expect(await store.tasks.upsert(rows, fence)).toEqual(rows.map((row) => model.upsert(row)));
    }),
  ),
  fc.array(update, { maxLength: 4 }).map((updates) =>
    command(show("apply", updates), async (model, { store, fence }) => {
      expect(await store.tasks.applyNodeTaskUpdates(updates, fence)).toEqual(model.apply(updates));
    }),
  ),
  fc.tuple(usualFilter, page).map(([what, which]) =>
    command(show("list", what, which), async (model, { store }) => {
      expect(await store.tasks.list(what, which)).toEqual(model.list(what, which));
    }),
  ),
  fc.constant(
    command("read everything", async (model, { store }) => {
      const everything = model.list({}, { limit: 100, reverse: true });
      expect(await store.tasks.list({}, { limit: 100, reverse: true })).toEqual(everything);
      expect(await store.tasks.countOpen()).toBe(model.countOpen());
      for (const node of ["node-0", "node-1"].map(nodeId)) {
        expect(await store.tasks.openNodeTasks(node)).toEqual(model.openNodeTasks(node));
        for (let n = 0; n <= 5; n++) {
          expect(await store.tasks.findByNodeTask(node, nodeTaskUid(n))).toBe(model.find(node, n));
        }
      }
    }),
  ),
  fc.integer({ min: 1, max: 3 }).map((count) =>
    command(show("allocate", count), async (model, { store, fence }) => {
      expect(await store.tasks.allocateUids(count, fence)).toBe(model.allocate(count));
    }),
  ),
  rule.map((what) =>
    command(show("prune", what), async (model, { store, fence }) => {
      expect(await store.retention.pruneTasks(what, fence)).toBe(model.prune(what));
    }),
  ),
  fc.constant(
    command("reopen", async (_model, real) => {
      await real.store.close();
      real.store = await real.harness.open();
    }),
  ),
];

/** Runs of up to 100 commands each; more by the environment for long runs. */
const numRuns = Number(process.env.MIROIR_STORE_MODEL_RUNS ?? 120);

export function describeModel(factory: StoreFactory): void {
  describe("any sequence of calls", () => {
    it("answers as an in-memory model does", { timeout: 30_000 + numRuns * 500 }, async () => {
      let ran = 0;
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { size: "max", maxCommands: 100 }), async (sequence) => {
          const harness = await factory();
          try {
            const store = await harness.open();
            const fence = await lead(store);
            await fc.asyncModelRun(
              () => ({ model: new TaskModel(), real: { harness, store, fence } }),
              sequence,
            );
            ran += [...sequence].length;
          } finally {
            await harness.dispose();
          }
        }),
        { numRuns },
      );
      expect(ran).toBeGreaterThan(numRuns * 10);
    });
  });
}
