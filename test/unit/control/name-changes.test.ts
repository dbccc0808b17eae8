import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  changeNames,
  changeOf,
  detailsOf,
  type NameChange,
} from "../../../src/control/indexes/name-changes.js";
import { IndexSchema, type Topology, TopologySchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { indexInstance, type TaskRow, taskUid } from "../../../src/store/task-store.js";

const TASK = 9;
const NOW = 1_000;

/** A topology of indexes whose instance is called after their first name. */
function topologyOf(...uids: readonly string[]): Topology {
  return create(TopologySchema, {
    indexes: uids.map((uid) => create(IndexSchema, { uid, instance: `i-${uid}` })),
  });
}

function names(topology: Topology): readonly string[] {
  return topology.indexes.map(({ uid, instance }) => `${uid}=${instance}`);
}

function swapOf(...pairs: readonly (readonly [string, string, boolean?])[]): NameChange {
  return {
    kind: "swap",
    swaps: pairs.map(([left, right, rename = false]) => ({ indexes: [left, right], rename })),
  };
}

function renameOf(uid: string, newUid: string, primaryKey?: string): NameChange {
  return { kind: "rename", uid, newUid, primaryKey };
}

describe("a change of names", () => {
  it("exchanges and renames in one step, in ascending order of names", () => {
    const topology = topologyOf("a", "b", "c");
    expect(changeNames(topology, swapOf(["a", "b"], ["c", "0", true]), TASK, NOW)).toBeUndefined();
    expect(names(topology)).toEqual(["0=i-c", "a=i-b", "b=i-a"]);
    expect(topology.indexes.every((index) => index.namedByTask === BigInt(TASK))).toBe(true);
  });

  it.each([
    [swapOf(["a", "x"]), "Index `x` not found.", "index_not_found"],
    [swapOf(["z", "y"], ["a", "b"]), "Indexes `y`, `z` not found.", "index_not_found"],
    [
      swapOf(["a", "b", true]),
      "Cannot rename `a` to `b` as the index already exists. Hint: You can remove `b` first and then do your remove.",
      "index_already_exists",
    ],
    [
      swapOf(["c", "d", true], ["a", "b", true]),
      "The following indexes are being renamed but cannot because their new name conflicts with an already existing index: `b`, `d`. Renaming doesn't overwrite the other index name.",
      "index_already_exists",
    ],
    [swapOf(["x", "b", true]), "Index `x` not found.", "index_not_found"],
    [renameOf("x", "y"), "Index `x` not found.", "index_not_found"],
    [renameOf("a", "b"), "Index `b` already exists.", "index_already_exists"],
  ] as const)("%j changes nothing where it fails", (change, message, code) => {
    const topology = topologyOf("a", "b", "c", "d");
    const before = names(topology);
    expect(changeNames(topology, change, TASK, NOW)).toMatchObject({ message, code });
    expect(names(topology)).toEqual(before);
  });

  it("sets a primary key where there is none, and renames where there is another", () => {
    const topology = topologyOf("a");
    expect(changeNames(topology, renameOf("a", "b", "id"), TASK, NOW)).toBeUndefined();
    expect(topology.indexes[0]).toMatchObject({ uid: "b", primaryKey: "id" });
    expect(changeNames(topology, renameOf("b", "c", "key"), TASK, NOW)).toMatchObject({
      code: "index_primary_key_already_exists",
      message: "Index `c`: Index already has a primary key: `id`.",
    });
    expect(topology.indexes[0]).toMatchObject({ uid: "c", primaryKey: "id" });
  });

  it("can be read back from its task", () => {
    const row = (change: NameChange): TaskRow => ({
      uid: taskUid(TASK),
      indexUid: null,
      instance: null,
      type: change.kind === "swap" ? "indexSwap" : "indexUpdate",
      status: "enqueued",
      detailsJson: detailsOf(change),
      error: null,
      enqueuedAt: NOW,
      startedAt: null,
      finishedAt: null,
      canceledBy: null,
      customMetadata: null,
      documentsByShard: new Map(),
      nodeTasks: [],
    });
    for (const change of [
      swapOf(["a", "b"], ["c", "d", true]),
      renameOf("a", "b"),
      renameOf("a", "b", "id"),
    ]) {
      expect(changeOf(row(change))).toEqual(change);
    }
    const keyed = {
      ...row(renameOf("a", "b")),
      instance: indexInstance("aaaaaaaa"),
      detailsJson: '{"primaryKey":"id"}',
    };
    expect(changeOf(keyed)).toBeUndefined();
  });
});
