import { StoreCorruptError, StoreError, StoreUnavailableError } from "../errors.js";

/** No answer came in time; the command may be executed yet. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * What an error says about the command: `not-executed` and worth another try, `connection-lost` with an unknown
 * outcome, `no-script`, or `final`: refused for a reason that another try does not change.
 */
export type ErrorKind = "not-executed" | "connection-lost" | "no-script" | "final";

/**
 * Replies by which a server says that it did nothing and that it, or the one to which the next connection goes, may do
 * it later: starting, failing over, moving the slot, busy with a script.
 */
const passing = /^(LOADING|READONLY|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|MOVED|ASK)\b/;
/** An error that a command of a script met, so that what the script wrote before it stays. */
const insideScript = /\bscript: [0-9a-f]{40}, on @user_script/;

/** Sorts an error of the client or of the server. */
export function classify(error: unknown): ErrorKind {
  if (!(error instanceof Error) || error instanceof StoreError || error instanceof DeadlineError)
    return "final";
  if (isFault(error)) return "final";
  if (error.name === "ReplyError") {
    if (insideScript.test(error.message)) return "final";
    if (error.message.startsWith("NOSCRIPT")) return "no-script";
    return passing.test(error.message) ? "not-executed" : "final";
  }
  // The client never sent it.
  if (error.message.includes("Stream isn't writeable")) return "not-executed";
  return "connection-lost";
}

/** Errors of a program that is wrong, as against those of what it talks to. */
function isFault(error: Error): boolean {
  return [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => error instanceof kind);
}

/** Whether the server refuses the credentials: waiting for it does not help. */
export function isRefusedLogin(error: Error): boolean {
  return /\b(NOAUTH|WRONGPASS)\b/.test(error.message);
}

/** Says what an error of Redis means for the caller; store errors, and faults of the program, pass unchanged. */
export function toStoreError(error: unknown, operation: string, place: string, isRead: boolean): Error {
  if (error instanceof StoreError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  if (isFault(error)) return error;
  // A script has met a field that makes no sense, before it changed anything.
  if (/^CORRUPT\b/.test(error.message)) {
    return new StoreCorruptError(`${place}: ${error.message} (could not ${operation})`, { cause: error });
  }
  const unknown =
    classify(error) === "connection-lost" ||
    error instanceof DeadlineError ||
    insideScript.test(error.message);
  const outcome = unknown && !isRead ? "maybe-executed" : "certainly-aborted";
  if (/^WRONGTYPE\b/.test(error.message)) {
    return new StoreCorruptError(
      `a key of ${place} has another type than Miroir gave it (could not ${operation})`,
      { cause: error, outcome },
    );
  }
  return new StoreUnavailableError(`Could not ${operation} in ${place}: ${advice(error)}`, outcome, {
    cause: error,
  });
}

/** What is wrong and what to do, for an error of the client or of the server. */
export function advice(error: Error): string {
  if (error.name === "MaxRetriesPerRequestError") {
    return "the connection was lost before the answer came. Check the server and the network; read before repeating a write.";
  }
  const message = describe(error);
  const code =
    /\b(OOM|READONLY|LOADING|MISCONF|NOAUTH|WRONGPASS|NOPERM|BUSY|CLUSTERDOWN|TRYAGAIN|ASK|MOVED|NOREPLICAS|MASTERDOWN)\b/.exec(
      message,
    )?.[0];
  switch (code) {
    case "OOM":
      return "the server is out of memory (OOM). Raise its maxmemory or free some; repeat the call.";
    case "READONLY":
    case "MASTERDOWN":
      return `the server is a replica (${code}). Point the store at the primary, or use Sentinel or Cluster.`;
    case "LOADING":
      return "the server is still loading its data (LOADING). Repeat the call when it is done.";
    case "MISCONF":
      return "the server cannot save to its disk (MISCONF). Look at its log and disk; repeat the call.";
    case "NOAUTH":
    case "WRONGPASS":
      return `the server refuses the credentials (${code}). Give the store's URL its user and password.`;
    case "NOPERM":
      return `the user's ACL does not allow it (${message}). Grant what docs/reference/redis-keyspace.md lists.`;
    case "BUSY":
      return "the server is busy with a script that does not end (BUSY). Look at its log; repeat the call.";
    case "CLUSTERDOWN":
      return "the cluster does not serve this slot (CLUSTERDOWN). Look at its nodes; repeat the call.";
    case "TRYAGAIN":
    case "ASK":
      return `the slot is moving to another node of the cluster (${code}). Repeat the call when it has moved.`;
    case "MOVED":
      return "the server is a node of a cluster and does not serve the store (MOVED). Write redis+cluster:// in the store's URL.";
    case "NOREPLICAS":
      return "the server has fewer replicas than it asks for (NOREPLICAS). Look at its replicas; repeat the call.";
    default:
      return `${message}. Check the server and the connection to it.`;
  }
}

/** An error's own words; those of its first part where it has none (several addresses were tried). */
function describe(error: Error): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const text = error.message || (first instanceof Error ? first.message : error.name);
  const cause = error.cause instanceof Error ? ` (${describe(error.cause)})` : "";
  return `${text.replace(/\.$/, "")}${cause}`;
}
