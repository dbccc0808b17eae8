import { create } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { pino } from "pino";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createCopyMetrics } from "../../../../src/control/copy/copy-metrics.js";
import { CopyProgressBook } from "../../../../src/control/copy/copy-progress.js";
import { createCopyService } from "../../../../src/control/copy/copy-service.js";
import { startCopy } from "../../../../src/control/copy/start-copy.js";
import { commitGeneration } from "../../../../src/control/indexes/generation-commit.js";
import { errorCodes } from "../../../../src/control/server/error-codes.js";
import {
  createTopologyManager,
  type TopologyManager,
} from "../../../../src/control/topology/topology-manager.js";
import { type AdvanceCopyRequest, CopyService } from "../../../../src/gen/miroir/v1/copies_pb.js";
import {
  type CommitGenerationRequest,
  CommitGenerationRequestSchema,
} from "../../../../src/gen/miroir/v1/indexes_pb.js";
import {
  type Index,
  NodeSchema,
  NodeState,
  ReplicaState,
  ShardCopyStep,
  WriterSchema,
} from "../../../../src/gen/miroir/v1/topology_pb.js";
import { openSqliteTaskStore } from "../../../../src/store/sqlite/sqlite-task-store.js";
import { leaseScope, type TaskStore } from "../../../../src/store/task-store.js";
import { createManualWorld } from "../../../support/manual-world.js";
import { putIndex, sampleIndex, sampleTopology } from "../../../support/topologies.js";

const logger = pino({ level: "silent" });
const world = createManualWorld();
const writer = create(WriterSchema, { proxyId: "p", session: "s" });
let store: TaskStore;
let topology: TopologyManager;
let progress: CopyProgressBook;
let metrics: Registry;
let acknowledgements: (bigint | undefined)[];
let client: Client<typeof CopyService>;

beforeEach(async () => {
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
  const scope = leaseScope("leader");
  const lease = await store.lease.acquire({ scope, holder: "a", ttlMs: 1_000_000, aboveTerm: 0 });
  topology = createTopologyManager({ table: store.topology, logger, initial: sampleTopology() });
  await topology.beginTerm({ scope, holder: "a", term: lease?.term ?? 0 });
  metrics = new Registry();
  progress = new CopyProgressBook(createCopyMetrics(metrics));
  acknowledgements = [];
  const service = createCopyService({
    topology,
    progress,
    clock: world.clock,
    logger,
    acknowledged: async (epoch) => {
      acknowledgements.push(epoch.counter);
    },
  });
  client = createClient(
    CopyService,
    createRouterTransport(({ service: add }) => add(CopyService, service), {
      router: { interceptors: [errorCodes] },
    }),
  );
  await topology.change("an index and a third node", (draft) => {
    draft.nodes.push(
      create(NodeSchema, { id: "node-2", url: "http://127.0.0.1:9009", state: NodeState.ACTIVE }),
    );
    draft.groups[0]?.nodeIds.push("node-2");
    putIndex(draft, Object.assign(sampleIndex("movies", "aaaaaaaa"), { writer }));
  });
  await topology.change("a copy", (draft) =>
    startCopy(draft, "aaaaaaaa", {
      id: "c1",
      workflowId: "w1",
      moves: [{ shard: 1, from: "node-0", to: "node-2" }],
      repairNodeIds: [],
      maxDocumentsPerSecond: 0,
    }),
  );
});
afterEach(() => store.close());

const movies = (): Index => {
  const index = topology.current().indexes.find(({ instance }) => instance === "aaaaaaaa");
  if (index === undefined) throw new Error("the index is gone");
  return index;
};
const commit = (rest: Omit<Partial<CommitGenerationRequest>, "$typeName" | "$unknown">) =>
  commitGeneration(
    { topology, logger },
    create(CommitGenerationRequestSchema, {
      instance: "aaaaaaaa",
      expectedGeneration: movies().generation,
      newGeneration: movies().generation + 1n,
      writer,
      ...rest,
    }),
  );
const begin = () => commit({ copyId: "c1", copyStep: ShardCopyStep.COPYING });
const advance = (
  from: ShardCopyStep,
  to: ShardCopyStep,
  rest: Omit<Partial<AdvanceCopyRequest>, "$typeName" | "$unknown"> = {},
) =>
  client.advanceCopy({
    instance: "aaaaaaaa",
    copyId: "c1",
    expectedStep: from,
    nextStep: to,
    expectedGeneration: rest.expectedGeneration ?? movies().generation,
    writer,
    ...rest,
  });
const { PLANNED, COPYING, SWITCHED, DROPPING, CLEANING, UNSPECIFIED } = ShardCopyStep;
const codeOf = (call: Promise<unknown>): Promise<Code | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );

