import { type Epoch, type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import type { IndexInstance } from "../../store/task-store.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** What {@link StaleMarks} works with. */
export interface StaleMarksOptions {
  readonly topology: TopologyManager;
  /** Resolves when the connected proxies know an epoch, or cannot be waited for any longer. */
  readonly acknowledged?: (epoch: Epoch) => Promise<void>;
}

/**
 * Keeps tasks from being final before the connected proxies know which replicas were left behind (design §5): a stale or suspect replica bears
 * a name under which a proxy with an older topology still reads it.
 */
export class StaleMarks {
  readonly #options: StaleMarksOptions;
  /** By index: the stale and suspect replicas that the proxies were seen to know of. */
  readonly #told = new Map<string, string>();

  constructor(options: StaleMarksOptions) {
    this.#options = options;
  }

  /** Resolves once the proxies know of every stale and suspect replica of these indexes. Waits once for each change of them. */
  async known(instances: ReadonlySet<IndexInstance>): Promise<void> {
    const { topology, acknowledged } = this.#options;
    const { indexes, epoch } = topology.current();
    const untold = new Map<string, string>();
    for (const index of indexes) {
      if (!instances.has(index.instance as IndexInstance)) continue;
      const behind = behindNodes(index);
      if (behind === "") this.#told.delete(index.instance);
      else if (this.#told.get(index.instance) !== behind) untold.set(index.instance, behind);
    }
    if (untold.size === 0 || epoch === undefined) return;
    await acknowledged?.(epoch);
    for (const [instance, behind] of untold) this.#told.set(instance, behind);
    const present = new Set(topology.current().indexes.map(({ instance }) => instance));
    for (const instance of this.#told.keys()) if (!present.has(instance)) this.#told.delete(instance);
  }
}

function behindNodes({ replicas }: Index): string {
  return replicas
    .filter(({ state }) => state === ReplicaState.STALE || state === ReplicaState.SUSPECT)
    .map(({ nodeId }) => nodeId)
    .sort()
    .join("\n");
}
