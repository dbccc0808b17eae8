import { type WorkflowId, type WorkflowRow, workflowId } from "../../store/task-store.js";
import type { FleetWorkflowKind, FleetWorkflowRequest } from "../cluster/fleet-workflows.js";

/**
 * What becomes of a workflow. `starting` while its goal is not known to be in the topology; `cancelling` and `failing` while copies that
 * have switched are finished and the goal is given up.
 */
export type FleetWorkflowStatus =
  | "starting"
  | "running"
  | "cancelling"
  | "failing"
  | "completed"
  | "cancelled"
  | "failed";

/** Something that has happened to a workflow. */
export interface FleetWorkflowEvent {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly text: string;
}

/** What the copies of a workflow that have ended did together. */
export interface CopyTotals {
  /** Replicas of shards made, brought back or given up. */
  readonly shards: number;
  readonly documentsCopied: number;
  readonly documentsDeleted: number;
  readonly documentsDiffering: number;
  readonly bytesCopied: number;
  readonly maxPauseMs: number;
}

/** What a cancelled workflow puts back. */
export interface FleetBefore {
  /** By node id, of the nodes that the workflow is about. One that is absent was not in the fleet. */
  readonly nodes: Readonly<Record<string, { readonly state: number; readonly evicted: boolean }>>;
  readonly replicationFactor: number;
}

/**
 * A change of the fleet as it is stored. What is left to do is not among it: that follows from the topology, whoever leads, so that no
 * step is done twice. What is stored says what the workflow is about, how to give it up, and what has become of it.
 */
export interface FleetWorkflow extends Omit<FleetWorkflowRequest, "begin"> {
  readonly id: WorkflowId;
  /** Of `indexUids`, when it began: names may change meanwhile. */
  readonly instances: readonly string[];
  readonly before: FleetBefore;
  readonly status: FleetWorkflowStatus;
  /** Why it has failed or was cancelled; empty otherwise. */
  readonly reason: string;
  readonly events: readonly FleetWorkflowEvent[];
  readonly totals: CopyTotals;
  readonly createdAt: number;
  readonly finishedAt: number | null;
}

/** Events that are kept. */
const MAX_EVENTS = 200;
/** Other multi-step changes are stored beside these, under other kinds. */
const PREFIX = "fleet:";

/** Nothing copied yet. */
export const NO_TOTALS: CopyTotals = {
  shards: 0,
  documentsCopied: 0,
  documentsDeleted: 0,
  documentsDiffering: 0,
  bytesCopied: 0,
  maxPauseMs: 0,
};

/** A workflow's row in the store. */
export function workflowRow(workflow: FleetWorkflow, now: number): WorkflowRow {
  const { id, kind, status, createdAt, finishedAt, ...state } = workflow;
  return {
    id,
    kind: `${PREFIX}${kind}`,
    step: status,
    stateJson: JSON.stringify(state),
    createdAt,
    updatedAt: now,
    finishedAt,
  };
}

/** The workflow in a row; undefined for a row of another kind of change. */
export function readWorkflow(row: WorkflowRow): FleetWorkflow | undefined {
  if (!row.kind.startsWith(PREFIX)) return undefined;
  const state = JSON.parse(row.stateJson) as Omit<
    FleetWorkflow,
    "id" | "kind" | "status" | "createdAt" | "finishedAt"
  >;
  return {
    ...state,
    id: workflowId(row.id),
    kind: row.kind.slice(PREFIX.length) as FleetWorkflowKind,
    status: row.step as FleetWorkflowStatus,
    createdAt: row.createdAt,
    finishedAt: row.finishedAt,
  };
}

/** The workflow with an event more, and without the oldest where there are too many. */
export function withEvent(workflow: FleetWorkflow, at: number, text: string): FleetWorkflow {
  return { ...workflow, events: [...workflow.events, { at, text }].slice(-MAX_EVENTS) };
}

/** Whether nothing will happen any more. */
export function isOver({ finishedAt }: FleetWorkflow): boolean {
  return finishedAt !== null;
}
