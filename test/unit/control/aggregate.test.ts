import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aggregateTask, cleanError } from "../../../src/control/tasks/aggregate.js";
import { countOnce } from "../../../src/control/tasks/count-reports.js";
import type { IndexReplicas, ReplicaHealth } from "../../../src/control/tasks/index-replicas.js";
import { guardFunction } from "../../../src/rhai/guarded-function.js";
import {
  isFinalStatus,
  type NodeTaskRow,
  nodeId,
  nodeTaskUid,
  type TaskRow,
  type TaskStatus,
  taskUid,
} from "../../../src/store/task-store.js";

const error = { message: "broken", code: "internal", type: "internal", link: "l" };

function task(nodeTasks: readonly NodeTaskRow[], change: Partial<TaskRow> = {}): TaskRow {
  return {
    uid: taskUid(1),
    indexUid: "films",
    instance: null,
    type: "documentAdditionOrUpdate",
    status: "enqueued",
    detailsJson: '{"receivedDocuments":10,"indexedDocuments":null}',
    error: null,
    enqueuedAt: 0,
    startedAt: null,
    finishedAt: null,
    canceledBy: null,
    customMetadata: null,
    documentsByShard: new Map(),
    nodeTasks,
    ...change,
  };
}

function report(node: string, status: TaskStatus, change: Partial<NodeTaskRow> = {}): NodeTaskRow {
  const final = isFinalStatus(status);
  return {
    nodeId: nodeId(node),
    nodeTaskUid: nodeTaskUid(1),
    status,
    error: status === "failed" ? error : null,
    shards: [],
    detailsJson: final ? JSON.stringify({ receivedDocuments: 10, indexedDocuments: 10 }) : null,
    startedAt: status === "enqueued" ? null : 100,
    finishedAt: final ? 200 : null,
    ...change,
  };
}

/** Every node holds every shard. */
function everywhere(states: Readonly<Record<string, ReplicaHealth>>, shards = 2): IndexReplicas {
  return {
    placement: Array.from({ length: shards }, () => Object.keys(states).sort()),
    replicas: new Map(Object.entries(states)),
  };
}

