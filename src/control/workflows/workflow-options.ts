import type { Logger } from "pino";
import type { CopyProgress } from "../../gen/miroir/v1/copies_pb.js";
import type { World } from "../../runtime/world.js";
import type { FencingToken, TaskStore } from "../../store/task-store.js";
import type { FleetNodes } from "../nodes/fleet-nodes.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** How workflows are carried out. */
export interface WorkflowTuning {
  /** Shards that are copied to one node, or away from it, at a time; 16 unless given. */
  readonly shardsPerNode?: number;
  /** Copies under way at a time, over all indexes; 4 unless given. */
  readonly copies?: number;
  /** Milliseconds that a copy waits for a target that does not answer before it is taken back; 60,000 unless given. */
  readonly targetPatienceMs?: number;
  /** Milliseconds that a workflow may stand still before it is given up; 3,600,000 unless given. */
  readonly patienceMs?: number;
  /** Milliseconds between two looks while a workflow runs; 1,000 unless given. */
  readonly intervalMs?: number;
}

/** What workflows are carried out with. */
export interface WorkflowContext {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly nodes: () => Pick<FleetNodes, "forget">;
  /** How far a copy has come, as its writer told last. */
  readonly progressOf: (copyId: string) => CopyProgress | undefined;
}

/** {@link WorkflowTuning} with its defaults. */
export function workflowTuning(given: WorkflowTuning = {}): Required<WorkflowTuning> {
  return {
    shardsPerNode: 16,
    copies: 4,
    targetPatienceMs: 60_000,
    patienceMs: 3_600_000,
    intervalMs: 1_000,
    ...given,
  };
}
