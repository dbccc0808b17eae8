import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { StoreError, type StoreErrorCode } from "../../store/task-store.js";
import { NotLeaderError } from "../leader/leadership.js";
import { TopologyInconsistentError } from "../topology/consistency.js";
import { TopologyConflictError, TopologyUnavailableError } from "../topology/topology-manager.js";

const STORE_CODES: Readonly<Record<StoreErrorCode, Code>> = {
  fenced: Code.Unavailable,
  conflict: Code.Aborted,
  too_new: Code.Internal,
  altered: Code.Internal,
  foreign: Code.Internal,
  unsuitable: Code.Internal,
  half_imported: Code.Internal,
  corrupt: Code.DataLoss,
  unavailable: Code.Unavailable,
  invalid_argument: Code.InvalidArgument,
  closed: Code.Unavailable,
};

/**
 * Gives the control plane's own errors the code that tells a client what to do: UNAVAILABLE to try again, elsewhere perhaps; ABORTED to
 * look again first; FAILED_PRECONDITION not to try again as it is.
 */
export const errorCodes: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined || !(error instanceof Error)) throw error;
    throw new ConnectError(error.message, code, undefined, undefined, error);
  }
};

function codeOf(error: unknown): Code | undefined {
  if (error instanceof StoreError) return STORE_CODES[error.code];
  if (error instanceof NotLeaderError || error instanceof TopologyUnavailableError) return Code.Unavailable;
  if (error instanceof TopologyConflictError) return Code.Aborted;
  if (error instanceof TopologyInconsistentError) return Code.FailedPrecondition;
  return undefined;
}
