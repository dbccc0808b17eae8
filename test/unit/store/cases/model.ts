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

/** A store under test: two handles on it, which take calls in turn as the commands say. */
interface Real {
  readonly harness: StoreHarness;
  readonly stores: [TaskStore, TaskStore];
  readonly fence: FencingToken;
}

type Command = fc.AsyncCommand<TaskModel, Real>;

/** Rows are compared whole, prototypes included. */
function plainRecord<T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(members, { noNullPrototype: true } as fc.RecordConstraints<keyof T>) as fc.Arbitrary<T>;
}

// Several in one zone of the listing, and some at either side of the ends of zones and of groups of zones.
const uid = fc.constantFrom(0, 1, 2, 3, 1_023, 1_024, 65_535, 65_536, 200_000, 2 ** 52).map(taskUid);
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

/** Commands of one name: the arguments, and what is done with them on one of the handles. */
function call<Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  run: (model: TaskModel, store: TaskStore, args: Args, real: Real, handle: 0 | 1) => Promise<void>,
): fc.Arbitrary<Command> {
  return fc.tuple(args, fc.constantFrom(0 as const, 1 as const)).map(([given, handle]) => ({
    check: () => true,
    run: (model: TaskModel, real: Real) => run(model, real.stores[handle], given, real, handle),
    toString: () => `${name}(${fc.stringify(given)}) on handle ${handle}`,
  }));
}

const nodes = ["node-0", "node-1"].map(nodeId);
const nodeTaskRefs = nodes.flatMap((node) =>
  [0, 1, 2, 3, 4, 5].map((n) => ({ nodeId: node, nodeTaskUid: nodeTaskUid(n) })),
);
const list = call("list", fc.tuple(usualFilter, page), async (model, store, [what, which]) => {
  expect(await store.tasks.list(what, which)).toEqual(model.list(what, which));
});
const upsert = call("upsert", fc.array(task, { maxLength: 4 }), async (model, store, rows, { fence }) => {
  expect(await store.tasks.upsert(rows, fence)).toEqual(rows.map((row) => model.upsert(row)));
});

const commands: fc.Arbitrary<Command>[] = [
  upsert,
  upsert,
  list,
  list,
  list,
  call("apply", fc.array(update, { maxLength: 4 }), async (model, store, updates, { fence }) => {
    expect(await store.tasks.applyNodeTaskUpdates(updates, fence)).toEqual(model.apply(updates));
  }),
  call("get", fc.array(uid, { maxLength: 3 }), async (model, store, uids) => {
    const wanted = [...new Set(uids)].sort((a, b) => a - b);
    expect(await store.tasks.getMany(uids)).toEqual(wanted.flatMap((one) => model.get(one) ?? []));
  }),
  call("read what is open", fc.constant(undefined), async (model, store) => {
    expect(await store.tasks.countOpen()).toBe(model.countOpen());
    const open = new Map(nodes.map((node) => [node, model.openNodeTasks(node)]));
    for (const [node, tasks] of open) expect(await store.tasks.openNodeTasks(node)).toEqual(tasks);
    const counts = [...open].flatMap(([node, { length }]) => (length === 0 ? [] : [[node, length] as const]));
    expect(await store.tasks.countOpenNodeTasks()).toEqual(new Map(counts));
  }),
  call("find", fc.constant(undefined), async (model, store) => {
    expect(await store.tasks.findByNodeTasks(nodeTaskRefs)).toEqual(
      nodeTaskRefs.map((ref) => model.find(ref.nodeId, ref.nodeTaskUid)),
    );
  }),
  call("allocate", fc.integer({ min: 1, max: 3 }), async (model, store, count, { fence }) => {
    expect(await store.tasks.allocateUids(count, fence)).toBe(model.allocate(count));
  }),
  call("prune", rule, async (model, store, what, { fence }) => {
    expect(await store.retention.pruneTasks(what, fence)).toBe(model.prune(what));
  }),
];

const reopen = call(
  "reopen",
  fc.constant(undefined),
  async (_model, store, _args, { harness, stores }, handle) => {
    await store.close();
    stores[handle] = await harness.open();
  },
);

/** Commands in all; more by the environment for long runs. */
const minCommands = Number(process.env.MIROIR_STORE_MODEL_COMMANDS ?? 10_000);

export function describeModel(factory: StoreFactory): void {
  describe("any sequence of calls about tasks", () => {
    it("answers as an in-memory model does, and keeps its indexes", {
      timeout: 120_000 + minCommands * 10,
    }, async () => {
      let ran = 0;
      const sequences = fc.commands([...commands, ...commands, ...commands, ...commands, reopen], {
        size: "max",
        maxCommands: 1_000,
      });
      const property = fc.asyncProperty(sequences, async (sequence) => {
        const harness = await factory();
        try {
          const stores: [TaskStore, TaskStore] = [await harness.open(), await harness.open()];
          const fence = await lead(stores[0]);
          await fc.asyncModelRun(
            () => ({ model: new TaskModel(), real: { harness, stores, fence } }),
            sequence,
          );
          await harness.expectConsistentTasks();
          ran += [...sequence].length;
        } finally {
          await harness.dispose();
        }
      });
      // A failure is shrunk for as long as this, and then reported as far as it came.
      const limits = { numRuns: 4, interruptAfterTimeLimit: 60_000 };
      while (ran < minCommands) await fc.assert(property, limits);
    });
  });
}