describe("a client task", () => {
  const both = everywhere({ a: "in_sync", b: "in_sync" });

  it.each([
    [["enqueued", "enqueued"], "enqueued"],
    [["processing", "enqueued"], "processing"],
    [["succeeded", "enqueued"], "processing"],
    [["succeeded", "succeeded"], "succeeded"],
    [["failed", "failed"], "failed"],
    [["canceled", "canceled"], "canceled"],
    [["failed", "processing"], "processing"],
  ] as const)("whose node tasks are %j is %s", ([a, b], expected) => {
    expect(aggregateTask(task([report("a", a), report("b", b)]), both).status).toBe(expected);
  });

  it("counts one replica of each shard", () => {
    const verdict = aggregateTask(task([report("a", "succeeded"), report("b", "succeeded")]), both);
    expect(JSON.parse(verdict.detailsJson ?? "")).toEqual({ receivedDocuments: 10, indexedDocuments: 10 });
    expect(verdict).toMatchObject({ startedAt: 100, finishedAt: 200, divergent: [] });
  });

  it("is about the shards that its writer named, whatever else a node holds whose late task was only found in its log", () => {
    const late = { ...error, code: "index_not_found" };
    const reports = [
      report("a", "failed", { error: late }),
      report("b", "succeeded", { shards: [1] }),
      report("c", "succeeded", { shards: [1] }),
    ];
    const index = everywhere({ a: "stale", b: "in_sync", c: "in_sync" });
    expect(aggregateTask(task(reports), index).status).toBe("succeeded");
  });

  it("does not fail with a node that holds nothing of the index any more, where those that do have succeeded", () => {
    const reports = [report("a", "succeeded"), report("b", "succeeded"), report("gone", "failed")];
    expect(aggregateTask(task(reports), both).status).toBe("succeeded");
  });

  it.each([
    [
      "in_sync",
      [
        ["a", "b"],
        ["b", "c"],
      ],
    ],
    [
      "stale",
      [
        ["a", "b"],
        ["b", "c"],
      ],
    ],
  ] as const)(
    "that names no shards does not fail with a node (%s) whose failure its peer did not share, by a shard of which nobody else tells",
    (state, placement) => {
      const index: IndexReplicas = {
        placement,
        replicas: new Map([
          ["a", "in_sync"],
          ["b", state],
          ["c", "in_sync"],
        ]),
      };
      expect(aggregateTask(task([report("a", "succeeded"), report("b", "failed")]), index).status).toBe(
        "succeeded",
      );
      const told = [report("a", "succeeded"), report("b", "failed"), report("c", "failed")];
      expect(aggregateTask(task(told), index).status).toBe("failed");
    },
  );

  it("fails with a node that holds nothing of the index any more, where nobody else tells of some shard", () => {
    const index: IndexReplicas = {
      placement: [["a"], ["b"]],
      replicas: new Map([
        ["a", "in_sync"],
        ["b", "in_sync"],
      ]),
    };
    const reports = [report("a", "succeeded"), report("gone", "failed")];
    expect(aggregateTask(task(reports), index).status).toBe("failed");
  });

  it("that was rebuilt counts each copy's part, though its shards are not known", () => {
    const index: IndexReplicas = {
      placement: [
        ["a", "b"],
        ["b", "c"],
        ["a", "c"],
      ],
      replicas: new Map(["a", "b", "c"].map((node) => [node, "in_sync"])),
    };
    const one = { detailsJson: '{"receivedDocuments":3,"indexedDocuments":3}' };
    const reports = [report("a", "succeeded", one), report("b", "succeeded", one)];
    const verdict = aggregateTask(task(reports, { detailsJson: null }), index);
    expect(JSON.parse(verdict.detailsJson ?? "")).toEqual({ receivedDocuments: 3, indexedDocuments: 3 });
  });

  it("succeeds where one of two replicas failed, and names that one", () => {
    const verdict = aggregateTask(task([report("a", "succeeded"), report("b", "failed")]), both);
    expect(verdict).toMatchObject({ status: "succeeded", error: null, divergent: ["b"] });
  });

  it("follows the majority", () => {
    const three = everywhere({ a: "in_sync", b: "in_sync", c: "in_sync" });
    const reports = [report("a", "succeeded"), report("b", "failed"), report("c", "failed")];
    expect(aggregateTask(task(reports), three)).toMatchObject({ status: "failed", error, divergent: ["a"] });
  });

  it("never gives up the last copy of a shard", () => {
    const split: IndexReplicas = {
      placement: [["a", "b"], ["b"]],
      replicas: new Map([
        ["a", "in_sync"],
        ["b", "in_sync"],
      ]),
    };
    const verdict = aggregateTask(task([report("a", "succeeded"), report("b", "failed")]), split);
    expect(verdict).toMatchObject({ status: "failed", divergent: [] });
  });

  it("is not failed by a late request that a rename has kept out, where the node has the write", () => {
    const missed = { ...error, code: "index_not_found" };
    const late = report("a", "failed", { nodeTaskUid: nodeTaskUid(9), error: missed });
    const again = report("a", "succeeded", { nodeTaskUid: nodeTaskUid(8), shards: [0] });
    const index = everywhere({ a: "in_sync" });
    expect(aggregateTask(task([late, again]), index).status).toBe("succeeded");
    expect(aggregateTask(task([late]), index).status).toBe("failed");
  });

  it("does not wait for stale replicas", () => {
    const index = everywhere({ a: "in_sync", b: "stale" });
    expect(aggregateTask(task([report("a", "succeeded"), report("b", "enqueued")]), index).status).toBe(
      "succeeded",
    );
  });

  it("does not wait for a stale replica of a shard that the other node has given up since", () => {
    const index: IndexReplicas = {
      placement: [["b", "c"], ["a"]],
      replicas: new Map([
        ["a", "in_sync"],
        ["b", "stale"],
        ["c", "in_sync"],
      ]),
    };
    const reports = [report("a", "succeeded", { shards: [0] }), report("b", "enqueued", { shards: [0] })];
    expect(aggregateTask(task(reports), index)).toMatchObject({ status: "succeeded", divergent: [] });
  });

  it("fails with the first error in time", () => {
    const first = { ...error, message: "first" };
    const verdict = aggregateTask(
      task([
        report("a", "failed", { finishedAt: 300 }),
        report("b", "failed", { finishedAt: 200, error: first }),
      ]),
      both,
    );
    expect(verdict.error).toEqual(first);
    expect(JSON.parse(verdict.detailsJson ?? "")).toEqual({ receivedDocuments: 10, indexedDocuments: 0 });
  });

  it("keeps every other byte of its details", () => {
    const detailsJson = '{ "context" : {"big":12345678901234567890} ,"editedDocuments": null}';
    const edited = report("a", "succeeded", { detailsJson: '{"editedDocuments":3,"deletedDocuments":1}' });
    const verdict = aggregateTask(
      task([edited], { type: "documentEdition", detailsJson }),
      everywhere({ a: "in_sync" }),
    );
    expect(verdict.detailsJson).toBe(
      '{ "context" : {"big":12345678901234567890} ,"editedDocuments": 3,"deletedDocuments":1}',
    );
  });

  it("prints settings as the node does, resets as resets", () => {
    const detailsJson = '{"rankingRules":null,"stopWords":["b","a"]}';
    const node = JSON.stringify({ rankingRules: ["words", "_miroir_seq:asc"], stopWords: ["a", "b"] });
    const verdict = aggregateTask(
      task([report("a", "succeeded", { detailsJson: node })], { type: "settingsUpdate", detailsJson }),
      everywhere({ a: "in_sync" }),
    );
    expect(JSON.parse(verdict.detailsJson ?? "")).toEqual({ rankingRules: null, stopWords: ["a", "b"] });
  });

  it("shows errors under the client's names", () => {
    const message =
      "Index `mabcdefgh_12`: Attribute `x` is not filterable. Available filterable attribute patterns are: `a`, `_miroir_shard`.";
    expect(cleanError({ ...error, message }, "films").message).toBe(
      "Index `films`: Attribute `x` is not filterable. Available filterable attribute patterns are: `a`.",
    );
  });
});

