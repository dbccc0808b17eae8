import fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import { createShardHasher } from "../../placement/shard.js";
import { LogOutput } from "../../runtime/log-output.js";
import type { World } from "../../runtime/world.js";
import type { ControlTransport } from "../control-transport.js";
import { createPeerCalls, type PeerCalls } from "../peers/peer-calls.js";
import type { NodeHealth } from "../read/node-health.js";
import type { TopologySource, WriteLease, WriterDirectory } from "../topology/topology-view.js";
import { WriterChoice } from "../topology/writer-choice.js";
import { WriteGates } from "../write/write-gates.js";
import type { WriteService } from "../write/write-service.js";
import { registerAdmin } from "./admin.js";
import { apiError, indexUidFault } from "./api-errors.js";
import { createAuthentication } from "./authentication.js";
import { registerBackups } from "./backups.js";
import { registerChats } from "./chats.js";
import { registerCompaction } from "./compaction.js";
import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from "./config.js";
import { registerNegotiation } from "./content-encoding.js";
import { corsHeaders, registerCors } from "./cors.js";
import { registerDocumentsRead } from "./documents-read.js";
import { registerDocumentsWrite } from "./documents-write.js";
import { registerExperimentalFeatures } from "./experimental-features.js";
import { registerExport } from "./export.js";
import { registerFacetSearch } from "./facet-search.js";
import { registerFields } from "./fields.js";
import { registerIndexes } from "./indexes.js";
import { registerKeys } from "./keys.js";
import { registerLogs } from "./logs.js";
import type { ProxyMetrics } from "./metrics.js";
import { registerMultiSearch } from "./multi-search.js";
import { registerNetwork } from "./network.js";
import { countNodeCalls } from "./node-metrics.js";
import { registerPrometheus } from "./prometheus.js";
import { createHealth, createReads } from "./read-services.js";
import { registerRenderTemplate } from "./render-template.js";
import { createRouteTable, type ForwardedRequest, ROUTER_OPTIONS, type RouteAnswer } from "./route-table.js";
import { registerSearch } from "./search.js";
import { registerSearchRules } from "./search-rules.js";
import type { RouteServices } from "./services.js";
import { registerSettings } from "./settings.js";
import { withSettingsFloor } from "./settings-floor.js";
import { registerSimilar } from "./similar.js";
import { registerStats } from "./stats.js";
import { registerSwapIndexes } from "./swap-indexes.js";
import { registerTasks } from "./tasks.js";
import { registerWebhooks } from "./webhooks.js";
import { WriteRouter } from "./write-routing.js";

/** What a proxy's HTTP side is made of. */
export interface ProxyServerOptions {
  readonly world: World;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  readonly control: ControlTransport;
  readonly transport: NodeTransport;
  readonly writes: WriteService;
  /** Members that are left out have their defaults. */
  readonly config?: Partial<ProxyConfig>;
  readonly logger: Logger;
  /** Where the lines of `logger` go, for clients that follow them; they see none unless given. */
  readonly logs?: LogOutput;
  readonly metrics: ProxyMetrics;
  /** The other proxies that may write; this one is alone unless given. */
  readonly directory?: WriterDirectory;
  /** Holds back writes to indexes that change hands; its own unless given. */
  readonly gates?: WriteGates;
  /** How writes reach the proxies that write their indexes; over gRPC unless given. */
  readonly peers?: PeerCalls;
}

/** A proxy's HTTP side. */
export interface ProxyServer {
  /** Begins to accept requests. Port 0 takes a free one. Resolves with the base URL. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>;
  /** Stops accepting, lets requests under way end for as long as the configuration allows, then cuts them off. */
  close(): Promise<void>;
  /** Answers a write that another proxy has passed on. */
  answer(request: ForwardedRequest): Promise<RouteAnswer>;
}

/** How long another proxy may take to say whether it takes a write. Milliseconds. */
const PEER_TAKE_MS = 5_000;

/** How long an idle connection is kept for its client. Milliseconds. */
const KEEP_ALIVE_MS = 75_000;

/** Longest `x-request-id` that is taken over from a client. */
const MAX_REQUEST_ID_LENGTH = 128;

