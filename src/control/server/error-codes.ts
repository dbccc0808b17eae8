import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { ProtocolMismatchSchema } from "../../gen/miroir/v1/control_pb.js";
import { StoreError, type StoreErrorCode } from "../../store/task-store.js";
import { type CopyRefusalReason, CopyRefusedError } from "../copy/copy-refusal.js";
import { NotLeaderError } from "../leader/leadership.js";
import { TopologyInconsistentError } from "../topology/consistency.js";
import { ProtocolBehindError } from "../topology/protocol-gate.js";
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

const COPY_CODES: Readonly<Record<CopyRefusalReason, Code>> = {
  not_found: Code.Aborted,
  step: Code.Aborted,
  busy: Code.FailedPrecondition,
  invalid: Code.InvalidArgument,
  target: Code.FailedPrecondition,
  last_copy: Code.FailedPrecondition,
};

/**
 * Gives the control plane's own errors the code that tells a client what to do: UNAVAILABLE to try again, elsewhere perhaps; ABORTED to
 * look again first; FAILED_PRECONDITION not to try again as it is.
 */
export const errorCodes: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (error instanceof ProtocolBehindError) throw protocolMismatch(error);
    const code = codeOf(error);
    if (code === undefined || !(error instanceof Error)) throw error;
    throw new ConnectError(error.message, code, undefined, undefined, error);
  }
};

/** A refusal that says which process is to be upgraded first. */
export function protocolMismatch(error: ProtocolBehindError): ConnectError {
  const { message, spoken, required, upgradeFirst } = error;
  return new ConnectError(
    message,
    Code.FailedPrecondition,
    undefined,
    [{ desc: ProtocolMismatchSchema, value: { spoken, required, upgradeFirst } }],
    error,
  );
}

function codeOf(error: unknown): Code | undefined {
  if (error instanceof StoreError) return STORE_CODES[error.code];
  if (error instanceof CopyRefusedError) return COPY_CODES[error.reason];
  if (error instanceof NotLeaderError || error instanceof TopologyUnavailableError) return Code.Unavailable;
  if (error instanceof TopologyConflictError) return Code.Aborted;
  if (error instanceof TopologyInconsistentError) return Code.FailedPrecondition;
  return undefined;
}
