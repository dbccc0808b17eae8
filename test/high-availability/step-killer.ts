import { LEADER_SCOPE } from "../../src/control/leader/leadership.js";
import { leaderAddress } from "../../src/control/leader/standby-services.js";
import { loadTopology } from "../../src/control/topology/stored-topology.js";
import { type Index, ShardCopyStep } from "../../src/gen/miroir/v1/topology_pb.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { openTaskStore } from "../../src/store/open-task-store.js";
import { parseStoreUrl } from "../../src/store/store-location.js";
import type { TaskStore } from "../../src/store/task-store.js";
import type { ControlReplica, ReplicatedFleet } from "./replicated-fleet.js";

/** A step of a copy, or its end, in lower case. */
export type SeenStep = { readonly copy: string; readonly step: string };

/** What a {@link StepKiller} did and saw. */
export interface StepReport {
  /** The steps at which the leader was killed, in their order. */
  readonly killedAt: readonly string[];
  /** Every step of every copy in the order in which the store held them; the same one after the other is one. */
  readonly steps: readonly SeenStep[];
  /** Every generation of the index that the store held, from the one on at which the first copy was planned. */
  readonly generations: readonly bigint[];
}

const LOOK_MS = 5;
const SETTLED_MS = 20_000;

/**
 * Watches the store, and kills the leader as soon as a copy has reached a step of those given at which none was killed yet: the step is stored then, and
 * hardly anybody has been told of it. Killed processes are started again as standbys.
 */
export class StepKiller {
  readonly #fleet: ReplicatedFleet;
  readonly #store: TaskStore;
  readonly #indexUid: string;
  readonly #killAt: ReadonlySet<string>;
  readonly #generations: bigint[] = [];
  readonly #killedAt = new Set<string>();
  readonly #steps: SeenStep[] = [];
  readonly #restarts: Promise<void>[] = [];
  #stopped = false;
  #watching: Promise<void> = Promise.resolve();

  private constructor(fleet: ReplicatedFleet, store: TaskStore, indexUid: string, killAt: readonly string[]) {
    this.#killAt = new Set(killAt);
    this.#fleet = fleet;
    this.#store = store;
    this.#indexUid = indexUid;
  }

  /** Begins to watch the copies of an index in the store at a URL, and kills at these steps. */
  static async start(
    fleet: ReplicatedFleet,
    storeUrl: string,
    indexUid: string,
    killAt: readonly string[],
  ): Promise<StepKiller> {
    const store = await openTaskStore({ location: parseStoreUrl(storeUrl), world: createSystemWorld() });
    const killer = new StepKiller(fleet, store, indexUid, killAt);
    killer.#watching = killer.#watch();
    return killer;
  }

  /** The index as it is stored. */
  async index(): Promise<Index> {
    const topology = await loadTopology(this.#store.topology);
    const index = topology?.indexes.find(({ uid }) => uid === this.#indexUid);
    if (index === undefined) throw new Error(`there is no index ${this.#indexUid}`);
    return index;
  }

  /** Ends the watch, and waits for the killed to be back. */
  async stop(): Promise<StepReport> {
    this.#stopped = true;
    await this.#watching;
    await Promise.all(this.#restarts);
    await this.#store.close();
    return { killedAt: [...this.#killedAt], steps: this.#steps, generations: this.#generations };
  }

  async #watch(): Promise<void> {
    let last: string | undefined;
    while (!this.#stopped) {
      const { copy, generation } = await this.index();
      // The end is one only of a copy that was seen before.
      if (copy !== undefined || last !== undefined) {
        last = copy?.id ?? last;
        if (this.#generations.at(-1) !== generation) this.#generations.push(generation);
        const step = copy === undefined ? "end" : ShardCopyStep[copy.step].toLowerCase();
        const newest = this.#steps.at(-1);
        if (newest?.copy !== last || newest?.step !== step) this.#steps.push({ copy: last ?? "", step });
        if (this.#killAt.has(step) && !this.#killedAt.has(step)) {
          this.#killedAt.add(step);
          await this.#killLeader();
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async #killLeader(): Promise<void> {
    const holder = (await this.#store.lease.current(LEADER_SCOPE))?.holder;
    const leading = this.#fleet.replicas.find(({ address }) => address === leaderAddress(holder));
    if (leading === undefined) throw new Error(`nobody leads at a step: ${holder}`);
    leading.process().child.kill("SIGKILL");
    this.#restarts.push(this.#comeBack(leading));
    await leading.process().ended;
    // The next kill is of the next leader.
    for (const end = performance.now() + SETTLED_MS; ; ) {
      const next = await this.#store.lease.current(LEADER_SCOPE);
      if (next !== undefined && next.holder !== holder) return;
      if (performance.now() > end) throw new Error("nobody leads after a kill");
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async #comeBack(replica: ControlReplica): Promise<void> {
    await replica.process().ended;
    await replica.restart();
  }
}
