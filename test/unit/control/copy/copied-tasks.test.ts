import { create } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it } from "vitest";
import {
  beginCopy,
  cancelCopy,
  cleanCopy,
  dropCopy,
  endCopy,
  switchCopy,
} from "../../../../src/control/copy/copy-steps.js";
import { aggregateTask, type TaskVerdict } from "../../../../src/control/tasks/aggregate.js";
import { indexReplicas } from "../../../../src/control/tasks/index-replicas.js";
import {
  type Index,
  IndexSchema,
  ReplicaState,
  ShardCopyStep,
} from "../../../../src/gen/miroir/v1/topology_pb.js";
import {
  isFinalStatus,
  nodeId,
  nodeTaskUid,
  type TaskRow,
  type TaskStatus,
  taskUid,
} from "../../../../src/store/task-store.js";

let index: Index;

/** Shard 0 on a and b, shard 1 on b and c; shard 0 is about to move from a to c. */
beforeEach(() => {
  index = create(IndexSchema, {
    uid: "films",
    instance: "aaaaaaaa",
    generation: 1n,
    shards: 2,
    placement: [
      { shard: 0, nodeIds: ["a", "b"] },
      { shard: 1, nodeIds: ["b", "c"] },
    ],
    replicas: ["a", "b", "c"].map((id) => ({ nodeId: id, state: ReplicaState.IN_SYNC })),
    copy: {
      id: "c1",
      step: ShardCopyStep.PLANNED,
      moves: [{ shard: 0, fromNodeId: "a", toNodeId: "c" }],
    },
  });
});

type Report = readonly [node: string, status: TaskStatus, count?: number];

/** A deletion by ids of shard 0 unless told otherwise. */
function judged(
  reports: readonly Report[],
  shards: readonly number[] = [0],
): TaskVerdict & { count: unknown } {
  const task: TaskRow = {
    uid: taskUid(1),
    indexUid: "films",
    instance: null,
    type: "documentDeletion",
    status: "enqueued",
    detailsJson: '{"providedIds":4,"deletedDocuments":null}',
    error: null,
    enqueuedAt: 0,
    startedAt: null,
    finishedAt: null,
    canceledBy: null,
    customMetadata: null,
    documentsByShard: new Map(),
    nodeTasks: reports.map(([node, status, count = 0]) => ({
      nodeId: nodeId(node),
      nodeTaskUid: nodeTaskUid(1),
      status,
      error:
        status === "failed" ? { message: "broken", code: "internal", type: "internal", link: "l" } : null,
      shards,
      detailsJson: isFinalStatus(status) ? JSON.stringify({ deletedDocuments: count }) : null,
      startedAt: status === "enqueued" ? null : 100,
      finishedAt: isFinalStatus(status) ? 200 : null,
    })),
  };
  // What is computed for an index is kept for it, since published ones never change.
  const verdict = aggregateTask(task, indexReplicas(create(IndexSchema, index)));
  const details = JSON.parse(verdict.detailsJson ?? "{}") as { deletedDocuments?: unknown };
  return { ...verdict, count: details.deletedDocuments };
}

describe("a task while a shard is copied", () => {
  it("waits for the node that is filled, and neither counts nor judges what it did", () => {
    beginCopy(index, "c1");
    expect(
      judged([
        ["a", "succeeded", 4],
        ["b", "succeeded", 4],
        ["c", "enqueued"],
      ]).status,
    ).toBe("processing");
    expect(
      judged([
        ["a", "succeeded", 4],
        ["b", "succeeded", 4],
        ["c", "succeeded", 1],
      ]),
    ).toMatchObject({
      status: "succeeded",
      count: 4,
      divergent: [],
    });
    expect(
      judged([
        ["a", "succeeded", 4],
        ["b", "succeeded", 4],
        ["c", "failed"],
      ]),
    ).toMatchObject({
      status: "succeeded",
      count: 4,
      divergent: [],
    });
  });

  it("comes out right where it was sent before the switch and is judged after it", () => {
    beginCopy(index, "c1");
    switchCopy(index, "c1");
    expect(
      judged([
        ["a", "succeeded", 4],
        ["b", "succeeded", 4],
        ["c", "succeeded", 1],
      ]),
    ).toMatchObject({
      status: "succeeded",
      count: 4,
    });
    expect(
      judged([
        ["a", "processing"],
        ["b", "succeeded", 4],
        ["c", "succeeded", 1],
      ]).status,
    ).toBe("processing");
  });

  it("waits for the new replica after the switch, and finds it out where it fails alone", () => {
    beginCopy(index, "c1");
    switchCopy(index, "c1");
    expect(
      judged([
        ["a", "succeeded", 4],
        ["b", "succeeded", 4],
        ["c", "enqueued"],
      ]).status,
    ).toBe("processing");
    expect(
      judged([
        ["a", "succeeded", 4],
        ["b", "succeeded", 4],
        ["c", "failed"],
      ]),
    ).toMatchObject({
      status: "succeeded",
      divergent: ["c"],
    });
  });

  it("does not wait for a target that is stale, nor for one whose copy was cancelled", () => {
    beginCopy(index, "c1");
    const reports: Report[] = [
      ["a", "succeeded", 4],
      ["b", "succeeded", 4],
      ["c", "enqueued"],
    ];
    cancelCopy(index, "c1");
    expect(judged(reports)).toMatchObject({ status: "succeeded", count: 4 });
  });

  it("does not count what a given-up replica did of the shard, nor wait for it", () => {
    beginCopy(index, "c1");
    switchCopy(index, "c1");
    dropCopy(index, "c1");
    index.placement[1]?.nodeIds.unshift("a");
    cleanCopy(index, "c1");
    endCopy(index, "c1");
    expect(
      judged([
        ["a", "enqueued"],
        ["b", "succeeded", 4],
        ["c", "succeeded", 4],
      ]),
    ).toMatchObject({
      status: "succeeded",
      count: 4,
    });
  });

  it("counts a deletion by filter on the nodes that hold nothing in part", () => {
    index.placement[1]?.nodeIds.unshift("a");
    beginCopy(index, "c1");
    // c deletes some of shard 0 as well, which it holds a part of.
    expect(
      judged(
        [
          ["a", "succeeded", 6],
          ["b", "succeeded", 6],
          ["c", "succeeded", 5],
        ],
        [],
      ),
    ).toMatchObject({
      status: "succeeded",
      count: 6,
    });
  });
});
