import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ControlService } from "../../gen/miroir/v1/control_pb.js";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import { createShardHasher } from "../../placement/shard.js";
import type { TaskStore } from "../../store/task-store.js";
import { createIndexReads } from "../indexes/index-reads.js";
import { notLeader, type StandbyServices } from "../server/replica-services.js";
import { createTaskReads } from "../tasks/task-reads.js";
import { loadTopology } from "../topology/stored-topology.js";
import { withoutSecrets } from "../topology/subscribe.js";
import { LEADER_SCOPE } from "./leadership.js";
import type { ReplicaSeats } from "./replica-seats.js";

/**
 * What a control process that does not lead answers: the topology, indexes and tasks, as the store has them at that moment. That is no less
 * than the leader knows of them, which stores before it tells.
 *
 * @param leader HOST:PORT of the process that leads, undefined where none is known to
 */
export async function createStandbyServices(
  store: TaskStore,
  leader: () => string | undefined,
): Promise<StandbyServices> {
  const topology = async (): Promise<Topology> => {
    const stored = await loadTopology(store.topology);
    if (stored !== undefined) return stored;
    throw new ConnectError("the store holds no topology yet; try again shortly", Code.Unavailable);
  };
  return {
    topology: { getTopology: async () => ({ topology: withoutSecrets(await topology()) }) },
    // A task that is not there yet may be one that the leader is being told of.
    tasks: createTaskReads(store, () => notLeader(leader())),
    indexes: createIndexReads({ topology, hasher: await createShardHasher() }),
  };
}

/** `miroir.v1.ControlService`, which every control process answers. */
export function createControlService(
  store: TaskStore,
  seats: Pick<ReplicaSeats, "live">,
): ServiceImpl<typeof ControlService> {
  return {
    async listReplicas() {
      const leader = (await store.lease.current(LEADER_SCOPE))?.holder;
      return {
        replicas: seats.live().map(({ address, session, version, protocol }) => ({
          address,
          session,
          version,
          protocolMin: protocol.min,
          protocolMax: protocol.max,
          leader: leader?.startsWith(leaderPrefix({ address, session })) === true,
        })),
      };
    },
  };
}

/** How the leader lease's holder begins where a process has the lease; what follows tells its candidacies apart. */
export function leaderPrefix({ address, session }: { address: string; session: string }): string {
  return `${address}/${session}-`;
}

/** HOST:PORT of the process that a leader lease's holder names; undefined for a name of another form. */
export function leaderAddress(holder: string | undefined): string | undefined {
  const slash = holder?.indexOf("/") ?? -1;
  return slash > 0 ? holder?.slice(0, slash) : undefined;
}
