import type { MiroirClient } from "../../src/client/index.js";
import type { Topology } from "../../src/gen/miroir/v1/topology_pb.js";
import { WorkflowStatus } from "../../src/gen/miroir/v1/workflows_pb.js";
import { fillIndex } from "../support/fill-index.js";
import { fleetDifferences } from "../support/fleet-differences.js";
import { type ElasticFleet, type LogLine, startElasticFleet } from "./fleet-processes.js";
import { type HeldBack, heldBack } from "./held-back.js";
import { movedReplicas } from "./moves.js";
import { type OpenLoad, type SeenRequest, startOpenLoad } from "./open-load.js";
import { type PauseMoment, pauseMoments, quantile, writePauses } from "./pauses.js";

/** How a run goes. */
export interface ElasticOptions {
  readonly corpus: readonly object[];
  readonly shards: number;
  readonly replicationFactor: number;
  /** Nodes at the start and at the end. */
  readonly from: number;
  /** Nodes at the most. */
  readonly to: number;
  /** Requests a second. */
  readonly writes: number;
  readonly documentsPerWrite: number;
  readonly searches: number;
  readonly nodeKey: string;
  readonly progress: (text: string) => void;
}

/** One change of the fleet, and what clients saw of it. Times are milliseconds unless named otherwise. */
export interface StepResult {
  readonly name: string;
  readonly seconds: number;
  readonly moved: number;
  /** The most that may move. */
  readonly bound: number;
  /** Moves between two nodes that stay; there should be none. */
  readonly betweenStaying: number;
  readonly documents: number;
  readonly bytes: number;
  readonly writes: number;
  readonly searches: number;
  readonly failed: number;
  readonly writeP99: number;
  readonly searchP99: number;
}

/** What a run came to. */
export interface ElasticResult {
  readonly steps: readonly StepResult[];
  readonly pauses: readonly {
    readonly kind: PauseMoment["kind"];
    readonly count: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  }[];
  /** Turns of copies in the index's lane, by their step. */
  readonly heldBack: readonly HeldBack[];
  readonly documents: number;
  /** Documents of the load that are missing, too many, or not as written last. */
  readonly wrong: number;
  readonly differences: number;
  /** What was not as it should be. */
  readonly faults: readonly string[];
  /** Every request and log line, to look into a run. */
  readonly seen: readonly SeenRequest[];
  readonly logs: readonly LogLine[];
  /** What to add to a request's times for milliseconds since the Unix epoch. */
  readonly epoch: number;
}

const INDEX = "films";
const BATCH = 5_000;
/** Milliseconds of load before the first change, after the last one, and between two. */
const CALM_MS = 5_000;

/** Grows a fleet node by node and shrinks it back, under a load that goes on throughout. */
export async function runElastic(options: ElasticOptions): Promise<ElasticResult> {
  const { from, to } = options;
  const fleet = await startElasticFleet({ ...options, nodes: from, spare: to - from });
  try {
    options.progress(`indexing ${options.corpus.length} documents on ${from} nodes`);
    await fillIndex(fleet.api, INDEX, options.corpus);
    const epoch = Date.now() - performance.now();
    const load = startOpenLoad({
      url: fleet.url,
      index: INDEX,
      writesPerSecond: options.writes,
      documentsPerWrite: options.documentsPerWrite,
      searchesPerSecond: options.searches,
      firstId: options.corpus.length,
    });
    const steps = await changeFleet(fleet, load, options);
    await load.stop();
    options.progress("waiting for the last tasks, then verifying");
    return await conclude(fleet, load, steps, options, (monotonic) => epoch + monotonic);
  } finally {
    await fleet.stop();
  }
}

async function changeFleet(
  fleet: ElasticFleet,
  load: OpenLoad,
  { from, nodeKey, progress, replicationFactor, shards, to }: ElasticOptions,
): Promise<readonly StepResult[]> {
  const { cluster } = fleet.client;
  const steps: StepResult[] = [await calmStep(load, "before")];
  for (let count = from; count < to; count++) {
    const nodeId = `node-${count}`;
    const url = fleet.nodes.nodes[count]?.url ?? "";
    const bound = Math.ceil((shards * replicationFactor) / (count + 1)) + 1;
    const name = `${count} → ${count + 1}`;
    progress(`${name}: adding ${nodeId}`);
    steps.push(
      await step(fleet, load, { name, bound, nodeId }, async () => {
        const { change } = await cluster.addNode({ node: { url, key: nodeKey, id: nodeId } });
        return change?.workflowId ?? "";
      }),
    );
    await calm();
  }
  for (let count = to; count > from; count--) {
    const nodeId = `node-${count - 1}`;
    const bound = Math.ceil((shards * replicationFactor) / count) + 1;
    const name = `${count} → ${count - 1}`;
    progress(`${name}: draining and removing ${nodeId}`);
    steps.push(
      await step(fleet, load, { name, bound, nodeId }, async () => {
        const { change } = await cluster.drainNode({ nodeId });
        return change?.workflowId ?? "";
      }),
    );
    await cluster.removeNode({ nodeId });
    await calm();
  }
  steps.push(await calmStep(load, "after"));
  return steps;
}

