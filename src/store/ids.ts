import { InvalidArgumentError } from "./errors.js";

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Miroir's own uid of a client task: an integer from 0, below 2^53. */
export type TaskUid = Brand<number, "TaskUid">;
/** The name of a Meilisearch server in the topology, such as `node-0`. */
export type NodeId = Brand<string, "NodeId">;
/** A node's own uid of one of its tasks: an unsigned 32-bit integer. */
export type NodeTaskUid = Brand<number, "NodeTaskUid">;
/** One incarnation of a client's index. */
export type IndexInstance = Brand<string, "IndexInstance">;
/** Names one run of one workflow. */
export type WorkflowId = Brand<string, "WorkflowId">;
/** Names one queued job. */
export type JobId = Brand<string, "JobId">;
/** What a lease is about; `leader` for the control plane's own. */
export type LeaseScope = Brand<string, "LeaseScope">;

const maxIdLength = 512;
const maxUint32 = 2 ** 32 - 1;

/** Checks that `value` can be a task uid. */
export function taskUid(value: number): TaskUid {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError(`A task uid is an integer from 0 to 2^53 - 1, not ${value}.`);
  }
  return value as TaskUid;
}

/** Checks that `value` can be a node's own task uid. */
export function nodeTaskUid(value: number): NodeTaskUid {
  if (!Number.isInteger(value) || value < 0 || value > maxUint32) {
    throw new InvalidArgumentError(`A node task's uid is an integer from 0 to 2^32 - 1, not ${value}.`);
  }
  return value as NodeTaskUid;
}

/** Checks that `value` can be a node id: 1 to 512 characters. */
export function nodeId(value: string): NodeId {
  return checkedText(value, "node id") as NodeId;
}

/** Checks that `value` can be an index instance: 1 to 512 characters. */
export function indexInstance(value: string): IndexInstance {
  return checkedText(value, "index instance") as IndexInstance;
}

/** Checks that `value` can be a workflow id: 1 to 512 characters. */
export function workflowId(value: string): WorkflowId {
  return checkedText(value, "workflow id") as WorkflowId;
}

/** Checks that `value` can be a job id: 1 to 512 characters. */
export function jobId(value: string): JobId {
  return checkedText(value, "job id") as JobId;
}

/** Checks that `value` can be a lease scope: 1 to 512 characters. */
export function leaseScope(value: string): LeaseScope {
  return checkedText(value, "lease scope") as LeaseScope;
}

function checkedText(value: string, what: string): string {
  if (value.length === 0 || value.length > maxIdLength) {
    throw new InvalidArgumentError(`A ${what} has 1 to ${maxIdLength} characters, not ${value.length}.`);
  }
  return value;
}
