import type { Delta, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { diffTopologies } from "../../topology/delta.js";

/** The deltas to the newest topology: many proxies hold the same earlier one, so that each is made once. */
export class SharedDeltas {
  #next: Topology | undefined;
  #byBase = new Map<Topology, Delta>();

  /** The delta from `base` to `next`; those to another topology than `next` are forgotten. */
  between(base: Topology, next: Topology): Delta {
    if (this.#next !== next) {
      this.#next = next;
      this.#byBase = new Map();
    }
    const known = this.#byBase.get(base);
    if (known !== undefined) return known;
    const delta = diffTopologies(base, next);
    this.#byBase.set(base, delta);
    return delta;
  }
}
