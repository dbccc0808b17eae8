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

/** Replies by which a server says that it did nothing and may do it later: starting, failing over, busy with a script. */
const passing = /^(LOADING|READONLY|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN|NOREPLICAS)\b/;

/** Sorts an error of the client or of the server. */
export function classify(error: unknown): ErrorKind {
  if (!(error instanceof Error) || error instanceof StoreError || error instanceof DeadlineError)
    return "final";
  if (error.message.startsWith("NOSCRIPT")) return "no-script";
  if (passing.test(error.message)) return "not-executed";
  // The client never sent it.
  if (/Stream isn't writeable|enableOfflineQueue|Cluster isn't ready/.test(error.message))
    return "not-executed";
  if (error.name === "ReplyError") return "final";
  return "connection-lost";
}

/** Says what an error of Redis means for the caller; store errors pass unchanged. */
export function toStoreError(error: unknown, operation: string, place: string, isRead: boolean): Error {
  if (error instanceof StoreError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  const unknown = classify(error) === "connection-lost" || error instanceof DeadlineError;
  if (/^WRONGTYPE\b/.test(error.message)) {
    return new StoreCorruptError(
      `a key of ${place} has another type than Miroir gave it (could not ${operation})`,
      {
        cause: error,
      },
    );
  }
  return new StoreUnavailableError(
    `Could not ${operation} in ${place}: ${advice(error)}`,
    unknown && !isRead ? "maybe-executed" : "certainly-aborted",
    { cause: error },
  );
}

function advice(error: Error): string {
  const { message } = error;
  const code = /^[A-Z]+\b/.exec(message)?.[0] ?? "";
  switch (code) {
    case "OOM":
      return "the server is out of memory (OOM). Raise its maxmemory or free some; repeat the call.";
    case "READONLY":
      return "the server is a replica (READONLY). Point the store at the primary, or use Sentinel or Cluster.";
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
    default:
      return `${message}. Check the server and the connection to it.`;
  }
}