/** A server for Meilisearch's API over the nodes of a topology. */
export async function createProxyServer(options: ProxyServerOptions): Promise<ProxyServer> {
  const { world, topology, lease, metrics, logger } = options;
  const config: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, ...options.config };
  const transport = countNodeCalls(options.transport, metrics, world);
  const peers =
    options.peers ?? createPeerCalls(world, { takeMs: PEER_TAKE_MS, answerMs: config.forwardTimeoutMs });
  const { directory } = options;
  const health = createHealth(world, topology, transport);
  let isStopping = false;

  const reads = createReads(options, config, transport, health, await createShardHasher());
  const services: RouteServices = {
    world,
    config,
    topology,
    lease,
    control: options.control,
    writes: options.writes,
    writeRouter: new WriteRouter({
      world,
      topology,
      lease,
      writers: new WriterChoice({
        session: lease.session,
        proxyId: lease.proxyId,
        state: () => lease.state(),
        directory,
      }),
      directory,
      gates: options.gates ?? new WriteGates(world),
      peers,
      config,
      metrics,
    }),
    ...reads,
    metrics,
    logger,
    logs: options.logs ?? new LogOutput("off", () => undefined),
    isStopping: () => isStopping,
  };
  const authentication = createAuthentication(config.masterKey, topology, world);
  const app = createApp(world);
  registerNegotiation(app);
  registerCors(app);
  const routes = createRouteTable(app, {
    world,
    authentication,
    metrics,
    logger,
  });
  const readRoutes = withSettingsFloor(routes, services);
  registerStats(readRoutes, services);
  registerSearch(readRoutes, services);
  registerFacetSearch(readRoutes, services);
  registerSimilar(readRoutes, services);
  registerFields(readRoutes, services);
  registerMultiSearch(routes, services);
  registerDocumentsRead(readRoutes, services);
  registerDocumentsWrite(routes, services);
  registerIndexes(routes, services);
  registerSettings(
    withSettingsFloor(routes, services, (method) => method === "GET"),
    services,
  );
  registerSwapIndexes(routes, services);
  registerTasks(routes, services);
  registerKeys(routes, services, authentication);
  registerBackups(routes, services);
  registerExperimentalFeatures(routes, services);
  const endLogStream = registerLogs(routes, services);
  registerPrometheus(routes, services);
  registerNetwork(routes, services);
  registerChats(routes, services);
  registerSearchRules(routes, services);
  registerCompaction(routes, services);
  registerRenderTemplate(routes, services, authentication);
  registerAdmin(routes, services);
  registerWebhooks(routes, services);
  registerExport(routes, services);
  routes.finish();
  registerGauges(metrics, services, health);

  const stop = async (): Promise<void> => {
    isStopping = true;
    endLogStream();
    const timer = world.timers.after(config.closeTimeoutMs, () => app.server.closeAllConnections());
    await app.close();
    timer.cancel();
    health.close();
    if (options.peers === undefined) peers.close();
  };
  let closed: Promise<void> | undefined;
  return {
    listen: (address) => app.listen(address),
    answer: (request) => routes.answer(request),
    close() {
      closed ??= stop();
      return closed;
    },
  };
}

function createApp(world: World): FastifyInstance {
  const prefix = Buffer.from(world.random.bytes(6)).toString("hex");
  let requests = 0;
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    routerOptions: ROUTER_OPTIONS,
    forceCloseConnections: "idle",
    keepAliveTimeout: KEEP_ALIVE_MS,
    frameworkErrors: (_error, request, reply) => {
      const { status, body } = badUrl(request.raw.url ?? "");
      reply.hijack();
      const headers = { "content-type": "application/json", ...corsHeaders(request.headers.origin) };
      reply.raw.writeHead(status, headers).end(JSON.stringify(body));
    },
    // What is no HTTP gets an empty refusal, as Meilisearch gives it.
    clientErrorHandler: (_error, socket) => {
      if (socket.writable)
        socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      else socket.destroy();
    },
    genReqId: (request) => {
      const given = request.headers["x-request-id"];
      if (typeof given === "string" && given.length <= MAX_REQUEST_ID_LENGTH && /^[\w.:-]+$/.test(given)) {
        return given;
      }
      requests++;
      return `${prefix}-${requests.toString(36)}`;
    },
  });
  // Handlers read bodies themselves: to the server no method has one, whatever the client calls it.
  for (const method of app.supportedMethods) {
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    done();
  });
  return app;
}

/** A path whose escapes are no UTF-8 names no index that could exist. */
function badUrl(url: string): MeilisearchError {
  const segment = /^\/+indexes\/+([^/?]*)/.exec(url)?.[1];
  const uid = segment === undefined ? url : lossyDecode(segment);
  const fault = indexUidFault(uid) ?? `\`${url}\` is not a valid path.`;
  return apiError(400, segment === undefined ? "bad_request" : "invalid_index_uid", fault);
}

/** Percent-decodes; what is no UTF-8 becomes the replacement character. */
function lossyDecode(text: string): string {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_match, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function registerGauges(metrics: ProxyMetrics, services: RouteServices, health: NodeHealth): void {
  const { topology, lease } = services;
  metrics.gauge("miroir_topology_epoch_term", "Term of the topology in use; 0 before the first.", () =>
    Number(topology.current()?.epoch.term ?? 0),
  );
  metrics.gauge(
    "miroir_topology_epoch_counter",
    "Counter, within its term, of the topology in use; 0 before the first.",
    () => Number(topology.current()?.epoch.counter ?? 0),
  );
  metrics.gauge("miroir_write_lease_held", "1 while this proxy may write.", () =>
    lease.state().kind === "held" ? 1 : 0,
  );
  metrics.gauge("miroir_nodes_avoided", "Nodes whose circuit is open.", () => health.avoided().length);
}
