import { ElectReplicasRequestSchema } from "../../gen/miroir/v1/indexes_pb.js";
import { CheckShardsRequestSchema, ListShardChecksRequestSchema } from "../../gen/miroir/v1/verify_pb.js";
import { checkName, MAX_NAME } from "./field-checks.js";
import type { ValidatorTable } from "./validation.js";

const MAX_SHARDS = 4_096;
const MAX_NODES = 1_000;
const MAX_INDEXES = 10_000;

/** Adds the bounds of the requests by which operators look into failures and decide about them. */
export function addFailureValidators(table: ValidatorTable): ValidatorTable {
  return table
    .add(ElectReplicasRequestSchema, ({ lostNodeIds, indexUids }, faults) => {
      const fits = lostNodeIds.length >= 1 && lostNodeIds.length <= MAX_NODES;
      faults.check(fits, "lost_node_ids", `name the nodes that are gone for good, 1 to ${MAX_NODES}`);
      faults.check(indexUids.length <= MAX_INDEXES, "index_uids", `at most ${MAX_INDEXES}`);
    })
    .add(CheckShardsRequestSchema, ({ indexUid, shards }, faults) => {
      checkName(indexUid, "index_uid", faults);
      faults.check(shards.length <= MAX_SHARDS, "shards", `at most ${MAX_SHARDS}`);
    })
    .add(ListShardChecksRequestSchema, ({ indexUid }, faults) => {
      faults.check(indexUid.length <= MAX_NAME, "index_uid", `at most ${MAX_NAME} characters`);
    });
}
