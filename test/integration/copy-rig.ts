import { tmpdir } from "node:os";
import { Readable } from "node:stream";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { type PlannedCopy, startCopy } from "../../src/control/copy/start-copy.js";
import { CopyService } from "../../src/gen/miroir/v1/copies_pb.js";
import { IndexService } from "../../src/gen/miroir/v1/indexes_pb.js";
import { ResourceService } from "../../src/gen/miroir/v1/resources_pb.js";
import { TaskService } from "../../src/gen/miroir/v1/tasks_pb.js";
import { type Index, ReplicaState } from "../../src/gen/miroir/v1/topology_pb.js";
import { type NodeTransport, NodeUnavailableError } from "../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../src/meilisearch/undici-transport.js";
import {
  type ControlRefusalCode,
  ControlRefusedError,
  type ControlTransport,
  ControlUnavailableError,
} from "../../src/proxy/control-transport.js";
import { buildView } from "../../src/proxy/topology/build-view.js";
import type { TopologySource, TopologyView } from "../../src/proxy/topology/topology-view.js";
import {
  type DocumentWriteRequest,
  defaultWriteConfig,
  type WriteResult,
} from "../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../src/proxy/write/write-metrics.js";
import { createWriteService, type WriteService } from "../../src/proxy/write/write-service.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";
import { type Harness, startHarness } from "./control/control-harness.js";

/** A control plane and the write path of a proxy, in one process, over nodes. */
export interface CopyRig {
  readonly harness: Harness;
  readonly service: WriteService;
  /** The index as the catalogue has it. */
  index(uid: string): Index;
  /** Starts a copy, and gives the index once the copy is gone. */
  copy(uid: string, copy: Pick<PlannedCopy, "moves" | "repairNodeIds" | "splitShards">): Promise<Index>;
  /** A write, taken by the fleet. */
  write(
    request: Omit<DocumentWriteRequest, "body" | "contentType"> & { readonly body: string },
  ): Promise<WriteResult>;
  /** Resolves with the task of a write, once it is final. */
  finished(result: WriteResult): Promise<unknown>;
  /** The documents of a shard as a node prints them, by the text of their id. */
  shardOn(nodeId: string, uid: string, shard: string): Promise<ReadonlyMap<string, string>>;
  /** Nobody reaches the node for writes. */
  cutOff(nodeId: string, cut: boolean): void;
  stop(): Promise<void>;
}

