import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { pino } from "pino";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { standForLeadership } from "../../../src/cli/candidacy.js";
import { configSchema } from "../../../src/cli/config.js";
import { LEADER_SCOPE } from "../../../src/control/leader/leadership.js";
import type { LeaderServices } from "../../../src/control/server/replica-services.js";
import { createServerMetrics } from "../../../src/control/server/server-metrics.js";
import { loadTopology } from "../../../src/control/topology/stored-topology.js";
import { ExportService } from "../../../src/gen/miroir/v1/exports_pb.js";
import { IndexService } from "../../../src/gen/miroir/v1/indexes_pb.js";
import { TaskService, TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { NodeState } from "../../../src/gen/miroir/v1/topology_pb.js";
import type { NodeTaskPage, NodeTaskRecord } from "../../../src/meilisearch/node-client.js";
import type { NodeRequest, NodeResponse, NodeTransport } from "../../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Relay, startRelay } from "../../support/relay.js";
import { eventually } from "./eventually.js";

const world = createSystemWorld();

let nodes: StartedNodes;
let relay: Relay;
let store: TaskStore;
let transport: WatchedTransport;
let silent: SilentServer;

beforeAll(async () => {
  nodes = await startNodes(1, { backend: "embedded" });
});
afterAll(() => nodes?.stop());

beforeEach(async () => {
  relay = await startRelay(nodes.nodes[0]?.url ?? "");
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
  transport = watched(createUndiciTransport());
  silent = await startSilentServer();
});
afterEach(async () => {
  await silent.close();
  await relay.close();
  await transport.close();
  await store.close();
});

interface WatchedTransport extends NodeTransport {
  /** Resolves when a request for that path begins. */
  asked(path: string): Promise<void>;
  /** From now on the node tells of one task more, on which it works and works. */
  workOn(uid: number): void;
}

/** The answer of a node that is also at work on a task. */
function withTask(uid: number, { path }: NodeRequest, answer: NodeResponse): NodeResponse {
  if (!path.startsWith("/tasks?")) return answer;
  const query = new URLSearchParams(path.slice("/tasks?".length));
  const isTold =
    !query.has("types") &&
    (query.get("statuses") ?? "processing").includes("processing") &&
    (query.get("uids") ?? String(uid)).split(",").includes(String(uid));
  if (!isTold) return answer;
  const page = JSON.parse(answer.body.toString()) as NodeTaskPage;
  const now = new Date().toISOString();
  const task: NodeTaskRecord = {
    uid,
    batchUid: null,
    indexUid: null,
    status: "processing",
    type: "documentAdditionOrUpdate",
    canceledBy: null,
    error: null,
    duration: null,
    enqueuedAt: now,
    startedAt: now,
    finishedAt: null,
  };
  const body = { ...page, results: [task, ...page.results], total: page.total + 1 };
  return { ...answer, body: Buffer.from(JSON.stringify(body)) };
}

function watched(inner: NodeTransport): WatchedTransport {
  const waiting = new Map<string, () => void>();
  let workedOn: number | undefined;
  return {
    request: async (node, request) => {
      const answer = inner.request(node, request);
      for (const [path, resolve] of waiting) if (request.path.startsWith(path)) resolve();
      return workedOn === undefined ? answer : withTask(workedOn, request, await answer);
    },
    workOn: (uid) => {
      workedOn = uid;
    },
    asked: (path) => new Promise((resolve) => waiting.set(path, resolve)),
    close: () => inner.close(),
  };
}

interface SilentServer {
  readonly url: string;
  /** Resolves when a request for that path came, which is never answered. */
  asked(path: string): Promise<void>;
  close(): Promise<void>;
}

async function startSilentServer(): Promise<SilentServer> {
  const seen = new Set<string>();
  const waiting = new Map<string, () => void>();
  const server: Server = createServer(({ url = "" }) => {
    seen.add(url);
    waiting.get(url)?.();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: (path) =>
      new Promise((resolve) => {
        if (seen.has(path)) resolve();
        else waiting.set(path, resolve);
      }),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Stands for the leadership. */
function stand(stop: AbortSignal) {
  const config = configSchema.parse({
    leader_lease_ms: 1_000,
    allowed_ip_networks: ["127.0.0.1"],
    task_webhook_url: `${silent.url}/webhook`,
    shards: 1,
    nodes: [{ id: "node-0", url: relay.url, key: DEFAULT_MASTER_KEY }],
  });
  const logger = pino({ level: process.env.MIROIR_TEST_LOG ?? "silent" });
  const metrics = createServerMetrics(new Registry());
  const common = { config, world, logger, store, transport, metrics };
  let serving: (services: LeaderServices) => void = () => undefined;
  const services = new Promise<LeaderServices>((resolve) => {
    serving = resolve;
  });
  const observer = { cluster: nothing, standingBy: nothing, serving, over: nothing };
  const ended = standForLeadership({ ...common, holder: "a", clusterId: undefined }, observer, stop);
  return { services, ended };
}

function nothing(): void {}

async function depose(): Promise<void> {
  const held = await store.lease.current(LEADER_SCOPE);
  if (held === undefined) throw new Error("nobody leads");
  await store.lease.release(held);
  await store.lease.acquire({ scope: LEADER_SCOPE, holder: "b", ttlMs: 300_000 });
}

// Each of the requests under way here takes 30 seconds or more, unless it is broken off: longer than any of these tests may.
describe("the end of a term", { timeout: 20_000 }, () => {
  for (const why of ["deposed", "stopped"] as const) {
    const end = async (stop: AbortController, ended: Promise<void>): Promise<void> => {
      if (why === "deposed") await depose();
      else stop.abort();
      await ended;
      const leader = await store.lease.current(LEADER_SCOPE);
      expect(leader?.holder).toBe(why === "deposed" ? "b" : undefined);
    };

    it(`waits for no answer of a node, a webhook's receiver or another Meilisearch, where the leader is ${why}`, async () => {
      const stop = new AbortController();
      const { services, ended } = stand(stop.signal);
      const { exports, indexes } = clientsOf(await services);
      await indexes.createIndex({ taskUid: 1n, uid: "films" });
      await silent.asked("/webhook");
      await exports.export({ taskUid: 2n, url: silent.url, indexes: [{ pattern: "films" }] });
      await silent.asked("/indexes/films");
      const visited = transport.asked("/keys");
      // A node whose connection breaks is visited before it counts again.
      await relay.cutNext("request", 0);
      await visited;
      relay.stall();
      await end(stop, ended);
    });

    it(`waits for no task of a node that came back with some open, where the leader is ${why}`, async () => {
      const stop = new AbortController();
      const { services, ended } = stand(stop.signal);
      const { tasks } = clientsOf(await services);
      const status = TaskStatus.ENQUEUED;
      const type = TaskType.DOCUMENT_ADDITION_OR_UPDATE;
      transport.workOn(9_999);
      const nodeTasks = [{ nodeId: "node-0", nodeTaskUid: 9_999, status }];
      await tasks.registerTasks({ tasks: [{ uid: 1n, indexUid: "films", type, status, nodeTasks }] });
      await relay.cutNext("request", 0);
      await eventually(async () => expect(await nodeState()).toBe(NodeState.SUSPECT));
      await end(stop, ended);
      // Whoever leads next does not read from it either.
      expect(await nodeState()).toBe(NodeState.SUSPECT);
    });
  }

  it("waits for no answer of a node where the term is only beginning", async () => {
    const stop = new AbortController();
    const visited = transport.asked("/keys");
    const { ended } = stand(stop.signal);
    await visited;
    relay.stall();
    stop.abort();
    await ended;
  });
});

function clientsOf(services: LeaderServices) {
  const router = createRouterTransport(({ service }) => {
    service(IndexService, services.indexes);
    service(ExportService, services.exports);
    service(TaskService, services.tasks);
  });
  return {
    exports: createClient(ExportService, router),
    indexes: createClient(IndexService, router),
    tasks: createClient(TaskService, router),
  };
}

async function nodeState(): Promise<NodeState | undefined> {
  return (await loadTopology(store.topology))?.nodes[0]?.state;
}
