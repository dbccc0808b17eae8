import { create } from "@bufbuild/protobuf";
import { type FleetChange, FleetChangeSchema } from "../../gen/miroir/v1/cluster_pb.js";
import { type Node, ShardMoveSchema, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { allBatches } from "../../placement/copy-batches.js";
import type { FleetPlan, IndexPlan } from "../../placement/fleet-plan.js";
import { estimatePlan, type ShardSize } from "../../placement/plan-estimate.js";
import { canSpare } from "../copy/shard-roles.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { describeProblem, isDown, listShards, replicasOn } from "./fleet-checks.js";

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
  const { documentsPerSecond, plan, shardsPerNode, sizes, topology } = facts;
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
    nodes: topology.nodes.map((node) => nodeChange(topology, node, plan)),
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

function nodeChange(topology: Topology, { group, id, zone }: Node, plan: FleetPlan) {
  const before = replicasOn(topology, id);
  const moves = plan.indexes.flatMap((index) => index.moves);
  // A replica that is written anew where it is counts as copied, not as another one.
  const taken = plan.indexes.reduce((sum, index) => {
    const placement = topology.indexes.find(({ instance }) => instance === index.instance)?.placement;
    const added = index.moves.filter(
      ({ shard, to }) => to === id && placement?.[shard]?.nodeIds.includes(id) !== true,
    );
    return sum + added.length;
  }, 0);
  const moved = moves.filter(({ from }) => from === id).length;
  const dropped = plan.indexes.flatMap((index) => index.drops).filter(({ from }) => from === id).length;
  return {
    nodeId: id,
    group,
    zone,
    replicasBefore: BigInt(before),
    replicasAfter: BigInt(before + taken - moved - dropped),
    replicasIn: BigInt(taken),
    replicasOut: BigInt(moved + dropped),
  };
}

/** Nodes that something is to be copied to and that do not answer. */
function waiting({ plan, topology }: ChangeFacts): string[] {
  const targets = plan.indexes.flatMap(({ moves, repairs }) => [...moves.map(({ to }) => to), ...repairs]);
  return [...new Set(targets)]
    .filter((id) => isDown(topology, id))
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
