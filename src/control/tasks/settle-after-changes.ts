import type { Logger } from "pino";
import type { TopologyChange } from "../topology/topology-manager.js";
import type { TaskRegistry } from "./task-registry.js";

/**
 * A listener to changes of the topology that has open tasks judged again where an index's replicas have other states, or a copy has
 * taken a step: a task waits for the replicas that count, and which do may change.
 */
export function settleAfterChanges(registry: TaskRegistry, logger: Logger): (change: TopologyChange) => void {
  const known = new Map<string, string>();
  return ({ topology }) => {
    const seen = new Set<string>();
    for (const index of topology.indexes) {
      seen.add(index.instance);
      const replicas = index.replicas.map((replica) => `${replica.nodeId}=${replica.state}`).join();
      const states = `${replicas} ${index.copy?.id} ${index.copy?.step}`;
      const before = known.get(index.instance);
      known.set(index.instance, states);
      if (before === undefined || before === states) continue;
      // Open tasks may be filed under the index's former name.
      const judged = index.namedByTask === undefined ? registry.settleIndex(index.uid) : registry.settleAll();
      judged.catch((error: unknown) => {
        logger.error({ err: error, index: index.uid }, "could not judge an index's open tasks again");
      });
    }
    for (const instance of known.keys()) if (!seen.has(instance)) known.delete(instance);
  };
}
