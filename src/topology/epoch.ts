import { create } from "@bufbuild/protobuf";
import { type Epoch, EpochSchema } from "../gen/miroir/v1/topology_pb.js";

/** How one epoch stands to another; `foreign` where they belong to different clusters and have no order. */
export type EpochOrder = "lower" | "equal" | "higher" | "foreign";

/** How `epoch` stands to `other` on their cluster's one line: by term, then by counter (invariant 1). */
export function compareEpochs(epoch: Epoch, other: Epoch): EpochOrder {
  if (epoch.clusterId !== other.clusterId) return "foreign";
  if (epoch.term !== other.term) return epoch.term < other.term ? "lower" : "higher";
  if (epoch.counter !== other.counter) return epoch.counter < other.counter ? "lower" : "higher";
  return "equal";
}

/** Whether `epoch` is `floor` or later on the same cluster's line. */
export function epochReached(epoch: Epoch | undefined, floor: Epoch): boolean {
  if (epoch === undefined) return false;
  const order = compareEpochs(epoch, floor);
  return order === "equal" || order === "higher";
}

/** The epoch that follows a change inside the same term. */
export function nextEpoch(epoch: Epoch): Epoch {
  return create(EpochSchema, {
    clusterId: epoch.clusterId,
    term: epoch.term,
    counter: epoch.counter + 1n,
  });
}

/** An epoch for people and logs: `<cluster>/<term>.<counter>`. */
export function formatEpoch(epoch: Epoch | undefined): string {
  return epoch === undefined ? "none" : `${epoch.clusterId}/${epoch.term}.${epoch.counter}`;
}