describe("the steps of a copy", () => {
  it("go through generations and through AdvanceCopy in turn, each once", async () => {
    const begun = await begin();
    expect(begun.index).toMatchObject({ generation: 2n, copy: { step: COPYING } });
    // The answer was lost: the writer asks again.
    const again = await commit({
      copyId: "c1",
      copyStep: COPYING,
      expectedGeneration: 1n,
      newGeneration: 2n,
    });
    expect(again.epoch).toEqual(begun.epoch);
    const switched = await advance(COPYING, SWITCHED);
    expect(switched.index?.placement[1]).toMatchObject({
      nodeIds: ["node-1", "node-2"],
      leavingNodeIds: ["node-0"],
    });
    expect(await advance(COPYING, SWITCHED)).toEqual(switched);
    await commit({ copyId: "c1", copyStep: DROPPING });
    await advance(DROPPING, CLEANING);
    const ended = await advance(CLEANING, UNSPECIFIED);
    expect(ended.index?.copy).toBeUndefined();
    expect(await advance(CLEANING, UNSPECIFIED)).toEqual(ended);
  });

  it("wait for the proxies where they are asked to", async () => {
    await begin();
    const { epoch } = await advance(COPYING, SWITCHED);
    expect(acknowledgements).toEqual([]);
    await advance(SWITCHED, SWITCHED, { waitForProxies: true });
    expect(acknowledgements).toEqual([epoch?.counter]);
  });

  it("are refused to others than the writer, at another step and at another generation", async () => {
    await begin();
    const stranger = create(WriterSchema, { proxyId: "q", session: "t" });
    expect(await codeOf(advance(COPYING, SWITCHED, { writer: stranger }))).toBe(Code.Aborted);
    expect(await codeOf(advance(PLANNED, SWITCHED))).toBe(Code.Aborted);
    expect(await codeOf(advance(COPYING, SWITCHED, { expectedGeneration: 1n }))).toBe(Code.Aborted);
    expect(await codeOf(advance(SWITCHED, DROPPING))).toBe(Code.InvalidArgument);
    expect(movies().copy?.step).toBe(COPYING);
  });

  it("go back where a target misses a write", async () => {
    await begin();
    await commit({ staleNodeIds: ["node-2"] });
    expect(movies()).toMatchObject({ generation: 3n, copy: { step: PLANNED, repairNodeIds: [] } });
    expect(movies().replicas.map(({ nodeId }) => nodeId)).toEqual(["node-0", "node-1"]);
  });

  it("do not begin with a target that is stale", async () => {
    await expect(commit({ copyId: "c1", copyStep: COPYING, staleNodeIds: ["node-2"] })).rejects.toThrow(
      /its target node-2 is stale/,
    );
    expect(movies()).toMatchObject({ generation: 1n, copy: { step: PLANNED } });
  });

  it("answer that the index is gone where it was deleted meanwhile", async () => {
    await begin();
    const generation = movies().generation;
    await topology.change("deleted", (draft) => {
      draft.indexes = [];
    });
    const answer = await advance(COPYING, SWITCHED, { expectedGeneration: generation });
    expect(answer.index).toBeUndefined();
  });
});

describe("the last copy of a shard", () => {
  it("may go stale after the switch only where a leaving one has all writes, which serves again", async () => {
    await commit({ staleNodeIds: ["node-1"] });
    await begin();
    await expect(commit({ staleNodeIds: ["node-0"] })).rejects.toThrow(/last in-sync copy/);
    await advance(COPYING, SWITCHED);
    await commit({ staleNodeIds: ["node-2"] });
    expect(movies().placement[1]).toMatchObject({
      nodeIds: ["node-0", "node-1", "node-2"],
      leavingNodeIds: [],
    });
    expect(movies().replicas).toMatchObject([
      { nodeId: "node-0", state: ReplicaState.IN_SYNC },
      { nodeId: "node-1", state: ReplicaState.STALE },
      { nodeId: "node-2", state: ReplicaState.STALE },
    ]);
  });
});

describe("reports", () => {
  it("are remembered from the writer alone, and counted", async () => {
    const report = { documentsCopied: 10n, bytesCopied: 500n, documentsLeft: 3n };
    await client.reportCopy({ instance: "aaaaaaaa", copyId: "c1", progress: report, writer });
    await client.reportCopy({
      instance: "aaaaaaaa",
      copyId: "c1",
      progress: { ...report, documentsCopied: 99n },
      writer: { proxyId: "q", session: "t" },
    });
    expect(progress.of("c1")).toMatchObject(report);
    await client.reportCopy({
      instance: "aaaaaaaa",
      copyId: "c1",
      progress: { ...report, documentsCopied: 14n },
      writer,
    });
    expect(await metrics.metrics()).toContain('miroir_copy_documents_total{outcome="copied"} 14');
  });
});
