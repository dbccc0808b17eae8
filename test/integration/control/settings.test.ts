import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TaskStatus } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { type Index, ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { indexInstance } from "../../../src/store/task-store.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";
import { DirectWriter } from "./direct-writer.js";
import { eventually } from "./eventually.js";

let nodes: StartedNodes;
let harness: Harness;
let writer: DirectWriter;
let uid = "";
let count = 0;

beforeAll(async () => {
  nodes = await startNodes(3);
  harness = await startHarness({
    config: {
      nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })),
      audit: { registrationGraceMs: 300 },
    },
    replicationFactor: 3,
  });
  writer = new DirectWriter(harness);
});

afterAll(async () => {
  await harness?.stop();
  await nodes?.stop();
});

beforeEach(async () => {
  uid = `settings-${count++}`;
  await harness.indexes.ensureIndex({ uid, primaryKey: "id", session: "s" });
});

function index(): Index {
  const found = harness.topology.current().indexes.find((candidate) => candidate.uid === uid);
  if (found === undefined) throw new Error("no index");
  return found;
}

describe("a settings change", () => {
  it("is committed under a new version when all replicas have it, and reads as the client wrote it", async () => {
    const change = await writer.settings(uid, {
      filterableAttributes: ["genre", { attributePatterns: ["a*"] }],
      rankingRules: ["words", "sort"],
      stopWords: ["the", "a"],
      distinctAttribute: null,
    });
    await writer.register(change);
    const task = await harness.finished(change.uid);
    expect(task.status).toBe(TaskStatus.SUCCEEDED);
    expect(JSON.parse(task.detailsJson)).toMatchObject({
      stopWords: ["a", "the"],
      rankingRules: ["words", "sort"],
    });
    expect(task.detailsJson).not.toContain("_miroir_");
    const committed = index();
    expect(committed).toMatchObject({ settingsVersion: 2n, settingsChanging: false });
    expect(JSON.parse(committed.settingsJson)).toMatchObject({
      filterableAttributes: ["genre", { attributePatterns: ["a*"] }],
      rankingRules: ["words", "sort"],
      stopWords: ["a", "the"],
    });
    const rows = await harness.store.nodeSettingsVersions.listByInstance(indexInstance(committed.instance));
    expect(rows.map(({ nodeId, version }) => [nodeId, version])).toEqual([
      ["node-0", 2],
      ["node-1", 2],
      ["node-2", 2],
    ]);
    expect(new Set(rows.map(({ fingerprint }) => fingerprint)).size).toBe(1);
  });

  it("is announced while it is under way", async () => {
    const seen: boolean[] = [];
    const end = harness.topology.onChange(() => seen.push(index().settingsChanging));
    const change = await writer.settings(uid, { stopWords: ["x"] });
    await writer.register(change);
    await harness.finished(change.uid);
    end();
    expect(seen).toContain(true);
    expect(index().settingsChanging).toBe(false);
  });

  it("that fails everywhere fails with the node's error and leaves settings and version as they were", async () => {
    const documents = await writer.add(uid, [{ id: 1, _geo: { lat: "north", lng: 0 } }]);
    await writer.register(documents);
    expect((await harness.finished(documents.uid)).status).toBe(TaskStatus.SUCCEEDED);
    const before = index();
    const change = await writer.settings(uid, { filterableAttributes: ["_geo"] });
    await writer.register(change);
    const task = await harness.finished(change.uid);
    expect(task.status).toBe(TaskStatus.FAILED);
    expect(task.error?.code).toBe("invalid_document_geo_field");
    expect(task.detailsJson).not.toContain("_miroir_");
    expect(index()).toMatchObject({
      settingsVersion: before.settingsVersion,
      settingsJson: before.settingsJson,
      settingsChanging: false,
      replicas: before.replicas,
    });
  });

  it("that follows closely on another is committed as well", async () => {
    const first = await writer.settings(uid, { stopWords: ["one"] });
    await writer.register(first);
    const second = await writer.settings(uid, { stopWords: ["two"], synonyms: { a: ["b"] } });
    await writer.register(second);
    expect((await harness.finished(first.uid)).status).toBe(TaskStatus.SUCCEEDED);
    expect((await harness.finished(second.uid)).status).toBe(TaskStatus.SUCCEEDED);
    expect(JSON.parse(index().settingsJson)).toMatchObject({ stopWords: ["two"], synonyms: { a: ["b"] } });
    expect(index().settingsChanging).toBe(false);
  });

  it("that reached some replicas only makes the odd one suspect", async () => {
    const change = await writer.settings(uid, { stopWords: ["odd"] }, ["node-0", "node-2"]);
    await writer.register(change);
    expect((await harness.finished(change.uid)).status).toBe(TaskStatus.SUCCEEDED);
    expect(index().replicas.map(({ state }) => state)).toEqual([
      ReplicaState.IN_SYNC,
      ReplicaState.SUSPECT,
      ReplicaState.IN_SYNC,
    ]);
    expect(JSON.parse(index().settingsJson)).toMatchObject({ stopWords: ["odd"] });
  });

  it("that nobody registered is committed where the replicas agree", async () => {
    await writer.settings(uid, { stopWords: ["silent"] });
    await eventually(() => expect(JSON.parse(index().settingsJson)).toMatchObject({ stopWords: ["silent"] }));
    expect(index().settingsVersion).toBe(2n);
  });
});