describe("any client task", () => {
  const nodes = ["a", "b", "c", "d"];
  const scenario = fc
    .record({
      placement: fc.array(fc.subarray(nodes, { minLength: 1 }), { minLength: 1, maxLength: 5 }),
      states: fc.tuple(
        ...nodes.map(() => fc.constantFrom<ReplicaHealth>("in_sync", "in_sync", "stale", "suspect")),
      ),
      statuses: fc.tuple(
        ...nodes.map(() =>
          fc.constantFrom<TaskStatus>(
            "enqueued",
            "processing",
            "succeeded",
            "succeeded",
            "failed",
            "canceled",
          ),
        ),
      ),
    })
    .map(({ placement, states, statuses }) => ({
      index: { placement, replicas: new Map(nodes.map((node, at) => [node, states[at] as ReplicaHealth])) },
      reports: nodes
        .filter((node) => placement.some((holders) => holders.includes(node)))
        .map((node) => report(node, statuses[nodes.indexOf(node)] as TaskStatus)),
    }));

  it("is as a naive reading of each shard has it", () => {
    fc.assert(
      fc.property(scenario, ({ index, reports }) => {
        const verdict = aggregateTask(task(reports), index);
        const outcomes = index.placement.map((holders) => {
          const health = (state: ReplicaHealth) =>
            holders.filter((node) => index.replicas.get(node) === state);
          const counted =
            [health("in_sync"), health("suspect"), holders].find((list) => list.length > 0) ?? [];
          const statuses = counted.map(
            (node) => reports.find((entry) => entry.nodeId === node)?.status ?? "enqueued",
          );
          if (statuses.some((status) => !isFinalStatus(status))) return "open";
          const good = statuses.filter((status) => status === "succeeded").length;
          return good * 2 >= statuses.length ? "good" : "bad";
        });
        if (outcomes.includes("open")) expect(isFinalStatus(verdict.status)).toBe(false);
        else if (outcomes.includes("bad")) expect(["failed", "canceled"]).toContain(verdict.status);
        else expect(verdict.status).toBe("succeeded");
        expect(verdict.error === null).toBe(verdict.status !== "failed");
      }),
    );
  });

  it("leaves every shard that has an in-sync copy one of them", () => {
    fc.assert(
      fc.property(scenario, ({ index, reports }) => {
        const { divergent } = aggregateTask(task(reports), index);
        for (const holders of index.placement) {
          const inSync = holders.filter((node) => index.replicas.get(node) === "in_sync");
          if (inSync.length > 0) expect(inSync.some((node) => !divergent.includes(node))).toBe(true);
        }
      }),
    );
  });
});

