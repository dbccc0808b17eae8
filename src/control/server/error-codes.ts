import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import {
  FleetChangeRefusalSchema,
  FleetChangeRefusalReason as ProtoRefusalReason,
} from "../../gen/miroir/v1/cluster_pb.js";
import { ProtocolMismatchSchema } from "../../gen/miroir/v1/control_pb.js";
import { StoreError, type StoreErrorCode } from "../../store/task-store.js";
import { FleetChangeRefusedError, type FleetChangeRefusedReason } from "../cluster/fleet-change-error.js";
import { type CopyRefusalReason, CopyRefusedError } from "../copy/copy-refusal.js";
import { NotLeaderError } from "../leader/leadership.js";
import { NodeSetupError } from "../nodes/errors.js";
import { NodeInUseError } from "../nodes/fleet-nodes.js";
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

const REFUSALS: Readonly<
  Record<Exclude<FleetChangeRefusedReason, "not_found" | "invalid"> | "unsuitable_server", ProtoRefusalReason>
> = {
  busy: ProtoRefusalReason.BUSY,
  last_node: ProtoRefusalReason.LAST_NODE,
  last_group: ProtoRefusalReason.LAST_GROUP,
  last_copy: ProtoRefusalReason.LAST_COPY,
  too_few_nodes: ProtoRefusalReason.TOO_FEW_NODES,
  already_there: ProtoRefusalReason.ALREADY_THERE,
  not_drained: ProtoRefusalReason.NOT_DRAINED,
  unsuitable_server: ProtoRefusalReason.UNSUITABLE_SERVER,
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
    const refusal = fleetRefusal(error);
    if (refusal !== undefined) throw refusal;
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

/** Refused changes of the fleet as clients see them; undefined for any other error. */
function fleetRefusal(error: unknown): ConnectError | undefined {
  const known = refusalOf(error);
  if (known === undefined || !(error instanceof Error)) return undefined;
  if (known === "not_found")
    return new ConnectError(error.message, Code.NotFound, undefined, undefined, error);
  if (known === "invalid") {
    return new ConnectError(error.message, Code.InvalidArgument, undefined, undefined, error);
  }
  const details = [{ desc: FleetChangeRefusalSchema, value: { reason: REFUSALS[known] } }];
  return new ConnectError(error.message, Code.FailedPrecondition, undefined, details, error);
}

function refusalOf(error: unknown): keyof typeof REFUSALS | "not_found" | "invalid" | undefined {
  if (error instanceof FleetChangeRefusedError) return error.reason;
  if (error instanceof NodeInUseError) return "not_drained";
  if (!(error instanceof NodeSetupError)) return undefined;
  return error.code === "same_server" ? "already_there" : "unsuitable_server";
}

function codeOf(error: unknown): Code | undefined {
  if (error instanceof StoreError) return STORE_CODES[error.code];
  if (error instanceof CopyRefusedError) return COPY_CODES[error.reason];
  if (error instanceof NotLeaderError || error instanceof TopologyUnavailableError) return Code.Unavailable;
  if (error instanceof TopologyConflictError) return Code.Aborted;
  if (error instanceof TopologyInconsistentError) return Code.FailedPrecondition;
  return undefined;
}
