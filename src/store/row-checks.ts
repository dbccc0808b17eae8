import { checkInteger, checkText, checkTime } from "./limits.js";
import type { NodeCursorRow } from "./tables/node-cursors.js";
import type { NodeSettingsVersionRow } from "./tables/node-settings-versions.js";
import type { WorkflowRow } from "./tables/workflows.js";

/** Refuses a cursor that a backend could not give back as it is. */
export function checkNodeCursor(row: NodeCursorRow): void {
  checkText(row.identity, `Cursor of node ${row.nodeId}: identity`);
  checkTime(row.updatedAt, `Cursor of node ${row.nodeId}: updatedAt`);
}

/** Refuses a settings version that a backend could not give back as it is. */
export function checkNodeSettingsVersion(row: NodeSettingsVersionRow): void {
  const what = `Settings version of ${row.instance} on ${row.nodeId}`;
  checkInteger(row.version, 0, Number.MAX_SAFE_INTEGER, what);
  checkText(row.fingerprint, `${what}: fingerprint`);
  checkTime(row.updatedAt, `${what}: updatedAt`);
}

/** Refuses a workflow that a backend could not give back as it is. */
export function checkWorkflow(row: WorkflowRow): void {
  const what = `Workflow ${row.id}`;
  checkText(row.kind, `${what}: kind`);
  checkText(row.step, `${what}: step`);
  checkText(row.stateJson, `${what}: state`);
  checkTime(row.createdAt, `${what}: createdAt`);
  checkTime(row.updatedAt, `${what}: updatedAt`);
  checkTime(row.finishedAt, `${what}: finishedAt`);
}
