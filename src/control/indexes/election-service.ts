import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { IndexService } from "../../gen/miroir/v1/indexes_pb.js";
import type { World } from "../../runtime/world.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { type Election, ElectionRefusedError, holdElection, planElections } from "./unclean-election.js";

/** The method of the index service by which an operator gives up the last copies in sync. */
export function createElection(
  topology: TopologyManager,
  world: World,
): Pick<ServiceImpl<typeof IndexService>, "electReplicas"> {
  return {
    async electReplicas({ lostNodeIds, indexUids, acceptLoss }) {
      const current = topology.current();
      const unknown = indexUids.find((uid) => !current.indexes.some((index) => index.uid === uid));
      if (unknown !== undefined) throw new ConnectError(`there is no index ${unknown}`, Code.NotFound);
      const lost = new Set(lostNodeIds);
      const id = Buffer.from(world.random.bytes(8)).toString("hex");
      let elections = planned(() => planElections(current, lost, indexUids));
      if (acceptLoss && elections.some(isPossible)) {
        await topology.change(`an operator gives up the copies on ${lostNodeIds.join(", ")}`, (draft) => {
          elections = planned(() => planElections(draft, lost, indexUids));
          for (const election of elections.filter(isPossible)) holdElection(draft, election, id);
        });
      }
      return {
        elections: elections.map((election) => ({
          indexUid: election.indexUid,
          lostNodeIds: [...election.lostNodeIds],
          shards: election.elected.map(({ shard, electedNodeIds }) => ({
            shard,
            electedNodeIds: [...electedNodeIds],
          })),
          bareShards: [...election.bare],
          held: acceptLoss && isPossible(election),
        })),
      };
    },
  };
}

function isPossible({ bare }: Election): boolean {
  return bare.length === 0;
}

function planned<T>(plan: () => T): T {
  try {
    return plan();
  } catch (error) {
    if (!(error instanceof ElectionRefusedError)) throw error;
    throw new ConnectError(error.message, Code.FailedPrecondition, undefined, undefined, error);
  }
}
