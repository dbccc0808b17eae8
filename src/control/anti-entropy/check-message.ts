import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  OddReplicaReason,
  type ShardCheck as ShardCheckMessage,
  ShardCheckSchema,
} from "../../gen/miroir/v1/verify_pb.js";
import type { ShardCheck } from "./check-record.js";
import type { OddReplica } from "./odd-replica.js";

const REASONS: Readonly<Record<OddReplica["reason"], OddReplicaReason>> = {
  minority: OddReplicaReason.MINORITY,
  doubted: OddReplicaReason.DOUBTED,
  behind: OddReplicaReason.BEHIND,
  undecided: OddReplicaReason.UNDECIDED,
};

/** The result of a comparison as the proto file has it. */
export function checkMessage(check: ShardCheck): ShardCheckMessage {
  const { indexUid, shard, nodeIds, documents, differing, unsettled, odd, isMarked, error, checkedAt } =
    check;
  return create(ShardCheckSchema, {
    indexUid,
    shard,
    nodeIds: [...nodeIds],
    documents: BigInt(documents),
    differing: BigInt(differing),
    unsettled: BigInt(unsettled),
    oddNodeId: odd?.nodeId ?? "",
    reason: odd === undefined ? OddReplicaReason.UNSPECIFIED : REASONS[odd.reason],
    marked: isMarked,
    error,
    checkedAt: timestampFromMs(checkedAt),
  });
}
