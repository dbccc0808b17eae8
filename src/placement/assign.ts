import { CappedLoad, type GroupPlacement, type GroupRequest } from "./capped-load.js";
import { placeReplica } from "./place-replica.js";

/**
 * Places a new index in one group: each shard on the `replicationFactor` nodes that rendezvous hashing prefers, in as many zones as
 * can be, except that no node takes more than its cap, `ceil(shards × replicationFactor / n) + 1` among n equals.
 * The result depends on the request alone, not on the order of its nodes.
 *
 * @throws TooFewNodesError where the group has fewer nodes than the replication factor
 * @throws RangeError for counts or weights that make no sense
 */
export function assignGroup(request: GroupRequest): GroupPlacement {
  const load = new CappedLoad(request);
  const rules = { want: () => 0, movable: () => true };
  for (const shard of load.shards) {
    while (load.holdersOf(shard).length < request.replicationFactor && placeReplica(load, shard, rules));
  }
  return load.placement();
}
