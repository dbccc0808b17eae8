import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Workflow,
  WorkflowKind,
  WorkflowSchema,
  WorkflowStatus,
} from "../../gen/miroir/v1/workflows_pb.js";
import type { FleetWorkflowKind } from "../cluster/fleet-workflows.js";
import { addTotals, hasSwitched } from "./copy-ledger.js";
import { shardsOf } from "./copy-starts.js";
import type { WorkflowView } from "./fleet-workflow-engine.js";
import type { FleetWorkflowStatus } from "./stored-workflow.js";

const KINDS: Readonly<Record<FleetWorkflowKind, WorkflowKind>> = {
  "add-node": WorkflowKind.ADD_NODE,
  "drain-node": WorkflowKind.DRAIN_NODE,
  "remove-node": WorkflowKind.REMOVE_NODE,
  "replace-node": WorkflowKind.REPLACE_NODE,
  "add-group": WorkflowKind.ADD_GROUP,
  "remove-group": WorkflowKind.REMOVE_GROUP,
  "set-replication": WorkflowKind.SET_REPLICATION,
  rebalance: WorkflowKind.REBALANCE,
  repair: WorkflowKind.REPAIR,
  reshard: WorkflowKind.RESHARD,
};

const STATUSES: Readonly<Record<FleetWorkflowStatus, WorkflowStatus>> = {
  starting: WorkflowStatus.RUNNING,
  running: WorkflowStatus.RUNNING,
  cancelling: WorkflowStatus.CANCELLING,
  failing: WorkflowStatus.CANCELLING,
  completed: WorkflowStatus.COMPLETED,
  cancelled: WorkflowStatus.CANCELLED,
  failed: WorkflowStatus.FAILED,
};

/** A workflow as operators are told of it. `now` in milliseconds since the Unix epoch. */
export function describeWorkflow(view: WorkflowView, now: number): Workflow {
  const { copies, waitingFor, workflow } = view;
  const { createdAt, events, finishedAt, reason } = workflow;
  return create(WorkflowSchema, {
    id: workflow.id,
    kind: KINDS[workflow.kind],
    title: workflow.title,
    status: STATUSES[workflow.status],
    reason: reason === "" ? waitingFor : reason,
    nodeIds: [...workflow.nodeIds],
    removedNodeIds: [...workflow.removeNodeIds],
    indexUids: [...workflow.indexUids],
    createdAt: timestampFromMs(createdAt),
    ...(finishedAt === null ? {} : { finishedAt: timestampFromMs(finishedAt) }),
    progress: progressOf(view, now),
    copies: copies.map(({ copy, index, progress }) => ({
      indexUid: index.uid,
      copy,
      ...(progress === undefined ? {} : { progress }),
    })),
    events: events.map(({ at, text }) => ({ at: timestampFromMs(at), text })),
  });
}

function progressOf({ copies, documentsPerSecond, shardsLeft, workflow }: WorkflowView, now: number) {
  const sum = addTotals(workflow.totals, copies);
  const underWay = copies.reduce((shards, copy) => shards + shardsOf(copy), 0);
  const waiting = copies.filter((copy) => !hasSwitched(copy));
  const documentsLeft = waiting.reduce((left, { progress }) => left + (progress?.documentsLeft ?? 0n), 0n);
  const total = workflow.totals.shards + underWay + shardsLeft;
  // A copy counts as far as it has come.
  const part = copies.reduce((done, copy) => {
    const documents = Number(copy.progress?.documentsTotal ?? 0n);
    const left = Number(copy.progress?.documentsLeft ?? 0n);
    const fraction = hasSwitched(copy) ? 1 : documents === 0 ? 0 : Math.max(0, 1 - left / documents);
    return done + shardsOf(copy) * fraction;
  }, workflow.totals.shards);
  const elapsed = ((workflow.finishedAt ?? now) - workflow.createdAt) / 1_000;
  const isEstimable = workflow.finishedAt === null && part > 0 && total > part;
  return {
    shardsTotal: BigInt(total),
    shardsDone: BigInt(sum.shards),
    documentsCopied: BigInt(sum.documentsCopied),
    documentsDeleted: BigInt(sum.documentsDeleted),
    bytesCopied: BigInt(sum.bytesCopied),
    documentsLeft,
    documentsDiffering: BigInt(sum.documentsDiffering),
    documentsPerSecond,
    secondsLeft: isEstimable ? (elapsed * (total - part)) / part : 0,
    maxPauseMs: sum.maxPauseMs,
  };
}
