import type { Logger } from "pino";
import type { Delta, Epoch, NodeCredentials, Snapshot, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { abortReason } from "../../runtime/abort.js";
import type { TestFaults } from "../../runtime/test-faults.js";
import { judgeTopology } from "../../topology/acceptance.js";
import { applyDelta } from "../../topology/delta.js";
import { formatEpoch } from "../../topology/epoch.js";
import { buildView, type CredentialsByNode } from "./build-view.js";
import type { ReceivedParts } from "./received-parts.js";
import type { TopologySource, TopologyView } from "./topology-view.js";

/** What {@link HeldTopology} works with. */
export interface HeldTopologyOptions {
  readonly logger: Logger;
  readonly testFaults?: TestFaults | undefined;
  /** The newest protocol that this proxy speaks; `PROTOCOL`'s unless given. */
  readonly protocolMax?: number | undefined;
}

/** The topology as the proxy holds it: the newest one that it could accept, and the keys of its nodes. */
export class HeldTopology implements TopologySource {
  readonly #options: HeldTopologyOptions;
  readonly #listeners = new Set<(view: TopologyView) => void>();
  #topology: Topology | undefined;
  #credentials: CredentialsByNode = new Map();
  #view: TopologyView | undefined;

  constructor(options: HeldTopologyOptions) {
    this.#options = options;
  }

  /** The topology as it was received. */
  received(): Topology | undefined {
    return this.#topology;
  }

  current(): TopologyView | undefined {
    return this.#view;
  }

  onChange(listener: (view: TopologyView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  waitFor(predicate: (view: TopologyView) => boolean, signal: AbortSignal): Promise<TopologyView> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      if (this.#view !== undefined && predicate(this.#view)) {
        resolve(this.#view);
        return;
      }
      const onAbort = () => {
        stopListening();
        reject(abortReason(signal));
      };
      const stopListening = this.onChange((view) => {
        if (!predicate(view)) return;
        stopListening();
        signal.removeEventListener("abort", onAbort);
        resolve(view);
      });
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Takes a whole topology into use; `parts` are those that came before it on its stream. @throws Error saying why it cannot be */
  takeSnapshot(snapshot: Snapshot, parts: ReceivedParts): Epoch {
    return this.#accept(parts.topologyOf(snapshot), snapshot.credentials);
  }

  /** Takes what has changed since the held topology into use. @throws Error saying why it cannot be */
  takeDelta(delta: Delta): Epoch {
    if (this.#topology === undefined) throw new Error("a delta came, but this proxy holds no topology");
    return this.#accept(applyDelta(this.#topology, delta), delta.credentials);
  }

  #accept(topology: Topology, sent: readonly NodeCredentials[]): Epoch {
    const { logger, protocolMax, testFaults } = this.#options;
    const verdict = judgeTopology(this.#topology, topology, protocolMax);
    if (verdict.kind === "refuse" && testFaults?.anyTopology !== true) throw new Error(verdict.error);
    const credentials = mergeCredentials(topology, this.#credentials, sent);
    const view = buildView(topology, credentials);
    this.#topology = topology;
    this.#credentials = credentials;
    this.#view = view;
    logger.info({ epoch: formatEpoch(view.epoch) }, "topology accepted");
    for (const listener of [...this.#listeners]) {
      try {
        listener(view);
      } catch (error) {
        logger.error({ err: error }, "a listener to the topology failed");
      }
    }
    return view.epoch;
  }
}

/**
 * Those sent take the place of those known; the others are kept for the nodes that are still there. A delta brings those that changed,
 * and a control plane that has just begun to lead has none of a node that does not answer it.
 */
function mergeCredentials(
  { nodes }: Topology,
  known: CredentialsByNode,
  sent: readonly NodeCredentials[],
): CredentialsByNode {
  const merged = new Map(known);
  for (const keys of sent) merged.set(keys.nodeId, keys);
  const ids = new Set(nodes.map(({ id }) => id));
  return new Map([...merged].filter(([id]) => ids.has(id)));
}
