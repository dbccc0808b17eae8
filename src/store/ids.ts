import { createHash } from "node:crypto";
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
/** The name of an alias, in the same space as clients' index names. */
export type AliasName = Brand<string, "AliasName">;
/** Names a client's session of reads and writes. */
export type SessionId = Brand<string, "SessionId">;
/** What a client gave as its `Idempotency-Key`. */
export type IdempotencyKey = Brand<string, "IdempotencyKey">;
/** Names one canary. */
export type CanaryId = Brand<string, "CanaryId">;
/** Names one sink of change events. */
export type SinkName = Brand<string, "SinkName">;
/** The SHA-256 of an API key, as 64 lower-case hexadecimal digits: what the store keeps instead of the key. */
export type ApiKeyHash = Brand<string, "ApiKeyHash">;
/** Names one rollover policy. */
export type RolloverPolicyName = Brand<string, "RolloverPolicyName">;
/** Names one signed-in session of the admin interface. */
export type AdminSessionId = Brand<string, "AdminSessionId">;
/** Whose requests a rate limit counts, such as a client's address. */
export type RateLimitSource = Brand<string, "RateLimitSource">;
/** The uid (never the secret) of an API key that Miroir made. */
export type ScopedKeyUid = Brand<string, "ScopedKeyUid">;
/** Names one run of one proxy. */
export type ProxySession = Brand<string, "ProxySession">;
/** What a lease is about; `leader` for the control plane's own. */
export type LeaseScope = Brand<string, "LeaseScope">;

/** The longest id, in UTF-16 code units, as `String.length` counts. */
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

/** Checks that `value` can be an alias: 1 to 512 characters. */
export function aliasName(value: string): AliasName {
  return checkedText(value, "alias") as AliasName;
}

/** Checks that `value` can be a session id: 1 to 512 characters. */
export function sessionId(value: string): SessionId {
  return checkedText(value, "session id") as SessionId;
}

/** Checks that `value` can be an idempotency key: 1 to 512 characters. */
export function idempotencyKey(value: string): IdempotencyKey {
  return checkedText(value, "idempotency key") as IdempotencyKey;
}

/** Checks that `value` can be a canary id: 1 to 512 characters. */
export function canaryId(value: string): CanaryId {
  return checkedText(value, "canary id") as CanaryId;
}

/** Checks that `value` can name a sink: 1 to 512 characters. */
export function sinkName(value: string): SinkName {
  return checkedText(value, "sink name") as SinkName;
}

/** Checks that `value` can name a rollover policy: 1 to 512 characters. */
export function rolloverPolicyName(value: string): RolloverPolicyName {
  return checkedText(value, "rollover policy name") as RolloverPolicyName;
}

/** Checks that `value` can be an admin session id: 1 to 512 characters. */
export function adminSessionId(value: string): AdminSessionId {
  return checkedText(value, "admin session id") as AdminSessionId;
}

/** Checks that `value` can be a source of requests: 1 to 512 characters. */
export function rateLimitSource(value: string): RateLimitSource {
  return checkedText(value, "rate limit source") as RateLimitSource;
}

/** Checks that `value` can be a scoped key's uid: 1 to 512 characters. */
export function scopedKeyUid(value: string): ScopedKeyUid {
  return checkedText(value, "scoped key uid") as ScopedKeyUid;
}

/** Checks that `value` can name a proxy's run: 1 to 512 characters. */
export function proxySession(value: string): ProxySession {
  return checkedText(value, "proxy session") as ProxySession;
}

/** The hash under which an API key is stored; the key itself never enters a store. */
export function hashApiKey(key: string): ApiKeyHash {
  return createHash("sha256").update(key).digest("hex") as ApiKeyHash;
}

/** Checks that `value` is a hash as {@link hashApiKey} gives it, so that no raw key is stored by mistake. */
export function apiKeyHash(value: string): ApiKeyHash {
  if (!/^[0-9a-f]{64}$/.test(value)) {
    throw new InvalidArgumentError(
      "An API key's hash is 64 lower-case hexadecimal digits; hash the key first.",
    );
  }
  return value as ApiKeyHash;
}

function checkedText(value: string, what: string): string {
  const name = `${/^[aeiou]/.test(what) ? "An" : "A"} ${what}`;
  if (value.length === 0 || value.length > maxIdLength) {
    throw new InvalidArgumentError(`${name} has 1 to ${maxIdLength} characters, not ${value.length}.`);
  }
  // It would be stored as U+FFFD, and so meet other ids there.
  if (hasUnpairedSurrogate(value)) {
    throw new InvalidArgumentError(
      `${name} is text that UTF-8 can hold; this one has half of a surrogate pair.`,
    );
  }
  return value;
}

/** Whether a text has half of a surrogate pair: no encoding of Unicode can hold that. */
export function hasUnpairedSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}
