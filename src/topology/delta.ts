import { create, equals } from "@bufbuild/protobuf";
import {
  type Delta,
  DeltaSchema,
  type Epoch,
  IndexSchema,
  type Topology,
} from "../gen/miroir/v1/topology_pb.js";
import { contentHash } from "./content-hash.js";
import { compareEpochs, formatEpoch } from "./epoch.js";

/** A delta does not lead from the topology at hand to the one it promises. */
export class DeltaMismatchError extends Error {
  override readonly name = "DeltaMismatchError";
}

/**
 * What changed from `base` to `next`: nodes, groups and fleet-wide values whole, of the indexes only the
 * new and changed ones. Nonce and credentials are the sender's to fill in.
 */
export function diffTopologies(base: Topology, next: Topology): Delta {
  const before = new Map(base.indexes.map((index) => [index.uid, index]));
  const changed = next.indexes.filter((index) => {
    const former = before.get(index.uid);
    return former === undefined || (former !== index && !equals(IndexSchema, former, index));
  });
  const kept = new Set(next.indexes.map((index) => index.uid));
  const removedIndexUids = base.indexes.filter((index) => !kept.has(index.uid)).map((index) => index.uid);
  return create(DeltaSchema, {
    ...(base.epoch === undefined ? {} : { baseEpoch: base.epoch }),
    changes: withIndexes(next, changed),
    removedIndexUids,
  });
}

/**
 * The topology that `delta` makes of `base`. Rejects with {@link DeltaMismatchError} where `base` is not
 * the topology that the delta was made against, and where the result does not have the content hash
 * that the delta announces. `base` is left as it was; unchanged indexes are shared with it.
 */
export function applyDelta(base: Topology, delta: Delta): Topology {
  const { changes, baseEpoch } = delta;
  if (changes === undefined) throw new DeltaMismatchError("the delta holds no changes");
  if (!sameEpoch(base.epoch, baseEpoch)) {
    throw new DeltaMismatchError(
      `the delta is against epoch ${formatEpoch(baseEpoch)}, held is ${formatEpoch(base.epoch)}`,
    );
  }
  const indexes = new Map(base.indexes.map((index) => [index.uid, index]));
  for (const uid of delta.removedIndexUids) indexes.delete(uid);
  for (const index of changes.indexes) indexes.set(index.uid, index);
  const sorted = [...indexes.values()].sort((a, b) => (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0));
  const result = withIndexes(changes, sorted);
  const hash = contentHash(result);
  if (hash !== changes.contentHash) {
    throw new DeltaMismatchError(
      `the delta to epoch ${formatEpoch(changes.epoch)} gives content ${hash}, announced was ${changes.contentHash}`,
    );
  }
  return result;
}

function withIndexes(topology: Topology, indexes: Topology["indexes"]): Topology {
  return { ...topology, indexes };
}

function sameEpoch(a: Epoch | undefined, b: Epoch | undefined): boolean {
  return a !== undefined && b !== undefined && compareEpochs(a, b) === "equal";
}
