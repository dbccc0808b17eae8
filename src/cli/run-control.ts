import { hostname } from "node:os";
import type { Logger } from "pino";
import { createControlService, createStandbyServices } from "../control/leader/standby-services.js";
import { createControlServer } from "../control/server/control-server.js";
import { createReplicaServices } from "../control/server/replica-services.js";
import type { NodeTransport } from "../meilisearch/transport.js";
import { createUndiciTransport } from "../meilisearch/undici-transport.js";
import type { World } from "../runtime/world.js";
import { PROTOCOL } from "../topology/protocol.js";
import { type Config, hostInUrl, splitHostPort, storeLocation } from "./config.js";
import { ControlProcess } from "./control-process.js";
import { listenError } from "./listen-error.js";
import { openConfiguredStore } from "./open-store.js";
import { packageVersion } from "./options.js";
import { readPem } from "./read-pem.js";

/** What a control plane runs on. */
export interface RunControlOptions {
  readonly config: Config;
  readonly world: World;
  readonly logger: Logger;
  /** How nodes are reached; over HTTP unless given. */
  readonly transport?: NodeTransport;
}

/** A running control plane. */
export interface RunningControl {
  /** `host:port` of the gRPC and Connect server. */
  readonly address: string;
  /** Whether this process leads; one that stands by answers reads of the store, and sends everybody else to the leader. */
  serving(): boolean;
  /** Rejects when the process cannot go on, such as with a store that was emptied; never resolves. */
  readonly failed: Promise<never>;
  /**
   * Ends when the calls under way have. On a store that several processes share the leader lease goes back at once, so that another
   * process leads; on one of its own, calls are answered first.
   */
  close(): Promise<void>;
}

/**
 * Starts a control plane: store, server, and the first candidacy for the leadership. Resolves once it serves or, on a
 * store that several processes share, once it stands by for the one that leads.
 *
 * @throws CommandError for a busy port and for another process on the same SQLite store, `NodeSetupError` for a node
 * that cannot be used, and the store's own errors.
 */
export async function runControl(options: RunControlOptions): Promise<RunningControl> {
  const { config, logger, world } = options;
  const store = await openConfiguredStore(config, world, logger);
  const transport = options.transport ?? createUndiciTransport();
  const session = Buffer.from(world.random.bytes(8)).toString("hex");
  const process = new ControlProcess({ ...options, store, transport, session });
  const server = createControlServer({
    services: {
      ...createReplicaServices({
        leader: () => process.services(),
        standby: await createStandbyServices(store, () => process.leaderAddress()),
        leaderAddress: () => process.leaderAddress(),
      }),
      control: createControlService(store, process),
    },
    health: process.health,
    world,
    logger,
    metrics: process.metrics,
    ...(config.admin_key === undefined ? {} : { adminKey: config.admin_key }),
    ...(config.grpc_tls === undefined ? {} : { tls: serverTls(config.grpc_tls) }),
  });
  const close = async (): Promise<void> => {
    const drained = server.close();
    // Where others can lead, the lease goes back at once, not after the last caller has gone: whoever leads next takes their calls.
    if (storeLocation(config).kind !== "redis") await drained;
    await process.stop();
    await drained;
    if (options.transport === undefined) await transport.close();
    await store.close();
  };
  try {
    const { host, port } = splitHostPort(config.grpc);
    const bound = await server.listen(host, port).catch((error: unknown) => {
      throw listenError("grpc", config.grpc, error);
    });
    const version = packageVersion();
    await process.start({ address: advertised(config, bound.port), session, version, protocol: PROTOCOL });
    const address = `${hostInUrl(host)}:${bound.port}`;
    return { address, serving: () => process.health.serving(), failed: process.failed, close };
  } catch (error) {
    await close().catch((closing: unknown) =>
      logger.warn({ err: closing }, "could not close after a failed start"),
    );
    throw error;
  }
}

/** HOST:PORT at which proxies and operators reach this process: what it listens on, or its machine's name where that is every interface. */
function advertised({ grpc, grpc_advertise }: Config, port: number): string {
  if (grpc_advertise !== undefined) return grpc_advertise;
  const { host } = splitHostPort(grpc);
  return `${host === "0.0.0.0" || host === "::" ? hostname() : hostInUrl(host)}:${port}`;
}

function serverTls(tls: NonNullable<Config["grpc_tls"]>): { cert: Buffer; key: Buffer; clientCa?: Buffer } {
  return {
    cert: readPem(tls.cert, "grpc_tls"),
    key: readPem(tls.key, "grpc_tls"),
    ...(tls.ca === undefined ? {} : { clientCa: readPem(tls.ca, "grpc_tls") }),
  };
}
