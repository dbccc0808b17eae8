/**
 * What every document write carries as `customMetadata`, and the node's task log shows again: enough to find
 * the client task of a node task, and to see that none is missing in between (invariant 7, design §5).
 */
export interface TaskMetadata {
  /** The writing process's session. */
  readonly session: string;
  /** Counts the client tasks of an index that the session has sent, from 1. */
  readonly sequence: number;
  /** The `sequence` of the session's write to the same index on the same node before this one; 0 for none. */
  readonly previous: number;
  /** Miroir's uid of the client task. */
  readonly taskUid: number;
}

/** What stands for the client task's uid in writes that Miroir makes on its own account: copies and what they leave to delete. */
export const OWN_TASK_UID = 999_999_999_999_999n;

/** The text of `customMetadata`: `<session>.<sequence>.<previous>.<task uid>`. */
export function formatTaskMetadata(metadata: TaskMetadata): string {
  return `${metadata.session}.${metadata.sequence}.${metadata.previous}.${metadata.taskUid}`;
}

const METADATA = /^(.+)\.(\d{1,15})\.(\d{1,15})\.(\d{1,15})$/;

/** Reads `customMetadata`; undefined where Miroir did not write it. */
export function parseTaskMetadata(text: string | null | undefined): TaskMetadata | undefined {
  const match = METADATA.exec(text ?? "");
  if (match?.[1] === undefined) return undefined;
  const [, session, sequence, previous, taskUid] = match;
  return {
    session,
    sequence: Number(sequence),
    previous: Number(previous),
    taskUid: Number(taskUid),
  };
}
