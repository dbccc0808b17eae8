import type { Epoch, Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import { compareEpochs } from "../../topology/epoch.js";

interface Entry {
  readonly topology: Topology;
  /** On the monotonic clock. */
  readonly publishedAt: number;
}

/** The last topologies published by this process: what deltas are made against, and how long a proxy has been behind. */
export class TopologyHistory {
  readonly #clock: Clock;
  readonly #limit: number;
  #entries: readonly Entry[] = [];

  /** Remembers `limit` topologies, 16 unless given. */
  constructor(clock: Clock, limit = 16) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Remembers a topology that is published now. */
  add(topology: Topology): void {
    const entry = { topology, publishedAt: this.#clock.monotonic() };
    this.#entries = [...this.#entries, entry].slice(-this.#limit);
  }

  /** The topology of exactly that epoch and content, if it is remembered. */
  find(epoch: Epoch, hash: string): Topology | undefined {
    return this.#entries.find(
      ({ topology }) =>
        topology.contentHash === hash &&
        topology.epoch !== undefined &&
        compareEpochs(topology.epoch, epoch) === "equal",
    )?.topology;
  }

  /**
   * When the holder of `epoch` fell behind: the publication of the first later topology, in milliseconds of the
   * monotonic clock; undefined where `epoch` is the newest. Where that has been forgotten, the oldest one
   * remembered stands for it.
   */
  behindSince(epoch: Epoch): number | undefined {
    return this.#entries.find(
      ({ topology }) =>
        topology.epoch !== undefined &&
        compareEpochs(topology.epoch, epoch) !== "lower" &&
        compareEpochs(topology.epoch, epoch) !== "equal",
    )?.publishedAt;
  }
}
