import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { pino } from "pino";
import { Registry } from "prom-client";
import { type ControlPlane, createControlPlane } from "../../../src/control/control-plane.js";
import type { ControlPlaneConfig } from "../../../src/control/control-plane-options.js";
import { createLeadership } from "../../../src/control/leader/leadership.js";
import {
  createTopologyManager,
  type TopologyManager,
} from "../../../src/control/topology/topology-manager.js";
import { IndexService } from "../../../src/gen/miroir/v1/indexes_pb.js";
import { type Task, TaskService, TaskStatus } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { EpochSchema, TopologySchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { createNodeClient, type NodeClient } from "../../../src/meilisearch/node-client.js";
import type { NodeTransport } from "../../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import { createIpPolicy } from "../../../src/outbound/ip-policy.js";
import { createUndiciOutbound } from "../../../src/outbound/undici-outbound.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import type { TaskStore } from "../../../src/store/task-store.js";

/** A control plane over its own store, with clients of its services. */
export interface Harness {
  readonly control: ControlPlane;
  readonly topology: TopologyManager;
  readonly store: TaskStore;
  readonly tasks: ReturnType<typeof createClient<typeof TaskService>>;
  readonly indexes: ReturnType<typeof createClient<typeof IndexService>>;
  readonly metrics: Registry;
  /** A client of a node with the key that Miroir made for control work. */
  admin(nodeId: string): NodeClient;
  /** A client of a node with the key for document writes. */
  writer(nodeId: string): NodeClient;
  /** Resolves with the task once it is final. */
  finished(uid: bigint | number, timeoutMs?: number): Promise<Task>;
  /** Ends the control plane and its store. */
  stop(): Promise<void>;
}

export interface HarnessOptions {
  /** Backups go to folders that nobody looks at unless some are named. */
  readonly config: Omit<ControlPlaneConfig, "backups"> & Partial<Pick<ControlPlaneConfig, "backups">>;
  /** `:memory:` unless given. */
  readonly path?: string;
  readonly shards?: number;
  readonly replicationFactor?: number;
  /** Stands between the control plane and its nodes. */
  readonly transport?: NodeTransport;
}

const UNSEEN: ControlPlaneConfig["backups"] = {
  dumpsFolder: join(tmpdir(), "miroir-harness", "dumps"),
  snapshotsFolder: join(tmpdir(), "miroir-harness", "snapshots"),
  version: "0.0.0",
  describeStore: async () => ({ backend: "sqlite", schemaVersion: 1 }),
};

export async function startHarness(options: HarnessOptions): Promise<Harness> {
  const world = createSystemWorld();
  const logger = pino({ level: process.env.MIROIR_TEST_LOG ?? "silent" });
  const store = await openSqliteTaskStore({ path: options.path ?? ":memory:", clock: world.clock });
  const leadership = createLeadership({
    leases: store.lease,
    world,
    logger,
    holder: Buffer.from(world.random.bytes(8)).toString("hex"),
    aboveTerm: async () => (await store.topology.load())?.term ?? 0,
  });
  await leadership.start();
  const topology = createTopologyManager({
    table: store.topology,
    logger,
    initial: create(TopologySchema, {
      epoch: create(EpochSchema, { clusterId: `test-${Buffer.from(world.random.bytes(4)).toString("hex")}` }),
      replicationFactor: options.replicationFactor ?? 1,
      defaultShards: options.shards ?? 16,
    }),
  });
  await topology.beginTerm(leadership.fence());
  const plain = createUndiciTransport();
  const transport = options.transport ?? plain;
  const outbound = createUndiciOutbound(createIpPolicy(["any"]));
  const metrics = new Registry();
  const control = await createControlPlane({
    world,
    transport,
    outbound,
    store,
    topology,
    fence: () => leadership.fence(),
    config: { backups: UNSEEN, ...options.config },
    logger,
    metrics,
  });
  const stop = async () => {
    await control.stop();
    await leadership.close();
    await store.close();
    await plain.close();
    await outbound.close();
  };
  try {
    await control.start();
  } catch (error) {
    await stop();
    throw error;
  }
  const router = createRouterTransport(({ service }) => {
    service(TaskService, control.services.tasks);
    service(IndexService, control.services.indexes);
  });
  const tasks = createClient(TaskService, router);
  const nodeClient = (id: string, role: "writeKey" | "adminKey"): NodeClient => {
    const url = topology.current().nodes.find((node) => node.id === id)?.url ?? "";
    const key = control.credentials().find((entry) => entry.nodeId === id)?.[role] ?? "";
    return createNodeClient(plain, { id, url, ...(key === "" ? {} : { key }) });
  };
  return {
    control,
    topology,
    store,
    tasks,
    indexes: createClient(IndexService, router),
    metrics,
    admin: (id) => nodeClient(id, "adminKey"),
    writer: (id) => nodeClient(id, "writeKey"),
    async finished(uid, timeoutMs = 20_000) {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const { task } = await tasks.getTask({ uid: BigInt(uid) });
        if (task !== undefined && task.status >= TaskStatus.SUCCEEDED) return task;
        if (performance.now() > deadline)
          throw new Error(
            `task ${uid} is not final: ${JSON.stringify(task?.nodeTasks.map((n) => [n.nodeId, n.status]))}`,
          );
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop,
  };
}
