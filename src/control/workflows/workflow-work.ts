import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { describeProblem } from "../cluster/fleet-checks.js";
import { CopyRefusedError } from "../copy/copy-refusal.js";
import { startCopy } from "../copy/start-copy.js";
import { type CopyLimits, dueBatches, type StartedCopies, shardsLeft, startCopies } from "./copy-starts.js";
import type { FleetWorkflow } from "./stored-workflow.js";
import { workLeft } from "./workflow-goal.js";

/** What a workflow has left to do, as the topology shows it. */
export interface Work {
  /** Whether nothing is left but to finish the copies under way. */
  readonly isDone: boolean;
  /** Whether another copy may begin now. */
  readonly canBegin: boolean;
  /** Replicas of shards that are left, copies under way before their switch among them. */
  readonly shards: number;
  /** What stands against it, in words. */
  readonly problems: readonly string[];
}

/** What is left of a workflow. */
export function workOf(topology: Topology, workflow: FleetWorkflow, limits: CopyLimits): Work {
  if (workflow.kind === "reshard") return splitLeft(indexToSplit(topology, workflow), workflow.shards);
  const plan = workLeft(topology, workflow);
  return {
    isDone: plan.indexes.length === 0,
    canBegin: dueBatches(topology, plan, limits).length > 0,
    shards: shardsLeft(topology, plan),
    problems: plan.problems.map(describeProblem),
  };
}

/** Puts what may be copied next into a draft. `newId` names each copy. */
export function beginWork(
  draft: Topology,
  workflow: FleetWorkflow,
  limits: CopyLimits,
  newId: () => string,
): StartedCopies {
  if (workflow.kind !== "reshard")
    return startCopies(draft, dueBatches(draft, workLeft(draft, workflow), limits), workflow, newId);
  const index = indexToSplit(draft, workflow);
  if (index === undefined || !splitLeft(index, workflow.shards).canBegin) return { started: [], refused: [] };
  try {
    startCopy(draft, index.instance, {
      id: newId(),
      workflowId: workflow.id,
      moves: [],
      repairNodeIds: [],
      maxDocumentsPerSecond: workflow.maxDocumentsPerSecond,
      splitShards: workflow.shards,
    });
  } catch (error) {
    if (!(error instanceof CopyRefusedError)) throw error;
    return { started: [], refused: [error.message] };
  }
  return { started: index.copy === undefined ? [] : [{ index, copy: index.copy }], refused: [] };
}

/** Whatever it is called by now; undefined where it was deleted. */
function indexToSplit({ indexes }: Topology, { instances }: FleetWorkflow): Index | undefined {
  return indexes.find(({ instance }) => instances.includes(instance));
}

function splitLeft(index: Index | undefined, shards: number): Work {
  const isDone = index === undefined || index.shards === shards;
  return {
    isDone,
    canBegin: !isDone && index.copy === undefined,
    shards: isDone ? 0 : index.placement.reduce((sum, { nodeIds }) => sum + nodeIds.length, 0),
    problems: [],
  };
}