async function step(
  { client }: ElasticFleet,
  load: OpenLoad,
  { bound, name, nodeId }: { readonly name: string; readonly bound: number; readonly nodeId: string },
  begin: () => Promise<string>,
): Promise<StepResult> {
  const before = await topologyOf(client);
  const seenBefore = load.seen.length;
  const began = performance.now();
  const workflow = await followed(client, await begin());
  const seconds = (performance.now() - began) / 1_000;
  return {
    name,
    seconds,
    bound,
    ...movedReplicas(before, await topologyOf(client), new Set([nodeId])),
    documents: Number(workflow.progress?.documentsCopied ?? 0n),
    bytes: Number(workflow.progress?.bytesCopied ?? 0n),
    ...seenBy(load.seen.slice(seenBefore)),
  };
}

async function followed(client: MiroirClient, id: string) {
  for await (const { workflow } of client.workflows.watchWorkflow({ id })) {
    if (workflow === undefined || workflow.status === WorkflowStatus.RUNNING) continue;
    if (workflow.status === WorkflowStatus.COMPLETED) return workflow;
    throw new Error(`${workflow.title} ${WorkflowStatus[workflow.status]}: ${workflow.reason}`);
  }
  throw new Error(`workflow ${id} was not told of to its end`);
}

async function topologyOf(client: MiroirClient): Promise<Topology> {
  const { topology } = await client.topology.getTopology({});
  if (topology === undefined) throw new Error("the control plane has no topology");
  return topology;
}

async function calmStep(load: OpenLoad, name: string): Promise<StepResult> {
  const seenBefore = load.seen.length;
  await calm();
  const nothing = { moved: 0, bound: 0, betweenStaying: 0, documents: 0, bytes: 0 };
  return { name, seconds: CALM_MS / 1_000, ...nothing, ...seenBy(load.seen.slice(seenBefore)) };
}

function calm(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CALM_MS));
}

function seenBy(seen: readonly SeenRequest[]) {
  const took = (kind: SeenRequest["kind"]) =>
    seen.filter((request) => request.kind === kind).map(({ answeredAt, sentAt }) => answeredAt - sentAt);
  const [writes, searches] = [took("write"), took("search")];
  return {
    writes: writes.length,
    searches: searches.length,
    failed: seen.filter(({ fault }) => fault !== "").length,
    writeP99: quantile(writes, 0.99),
    searchP99: quantile(searches, 0.99),
  };
}

async function conclude(
  fleet: ElasticFleet,
  load: OpenLoad,
  steps: readonly StepResult[],
  { corpus }: ElasticOptions,
  epochOf: (monotonic: number) => number,
): Promise<ElasticResult> {
  for (const uid of load.tasks.slice(-100)) await fleet.api.waitForTask(uid, 600_000);
  const { documents, wrong } = await compare(fleet, load, corpus.length);
  const differences = await fleetDifferences(fleet.client);
  const pauses = writePauses(pauseMoments(fleet.logs()), load.seen, epochOf);
  const faults = [
    ...load.seen.filter(({ fault }) => fault !== "").map(({ fault, kind }) => `${kind}: ${fault}`),
    ...steps
      .filter(({ betweenStaying }) => betweenStaying > 0)
      .map(({ name }) => `${name}: nodes that stay exchanged shards`),
    ...steps.filter(({ bound, moved }) => moved > bound).map(({ name }) => `${name}: too many shards moved`),
    ...(wrong > 0 ? [`${wrong} documents are not as they were written`] : []),
    ...(differences > 0 ? [`${differences} differences between replicas`] : []),
  ];
  const kinds = ["join", "switch", "drop"] as const;
  return {
    steps,
    pauses: kinds.map((kind) => {
      const values = pauses.filter((pause) => pause.kind === kind).map(({ milliseconds }) => milliseconds);
      return {
        kind,
        count: values.length,
        p50: quantile(values, 0.5),
        p99: quantile(values, 0.99),
        max: quantile(values, 1),
      };
    }),
    heldBack: heldBack((await fleet.api.send("GET", "/_miroir/metrics")).text),
    documents,
    wrong,
    differences,
    faults,
    seen: load.seen,
    logs: fleet.logs(),
    epoch: epochOf(0),
  };
}

/** Whether every document that the load wrote is as it was written last, and no other is there. */
async function compare(
  { api }: ElasticFleet,
  { expected }: OpenLoad,
  firstId: number,
): Promise<{ readonly documents: number; readonly wrong: number }> {
  let wrong = 0;
  const ids = [...expected.keys()];
  for (let at = 0; at < ids.length; at += BATCH) {
    const asked = ids.slice(at, at + BATCH);
    const { results } = await api.ok<{ results: readonly { readonly id: number; readonly round: number }[] }>(
      "POST",
      `/indexes/${INDEX}/documents/fetch`,
      { ids: asked, limit: asked.length, fields: ["id", "round"] },
    );
    const found = new Map(results.map(({ id, round }) => [id, round]));
    wrong += asked.filter((id) => found.get(id) !== expected.get(id)).length;
  }
  const { numberOfDocuments } = await api.ok<{ numberOfDocuments: number }>("GET", `/indexes/${INDEX}/stats`);
  return { documents: numberOfDocuments, wrong: wrong + Math.abs(numberOfDocuments - firstId - ids.length) };
}
