import type { Epoch, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { compareEpochs } from "../../topology/epoch.js";

/** The last topologies published by this process: what the deltas to proxies that come back are made against. */
export class TopologyHistory {
  readonly #limit: number;
  #topologies: readonly Topology[] = [];

  /** Remembers `limit` topologies, 16 unless given. */
  constructor(limit = 16) {
    this.#limit = limit;
  }

  /** Remembers a topology. */
  add(topology: Topology): void {
    this.#topologies = [...this.#topologies, topology].slice(-this.#limit);
  }

  /** The one published last; undefined before the first. */
  newest(): Topology | undefined {
    return this.#topologies.at(-1);
  }

  /** The topology of exactly that epoch and content, if it is remembered. */
  find(epoch: Epoch, hash: string): Topology | undefined {
    return this.#topologies.find(
      (topology) =>
        topology.contentHash === hash &&
        topology.epoch !== undefined &&
        compareEpochs(topology.epoch, epoch) === "equal",
    );
  }
}
