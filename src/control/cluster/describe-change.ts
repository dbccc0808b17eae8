import { create } from "@bufbuild/protobuf";
import { type FleetChange, FleetChangeSchema } from "../../gen/miroir/v1/cluster_pb.js";
import { ShardMoveSchema, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { allBatches } from "../../placement/copy-batches.js";
import type { FleetPlan, IndexPlan } from "../../placement/fleet-plan.js";
import { estimatePlan, type ShardSize } from "../../placement/plan-estimate.js";
import { canSpare } from "../copy/shard-roles.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { describeProblem, listShards } from "./fleet-checks.js";

/** What a plan is told with. */
export interface ChangeFacts {
  /** The topology with the goal in it. */
  readonly topology: Topology;
  readonly plan: FleetPlan;
  /** By instance. */
  readonly sizes: ReadonlyMap<string, ShardSize>;
  readonly documentsPerSecond: number;
  readonly shardsPerNode: number;
  /** Warnings besides those that the plan itself gives. */
  readonly warnings: readonly string[];
}

/** What a change of the fleet takes, as operators are told. */
export function describeChange(facts: ChangeFacts): FleetChange {
  const { documentsPerSecond, plan, shardsPerNode, sizes } = facts;
  const estimate = estimatePlan(plan, sizes, documentsPerSecond);
  return create(FleetChangeSchema, {
    indexes: plan.indexes.map((index) => {
      const volume = estimate.indexes.get(index.instance);
      return {
        indexUid: index.uid,
        moves: movesOf(index),
        repairNodeIds: [...index.repairs],
        documents: BigInt(volume?.documents ?? 0),
        bytes: BigInt(volume?.bytes ?? 0),
      };
    }),
    nodes: nodeChanges(facts),
    documents: BigInt(estimate.documents),
    bytes: BigInt(estimate.bytes),
    seconds: estimate.seconds,
    batches: allBatches(plan, shardsPerNode).length,
    warnings: [...facts.warnings, ...plan.problems.map(describeProblem), ...waiting(facts), ...kept(facts)],
  });
}

function movesOf({ drops, moves }: IndexPlan) {
  return [
    ...moves.map(({ shard, from, to }) => ({ shard, fromNodeId: from ?? "", toNodeId: to })),
    ...drops.map(({ shard, from }) => ({ shard, fromNodeId: from, toNodeId: "" })),
  ]
    .sort((a, b) => a.shard - b.shard)
    .map((move) => create(ShardMoveSchema, move));
}

/** Shard replicas of a node, over all indexes: what it holds, and what it is to get and to give up. */
interface NodeReplicas {
  before: number;
  in: number;
  out: number;
}

function nodeChanges({ plan, topology }: ChangeFacts) {
  const replicas = new Map<string, NodeReplicas>(
    topology.nodes.map(({ id }) => [id, { before: 0, in: 0, out: 0 }]),
  );
  const count = (id: string, what: keyof NodeReplicas): void => {
    const counted = replicas.get(id);
    if (counted !== undefined) counted[what] += 1;
  };
  for (const { placement } of topology.indexes) {
    for (const { nodeIds } of placement) for (const id of nodeIds) count(id, "before");
  }
  const placements = new Map(topology.indexes.map(({ instance, placement }) => [instance, placement]));
  for (const { drops, instance, moves } of plan.indexes) {
    const placement = placements.get(instance);
    for (const { from, shard, to } of moves) {
      // A replica that is written anew where it is counts as copied, not as another one.
      if (placement?.[shard]?.nodeIds.includes(to) !== true) count(to, "in");
      if (from !== null) count(from, "out");
    }
    for (const { from } of drops) count(from, "out");
  }
  return topology.nodes.map(({ group, id, zone }) => {
    const { before, in: taken, out } = replicas.get(id) ?? { before: 0, in: 0, out: 0 };
    return {
      nodeId: id,
      group,
      zone,
      replicasBefore: BigInt(before),
      replicasAfter: BigInt(before + taken - out),
      replicasIn: BigInt(taken),
      replicasOut: BigInt(out),
    };
  });
}

/** Nodes that something is to be copied to and that do not answer. */
function waiting({ plan, topology }: ChangeFacts): string[] {
  const targets = new Set(
    plan.indexes.flatMap(({ moves, repairs }) => [...moves.map(({ to }) => to), ...repairs]),
  );
  return [...awayNodes(topology)]
    .filter((id) => targets.has(id))
    .sort()
    .map((id) => `node ${id} does not answer; what is to be copied to it waits for it`);
}

/** Shards that cannot spare yet what is to be given up, with nothing copied for them before. */
function kept({ plan, topology }: ChangeFacts): string[] {
  const away = awayNodes(topology);
  return plan.indexes.flatMap(({ drops, instance, moves, uid }) => {
    const index = topology.indexes.find((candidate) => candidate.instance === instance);
    if (index === undefined) return [];
    const filled = new Set<number>(moves.map(({ shard }) => shard));
    const shards = index.placement.flatMap(({ nodeIds, shard }) => {
      const given = drops.filter((drop) => drop.shard === shard).map(({ from }) => from);
      const remaining = nodeIds.filter((id) => !given.includes(id));
      const waits = given.length > 0 && !filled.has(shard) && !canSpare(index, remaining, given, away);
      return waits ? [shard] : [];
    });
    if (shards.length === 0) return [];
    return [
      `index ${uid}: copies of ${listShards(shards)} are given up once others are in sync on nodes that answer`,
    ];
  });
}
