import type { NodeTransport } from "../../../src/meilisearch/transport.js";
import { createShardHasher } from "../../../src/placement/shard.js";
import type { TopologySource, WritingProxies } from "../../../src/proxy/topology/topology-view.js";
import { defaultWriteConfig } from "../../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../../src/proxy/write/write-metrics.js";
import {
  createWriteService,
  type WriteService,
  type WriteServiceOptions,
} from "../../../src/proxy/write/write-service.js";
import type { SimulatedControl } from "../../simulation/simulated-control.js";
import type { VirtualWorld } from "../../simulation/virtual-world.js";

export const hasher = await createShardHasher();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The session of a proxy that {@link simulatedWriter} makes. */
export function sessionOf(proxyId: string): string {
  return `session-of-${proxyId}`;
}

/** What a proxy works with; its own view of the control plane's topology unless one is given. */
export interface SimulatedWriterOptions extends Pick<WriteServiceOptions, "peers"> {
  readonly world: VirtualWorld;
  readonly control: SimulatedControl;
  readonly transport: NodeTransport;
  readonly proxyId: string;
  readonly writers: () => WritingProxies;
  readonly topology?: TopologySource;
}

/** The writing side of a proxy that holds a lease. */
export function simulatedWriter(options: SimulatedWriterOptions): WriteService {
  const { world, control, transport, proxyId, writers, topology = control.source(), peers } = options;
  return createWriteService({
    world,
    topology,
    lease: { proxyId, session: sessionOf(proxyId), state: () => ({ kind: "held" }) },
    directory: { writers, onWritersChange: () => () => undefined },
    ...(peers === undefined ? {} : { peers }),
    control: control.transport(),
    transport,
    config: { ...defaultWriteConfig("/nowhere"), nodeTimeoutMs: 2_000, controlTimeoutMs: 1_000 },
    logger: silent,
    metrics: noWriteMetrics,
    hasher,
  });
}

/** Runs the world until some work has ended, for ten minutes of its time at most. */
export async function runToEnd<T>(world: VirtualWorld, work: Promise<T>): Promise<T> {
  let done = false;
  const watched = work.finally(() => {
    done = true;
  });
  watched.catch(() => undefined);
  await world.runUntil(() => done, 600_000);
  return watched;
}
