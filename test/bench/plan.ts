import { describeChange } from "../../src/control/cluster/describe-change.js";
import { planTopology } from "../../src/control/cluster/fleet-goal.js";
import { dueBatches } from "../../src/control/workflows/copy-starts.js";
import { NodeState, ReplicaState, type Topology } from "../../src/gen/miroir/v1/topology_pb.js";
import { assignGroup } from "../../src/placement/assign.js";
import { largeTopology, type TopologySize } from "./large-topology.js";
import { type Spread, spreadOf } from "./quantiles.js";

/** What planning one change of a fleet takes. Times are milliseconds of CPU. */
export interface PlanCosts {
  readonly size: TopologySize;
  readonly change: string;
  /** Replicas of shards that the plan makes, brings back or gives up. */
  readonly replicas: number;
  /** The plan alone. */
  readonly plan: Spread;
  /** What an operator is told of it, with its batches. */
  readonly described: Spread;
  /** What a workflow may begin next. */
  readonly next: Spread;
}

/** Shards that are copied to or from one node at a time, and copies at a time: the defaults. */
const LIMITS = { shardsPerNode: 16, copies: 4 };

interface Change {
  readonly name: string;
  readonly rebalance?: boolean;
  readonly begin: (topology: Topology) => void;
}

const CHANGES: readonly Change[] = [
  { name: "nothing to do", begin: () => undefined },
  { name: "a node joins", begin: (topology) => addNodes(topology, 1) },
  {
    name: "a tenth more nodes join",
    begin: (topology) => addNodes(topology, Math.ceil(topology.nodes.length / 10)),
  },
  { name: "a node is drained", begin: (topology) => drain(topology, 1) },
  {
    name: "a tenth of the nodes is drained",
    begin: (topology) => drain(topology, Math.ceil(topology.nodes.length / 10)),
  },
  { name: "a node is lost for good", begin: lose },
  {
    name: "rebalance after empty nodes came",
    rebalance: true,
    begin: (topology) => addNodes(topology, Math.ceil(topology.nodes.length / 10), NodeState.ACTIVE),
  },
  {
    name: "a third replica of each shard",
    begin: (topology) => {
      topology.replicationFactor = 3;
    },
  },
];

/** Measures the planning of every kind of change, `repeats` times each. */
export function benchPlans(
  size: TopologySize,
  repeats: number,
  progress: (text: string) => void,
): PlanCosts[] {
  return CHANGES.map(({ begin, name, rebalance = false }) => {
    const topology = largeTopology(size);
    begin(topology);
    const plan: number[] = [];
    const described: number[] = [];
    const next: number[] = [];
    let replicas = 0;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const made = timed(() => planTopology(topology, { rebalance }));
      const facts = {
        topology,
        plan: made.result,
        sizes: new Map(),
        documentsPerSecond: 1_000,
        shardsPerNode: LIMITS.shardsPerNode,
        warnings: [],
      };
      plan.push(made.ms);
      described.push(timed(() => describeChange(facts)).ms);
      next.push(timed(() => dueBatches(topology, made.result, LIMITS)).ms);
      replicas = made.result.indexes.reduce((sum, { drops, moves }) => sum + moves.length + drops.length, 0);
    }
    progress(`${size.nodes} nodes, ${size.indexes} × ${size.shards} shards: ${name}`);
    return {
      size,
      change: name,
      replicas,
      plan: spreadOf(plan),
      described: spreadOf(described),
      next: spreadOf(next),
    };
  });
}

/** Milliseconds that it takes to place a new index with two replicas of each shard. */
export function benchPlacement({ nodes, shards }: TopologySize, repeats: number): Spread {
  const members = Array.from({ length: nodes }, (_, node) => ({ node: `node-${node}` }));
  const request = { instance: "abcd2345", shards, replicationFactor: 2, nodes: members };
  return spreadOf(Array.from({ length: repeats }, () => timed(() => assignGroup(request)).ms));
}

function addNodes(topology: Topology, count: number, state = NodeState.JOINING): void {
  const [like] = topology.nodes;
  if (like === undefined) return;
  for (let added = 0; added < count; added++) {
    const id = `node-added-${added}`;
    topology.nodes.push({ ...like, id, url: `http://${id}.test:7700`, state });
    topology.groups[0]?.nodeIds.push(id);
  }
}

function drain(topology: Topology, count: number): void {
  for (const node of topology.nodes.slice(0, count)) node.state = NodeState.DRAINING;
}

/** As the control plane does with a node that was away for too long. */
function lose(topology: Topology): void {
  const [lost] = topology.nodes;
  if (lost === undefined) return;
  lost.state = NodeState.DRAINING;
  lost.evicted = true;
  for (const { replicas } of topology.indexes) {
    for (const replica of replicas) if (replica.nodeId === lost.id) replica.state = ReplicaState.STALE;
  }
}

function timed<T>(work: () => T): { readonly result: T; readonly ms: number } {
  const before = process.cpuUsage();
  const result = work();
  const { system, user } = process.cpuUsage(before);
  return { result, ms: (system + user) / 1_000 };
}
