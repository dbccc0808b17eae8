import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import type { NodeTransport } from "../meilisearch/transport.js";
import { createUndiciTransport } from "../meilisearch/undici-transport.js";
import { createGrpcControlTransport } from "../proxy/grpc-control-transport.js";
import { createProxyMetrics } from "../proxy/http/metrics.js";
import { createProxyServer } from "../proxy/http/server.js";
import { createPeerCalls } from "../proxy/peers/peer-calls.js";
import { createPeerServer } from "../proxy/peers/peer-server.js";
import { createPeerService } from "../proxy/peers/peer-service.js";
import { createTopologyClient } from "../proxy/topology/topology-client.js";
import { WriterChoice } from "../proxy/topology/writer-choice.js";
import { defaultWriteConfig } from "../proxy/write/types.js";
import { WriteGates } from "../proxy/write/write-gates.js";
import { createWriteMetrics } from "../proxy/write/write-metrics.js";
import { createWriteService } from "../proxy/write/write-service.js";
import type { LogOutput } from "../runtime/log-output.js";
import type { World } from "../runtime/world.js";
import { type Config, hostInUrl, splitHostPort } from "./config.js";
import { listenError } from "./listen-error.js";
import { packageVersion } from "./options.js";
import { readPem } from "./read-pem.js";

/** What a proxy runs on. */
export interface RunProxyOptions {
  readonly config: Config;
  readonly world: World;
  readonly logger: Logger;
  /** Where the lines of `logger` go, for clients that follow them; they see none unless given. */
  readonly logs?: LogOutput;
  /** How nodes are reached; over HTTP unless given. */
  readonly transport?: NodeTransport;
}

/** A running proxy. */
export interface RunningProxy {
  /** Base URL of the Meilisearch API. */
  readonly url: string;
  /** Resolves once a topology was accepted and the write lease is held here or elsewhere; rejects when the signal aborts. */
  whenReady(signal: AbortSignal): Promise<void>;
  /** Finishes requests under way, gives the write lease back and ends. */
  close(): Promise<void>;
}

/**
 * Bounds of the pause before the next control address is tried, in milliseconds: short, because writes wait for the one
 * that leads, and all but one of the addresses are standbys.
 */
const BACK_OFF = { firstMs: 100, maxMs: 500 };

/** Master keys shorter than this are taken, with a warning. */
const SAFE_KEY_BYTES = 16;
/** Times of calls between proxies, in milliseconds. */
const PEER_LIMITS = { takeMs: 5_000, answerMs: 60_000 };
/** How long other proxies' calls may take when the proxy stops, in milliseconds: no writes are among them by then. */
const PEER_CLOSE_MS = 1_000;
/** How long writes under way may take when the proxy stops, in milliseconds. */
const DRAIN_MS = 15_000;

/**
 * Starts a proxy. It serves as soon as it has a topology, and keeps trying to get one.
 *
 * @throws CommandError for a busy port.
 */