describe("counting once", () => {
  it("is exact for counts that follow the documents of each shard, whatever replicas report", () => {
    const arbitrary = fc
      .array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 8 })
      .chain((perShard) =>
        fc.record({
          perShard: fc.constant(perShard),
          holders: fc.tuple(...perShard.map(() => fc.subarray(["a", "b", "c"], { minLength: 1 }))),
        }),
      );
    fc.assert(
      fc.property(arbitrary, ({ perShard, holders }) => {
        const reports = ["a", "b", "c"]
          .map((node) => {
            const shards = perShard.flatMap((_, shard) => (holders[shard]?.includes(node) ? [shard] : []));
            return {
              nodeId: node,
              shards,
              count: shards.reduce((sum, shard) => sum + (perShard[shard] ?? 0), 0),
            };
          })
          .filter(({ shards }) => shards.length > 0);
        const weights = new Map(perShard.entries());
        expect(countOnce(reports, weights)).toBe(perShard.reduce((sum, count) => sum + count, 0));
      }),
    );
  });
});

describe("an edit by a function", () => {
  const source = "\n  doc.a = nobody();";
  const details = JSON.stringify({
    editedDocuments: null,
    deletedDocuments: null,
    originalFilter: null,
    context: null,
    function: source,
  });
  const onNode = (count: number | null) =>
    JSON.stringify({
      editedDocuments: count ?? 0,
      deletedDocuments: count,
      originalFilter: '["_miroir_shard IN [\\"((((\\"]"]',
      function: guardFunction(source, "(".repeat(18), false, details),
    });
  const edit = (nodeTasks: readonly NodeTaskRow[], known = true) =>
    task(nodeTasks, { type: "documentEdition", detailsJson: known ? details : null });
  const part = (node: string, uid: number, shards: readonly number[], count: number) =>
    report(node, "succeeded", { nodeTaskUid: nodeTaskUid(uid), shards, detailsJson: onNode(count) });
  const ring: IndexReplicas = {
    placement: [
      ["a", "b"],
      ["b", "c"],
      ["a", "c"],
    ],
    replicas: new Map([
      ["a", "in_sync"],
      ["b", "in_sync"],
      ["c", "in_sync"],
    ]),
  };

  it("counts every part that a node got", () => {
    const parts = [
      ...[part("a", 1, [0], 3), part("b", 1, [0], 3)],
      ...[part("b", 2, [1], 5), part("c", 1, [1], 5)],
      ...[part("a", 2, [2], 7), part("c", 2, [2], 7)],
    ];
    const verdict = aggregateTask(edit(parts), ring);
    expect(JSON.parse(verdict.detailsJson ?? "")).toMatchObject({
      editedDocuments: 15,
      deletedDocuments: 15,
    });
    expect(verdict.divergent).toEqual([]);
  });

  it("fails with the client's own positions, and blames no node where all replicas of a part fail", () => {
    const message = "Index `mabcdefgh_1`: Function not found: nobody () (line 3, position 11)";
    const failed = (node: string) =>
      report(node, "failed", { shards: [0], detailsJson: onNode(null), error: { ...error, message } });
    const verdict = aggregateTask(
      edit([failed("a"), failed("b"), part("b", 2, [1], 5), part("c", 1, [1], 5)]),
      ring,
    );
    expect(verdict).toMatchObject({ status: "failed", divergent: [] });
    expect(verdict.error?.message).toBe("Index `films`: Function not found: nobody () (line 2, position 11)");
    expect(verdict.detailsJson).toBe(details.replace('"editedDocuments":null', '"editedDocuments":0'));
  });

  it("gets its details back from the nodes where it was never registered", () => {
    const rebuilt = edit([part("a", 1, [], 3), part("b", 1, [], 3)], false);
    const verdict = aggregateTask(rebuilt, everywhere({ a: "in_sync", b: "in_sync" }));
    expect(verdict.detailsJson).toBe(
      details.replace(
        '"editedDocuments":null,"deletedDocuments":null',
        '"editedDocuments":3,"deletedDocuments":3',
      ),
    );
  });
});