/** Starts a rig over as many nodes; every index has `shards` shards of `replicationFactor` copies. */
export async function startCopyRig(
  count: number,
  shards: number,
  replicationFactor: number,
): Promise<CopyRig> {
  const nodes: StartedNodes = await startNodes(count);
  const harness = await startHarness({
    config: { nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })) },
    shards,
    replicationFactor,
  });
  const plain = createUndiciTransport();
  const cut = new Set<string>();
  const transport: NodeTransport = {
    request: (node, request) =>
      cut.has(node.id)
        ? Promise.reject(new NodeUnavailableError(node.id, "not-sent", "cut off by the test"))
        : plain.request(node, request),
    close: () => plain.close(),
  };
  const session = `session-${Math.floor(performance.now())}`;
  const service = createWriteService({
    world: createSystemWorld(),
    topology: sourceOf(harness),
    lease: { session, proxyId: "proxy-0", state: () => ({ kind: "held" }) },
    control: controlOf(harness),
    transport,
    config: { ...defaultWriteConfig(tmpdir()), nodeTimeoutMs: 20_000 },
    logger: logger(),
    metrics: noWriteMetrics,
  });
  const index = (uid: string): Index => {
    const found = harness.topology.current().indexes.find((candidate) => candidate.uid === uid);
    if (found === undefined) throw new Error(`no index ${uid}`);
    return found;
  };
  let copies = 0;
  return {
    harness,
    service,
    index,
    async copy(uid, { moves, repairNodeIds, splitShards }) {
      const id = `copy-${++copies}`;
      await harness.topology.change(id, (draft) =>
        startCopy(draft, index(uid).instance, {
          id,
          workflowId: "",
          moves,
          repairNodeIds,
          maxDocumentsPerSecond: 0,
          ...(splitShards === undefined ? {} : { splitShards }),
        }),
      );
      const deadline = performance.now() + 60_000;
      while (index(uid).copy !== undefined) {
        if (performance.now() > deadline)
          throw new Error(`${id} does not end: ${JSON.stringify(index(uid).copy)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return index(uid);
    },
    write: ({ body, ...request }) =>
      service.submit(
        { ...request, contentType: "application/json", body: Readable.from([Buffer.from(body)]) },
        new AbortController().signal,
      ),
    finished: (result) => harness.finished(result.body.taskUid, 60_000),
    async shardOn(nodeId, uid, shard) {
      const { instance, generation } = index(uid);
      const address = buildNode(harness, nodeId);
      const response = await plain.request(address, {
        method: "POST",
        path: `/indexes/m${instance}_${generation}/documents/fetch`,
        contentType: "application/json",
        body: JSON.stringify({ filter: `_miroir_shard = "${shard}"`, limit: 100_000, retrieveVectors: true }),
      });
      if (response.status !== 200) throw new Error(response.body.toString());
      return new Map(splitResults(response.body.toString()));
    },
    cutOff: (nodeId, isCut) => {
      if (isCut) cut.add(nodeId);
      else cut.delete(nodeId);
    },
    async stop() {
      await service.drain(AbortSignal.timeout(2_000));
      await harness.stop();
      await plain.close();
      await nodes.stop();
    },
  };
}

/** Whether every replica of an index is in sync. */
export function allInSync({ replicas }: Index): boolean {
  return replicas.every(({ state }) => state === ReplicaState.IN_SYNC);
}

function buildNode(harness: Harness, nodeId: string) {
  const node = viewOf(harness).nodes.get(nodeId);
  if (node === undefined) throw new Error(`no node ${nodeId}`);
  return node.adminAddress;
}

/** Each document's own text, cut out of the answer by its first and last member, which are known. */
function splitResults(text: string): [string, string][] {
  const { results } = JSON.parse(text) as { results: { id: string }[] };
  const pieces = text.slice(text.indexOf("[") + 1, text.lastIndexOf("]")).split(/(?<=\})(?=,\{"id":)/);
  return results.map(({ id }, at) => [String(id), (pieces[at] ?? "").replace(/^,/, "")]);
}

function viewOf(harness: Harness): TopologyView {
  return buildView(
    harness.topology.current(),
    new Map(harness.control.credentials().map((entry) => [entry.nodeId, entry])),
  );
}

function sourceOf(harness: Harness): TopologySource {
  const listeners = new Set<(view: TopologyView) => void>();
  let current = viewOf(harness);
  harness.topology.onChange(() => {
    current = viewOf(harness);
    for (const listener of [...listeners]) listener(current);
  });
  const onChange = (listener: (view: TopologyView) => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    current: () => current,
    onChange,
    waitFor: (predicate, signal) =>
      new Promise((resolve, reject) => {
        if (predicate(current)) return resolve(current);
        const stop = onChange((view) => {
          if (!predicate(view)) return;
          stop();
          resolve(view);
        });
        signal.addEventListener("abort", () => {
          stop();
          reject(new Error("given up waiting"));
        });
      }),
  };
}

/** The services of the control plane, as a proxy calls them. */
function controlOf({ control }: Harness): ControlTransport {
  const router = createRouterTransport(({ service }) => {
    service(TaskService, control.services.tasks);
    service(IndexService, control.services.indexes);
    service(CopyService, control.services.copies);
    service(ResourceService, control.services.resources);
  });
  const services: Readonly<Record<string, (request: object) => Promise<unknown>>>[] = [
    createClient(TaskService, router),
    createClient(IndexService, router),
    createClient(CopyService, router),
    createClient(ResourceService, router),
  ] as never;
  return new Proxy({} as ControlTransport, {
    get: (_, name) => async (request: object) => {
      const call = services.map((client) => client[String(name)]).find((method) => method !== undefined);
      if (call === undefined) throw new ControlUnavailableError(`${String(name)} is not served`);
      try {
        return await call(request);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        const code = Code[error.code].replace(/(?<=.)[A-Z]/g, "_$&").toLowerCase() as ControlRefusalCode;
        throw new ControlRefusedError(code, error.rawMessage);
      }
    },
  });
}

function logger() {
  const say = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (process.env.MIROIR_TEST_LOG === undefined) return;
    const told = Object.entries(fields).map(
      ([name, value]) => `${name}=${value instanceof Error ? value.stack : value}`,
    );
    process.stderr.write(`[${Math.round(performance.now())}] ${level} ${message} ${told.join(" ")}\n`);
  };
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}