export async function runProxy(options: RunProxyOptions): Promise<RunningProxy> {
  const { config, world, logger } = options;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "miroir_" });
  const transport = options.transport ?? createUndiciTransport();
  const tls = config.grpc_tls;
  const control = createGrpcControlTransport({
    addresses: config.control,
    world,
    ...(config.admin_key === undefined ? {} : { adminKey: config.admin_key }),
    ...(tls === undefined ? {} : { tls: tls.ca === undefined ? {} : { ca: readPem(tls.ca, "grpc_tls") } }),
  });
  const { host, port } = splitHostPort(config.http);
  let url: string;
  let peerPort = 0;
  const peerKey = Buffer.from(world.random.bytes(32)).toString("hex");
  const reachableHost = () =>
    config.advertise === undefined
      ? host === "0.0.0.0" || host === "::"
        ? hostname()
        : hostInUrl(host)
      : new URL(config.advertise).hostname;
  const topology = createTopologyClient({
    control,
    world,
    logger,
    proxyId: config.proxy_id ?? `${hostname()}-${port}`,
    // Once it listens: port 0 takes any that is free.
    address: () => config.advertise ?? `http://${reachableHost()}:${new URL(url).port}`,
    peer: { address: () => `${reachableHost()}:${peerPort}`, key: peerKey },
    version: packageVersion(),
    backOff: BACK_OFF,
  });
  if (Buffer.byteLength(config.master_key ?? "") < SAFE_KEY_BYTES && config.master_key !== undefined) {
    logger.warn(
      `the master key is shorter than ${SAFE_KEY_BYTES} bytes, so that it can be guessed; use a longer one`,
    );
  }
  const gates = new WriteGates(world);
  const peers = createPeerCalls(
    world,
    PEER_LIMITS,
    tls === undefined ? undefined : { ca: tls.ca === undefined ? undefined : readPem(tls.ca, "grpc_tls") },
  );
  const writes = createWriteService({
    world,
    topology,
    lease: topology,
    directory: topology,
    gates,
    peers,
    control,
    transport,
    config: {
      ...defaultWriteConfig(join(tmpdir(), "miroir")),
      maxBodyBytes: config.http_payload_size_limit,
      spoolMemoryBytes: config.spool_threshold,
      nodeTimeoutMs: config.node_write_timeout_ms,
    },
    logger,
    metrics: createWriteMetrics(registry),
  });
  const server = await createProxyServer({
    world,
    topology,
    lease: topology,
    directory: topology,
    gates,
    peers,
    control,
    transport,
    writes,
    config: {
      masterKey: config.master_key,
      maxBodyBytes: config.http_payload_size_limit,
      unavailableShardPolicy: config.unavailable_shard_policy,
      readSpread: config.read_spread,
      hedgePercent: config.hedge_percent,
      adaptiveReads: config.adaptive_reads,
      coalesceSearches: config.coalesce_searches,
      maxConcurrentReads: config.max_concurrent_reads,
      maxQueuedReads: config.max_queued_reads,
      readTimeoutMs: config.read_timeout_ms,
      leaseHoldMs: config.write_hold_ms,
    },
    logger,
    ...(options.logs === undefined ? {} : { logs: options.logs }),
    metrics: createProxyMetrics(registry),
  });
  let isStopping = false;
  const { session, proxyId } = topology;
  const peerServer = createPeerServer({
    service: createPeerService({
      world,
      topology,
      lease: topology,
      writers: new WriterChoice({ session, proxyId, state: () => topology.state(), directory: topology }),
      gates,
      answer: (request) => server.answer(request),
      handOver: (...request) => writes.handOver(...request),
      isStopping: () => isStopping,
    }),
    key: peerKey,
    world,
    ...(tls === undefined
      ? {}
      : { tls: { cert: readPem(tls.cert, "grpc_tls"), key: readPem(tls.key, "grpc_tls") } }),
  });
  const close = async (): Promise<void> => {
    isStopping = true;
    await server.close();
    await writes.drain(AbortSignal.timeout(DRAIN_MS));
    await topology.close();
    await peerServer.close(PEER_CLOSE_MS);
    peers.close();
    control.close();
    if (options.transport === undefined) await transport.close();
  };
  try {
    url = await server.listen({ host, port });
  } catch (error) {
    await close();
    throw listenError("http", config.http, error);
  }
  try {
    peerPort = await peerServer.listen(
      config.peer === undefined ? { host, port: 0 } : splitHostPort(config.peer),
    );
  } catch (error) {
    await close();
    throw listenError("peer", config.peer ?? `${host}:0`, error);
  }
  topology.start();
  return {
    url,
    whenReady: async (signal) => {
      await topology.waitFor(() => true, signal);
      while (topology.state().kind === "none") await world.timers.sleep(20, signal);
    },
    close,
  };
}
