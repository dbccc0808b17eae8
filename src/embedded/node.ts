import type { AddressInfo } from "node:net";
import { Catalog } from "./catalog.js";
import { type Fault, FaultPlan } from "./faults.js";
import { createNodeServer } from "./http/server.js";
import { KeyRing } from "./keys.js";
import { NodeStore } from "./store.js";
import { TaskQueue } from "./task-queue.js";
import { timestamp } from "./time.js";

/** Options of an embedded node. All have defaults. */
export interface EmbeddedNodeOptions {
  /** Address to listen on; default `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; default 0, a free one. */
  readonly port?: number;
  /** Folder of the database; absent: everything is kept in memory. */
  readonly dbPath?: string;
  /** Absent: no request needs a key. */
  readonly masterKey?: string;
  /** The largest body accepted, in bytes; default 100 MiB. */
  readonly payloadSizeLimit?: number;
  /** The most tasks in one batch; default unlimited, 1 turns batching off. */
  readonly maxBatchedTasks?: number;
  /** How long a batch stays `processing` before its work is done, in milliseconds; default 0. */
  readonly batchDelayMs?: number;
  /** Serves `/_embedded/faults`; default false. */
  readonly faultControl?: boolean;
}

/** A running embedded node. */
export interface EmbeddedNode {
  /** Base address, without a trailing slash. */
  readonly url: string;
  /** Replaces the node's faults. */
  setFaults(faults: readonly Fault[], seed?: number): void;
  /** Stops listening, finishes the present batch and closes the database. */
  close(): Promise<void>;
}

const DEFAULT_PAYLOAD_LIMIT = 104_857_600;

/**
 * Starts Miroir's embedded node in this process: a small server that answers as Meilisearch does, for
 * development, continuous integration and fault injection. It is not Meilisearch, and says so in `/version`.
 *
 * @throws the error of `listen`, such as `EADDRINUSE`.
 */
export async function createEmbeddedNode(options: EmbeddedNodeOptions = {}): Promise<EmbeddedNode> {
  const store = new NodeStore(options.dbPath);
  const catalog = new Catalog(store);
  const keys = new KeyRing(store, options.masterKey);
  const faults = new FaultPlan();
  const queue = new TaskQueue(store, catalog, {
    ...(options.maxBatchedTasks !== undefined && { maxBatchedTasks: options.maxBatchedTasks }),
    ...(options.batchDelayMs !== undefined && { batchDelayMs: options.batchDelayMs }),
    failTask: (task) => faults.forTask(task),
  });
  const server = createNodeServer(
    { catalog, queue, keys, faults, startedAt: timestamp() },
    {
      payloadSizeLimit: options.payloadSizeLimit ?? DEFAULT_PAYLOAD_LIMIT,
      faultControl: options.faultControl ?? false,
    },
  );
  const host = options.host ?? "127.0.0.1";
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  queue.start();
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}`,
    setFaults: (list, seed = 1) => faults.set(list, seed),
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      await queue.close();
      store.close();
    },
  };
}
