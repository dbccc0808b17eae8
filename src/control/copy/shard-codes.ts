import { type Index, ShardCopyStep } from "../../gen/miroir/v1/topology_pb.js";
import { familyShards } from "../../placement/shard-family.js";

/** The shards whose codes documents of these shards may bear: more of them while the index is cut into more, or back again. */
export function codedShards({ copy, shards: count }: Index, shards: readonly number[]): readonly number[] {
  const isMixed = copy?.step === ShardCopyStep.COPYING || copy?.step === ShardCopyStep.CLEANING;
  const split = copy?.splitShards ?? 0;
  return familyShards(shards, count, isMixed && split > 0 ? split : count);
}
