import type { Clock } from "../../runtime/world.js";
import { cancelCopy, targetsOf } from "../copy/copy-steps.js";
import { awayNodes } from "../nodes/away-nodes.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { type FollowedCopy, hasSwitched } from "./copy-ledger.js";

/** Takes copies back whose targets stay away, before their switch, so that their indexes are free for others. */
export class StuckCopies {
  readonly #topology: TopologyManager;
  readonly #clock: Clock;
  readonly #patienceMs: number;
  /** By copy: since when one of its targets has been away; monotonic. */
  readonly #since = new Map<string, number>();

  constructor(topology: TopologyManager, clock: Clock, patienceMs: number) {
    this.#topology = topology;
    this.#clock = clock;
    this.#patienceMs = patienceMs;
  }

  /** Looks at these copies; resolves with those that were taken back, each with the nodes that are missing. */
  async takeBack(
    copies: readonly FollowedCopy[],
  ): Promise<readonly { readonly followed: FollowedCopy; readonly missing: readonly string[] }[]> {
    const now = this.#clock.monotonic();
    const away = awayNodes(this.#topology.current());
    const ids = new Set(copies.map(({ copy }) => copy.id));
    for (const id of this.#since.keys()) if (!ids.has(id)) this.#since.delete(id);
    const taken: { readonly followed: FollowedCopy; readonly missing: readonly string[] }[] = [];
    for (const followed of copies) {
      const { id } = followed.copy;
      const missing = targetsOf(followed.copy).filter((target) => away.has(target));
      if (missing.length === 0 || hasSwitched(followed)) {
        this.#since.delete(id);
        continue;
      }
      const since = this.#since.get(id) ?? now;
      this.#since.set(id, since);
      if (now - since < this.#patienceMs) continue;
      await this.#topology.change(`copy ${id} is taken back: ${missing.join(", ")} stays away`, (draft) => {
        const index = draft.indexes.find(({ copy }) => copy?.id === id);
        if (index?.copy !== undefined && !hasSwitched({ index, copy: index.copy })) cancelCopy(index, id);
      });
      taken.push({ followed, missing });
    }
    return taken;
  }
}
