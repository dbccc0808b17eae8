/** Asks every process, past all relays, which topology it goes by. */
import { setTimeout as sleep } from "node:timers/promises";
import { createMiroirClient, type Topology } from "../../src/client/index.js";
import type { ChaosFleet, ChaosServer } from "./chaos-fleet.js";
import type { Recorder } from "./recorder.js";

const LOOK_MS = 250;
/** A process that is paused does not answer at all. */
const PATIENCE_MS = 1_000;

/** What control replicas and proxies say of the topology over a run. */
export class Observer {
  /** The newest topology that a control replica told. */
  topology: Topology | undefined;
  readonly #fleet: ChaosFleet;
  readonly #recorder: Recorder;
  /** Node sets that served a shard, one after the other. */
  readonly #served = new Map<string, string>();
  #switches = 0;

  constructor(fleet: ChaosFleet, recorder: Recorder) {
    this.#fleet = fleet;
    this.#recorder = recorder;
  }

  /** How often a shard was seen to be served by other nodes than before. */
  get switches(): number {
    return this.#switches;
  }

  /** Asks until told to stop. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await Promise.all([
        ...this.#fleet.controls.map((control) => this.#askControl(control)),
        ...this.#fleet.proxies.map((proxy) => this.#askProxy(proxy)),
      ]);
      await sleep(LOOK_MS);
    }
  }

  async #askControl(control: ChaosServer): Promise<void> {
    const start = this.#recorder.now();
    const { runs } = control;
    const client = createMiroirClient({ baseUrl: control.url, timeoutMs: PATIENCE_MS });
    const answer = await client.topology.getTopology({}).catch(() => undefined);
    const topology = answer?.topology;
    if (topology?.epoch === undefined || runs !== control.runs) return;
    const { clusterId, term, counter } = topology.epoch;
    this.#add(
      control,
      start,
      { cluster: clusterId, term: Number(term), counter: Number(counter) },
      topology.contentHash,
    );
    this.topology = topology;
    this.#countSwitches(topology);
  }

  async #askProxy(proxy: ChaosServer): Promise<void> {
    const start = this.#recorder.now();
    const { runs } = proxy;
    try {
      const answer = await fetch(`${proxy.url}/_miroir/ready`, { signal: AbortSignal.timeout(PATIENCE_MS) });
      const { epoch } = (await answer.json()) as { epoch: { term: number; counter: number } | null };
      if (epoch !== null && runs === proxy.runs) this.#add(proxy, start, { cluster: "", ...epoch }, "");
    } catch {
      // Killed, stopped or starting: it says nothing.
    }
  }

  #add(
    { name, runs }: ChaosServer,
    start: number,
    epoch: { readonly cluster: string; readonly term: number; readonly counter: number },
    contentHash: string,
  ): void {
    const end = this.#recorder.now();
    this.#recorder.add({ kind: "epoch", process: name, run: runs, start, end, ...epoch, contentHash });
  }

  #countSwitches({ indexes }: Topology): void {
    for (const { uid, placement } of indexes) {
      for (const { shard, nodeIds } of placement) {
        const place = `${uid}/${shard}`;
        const nodes = nodeIds.toSorted().join();
        const before = this.#served.get(place);
        if (before !== undefined && before !== nodes) this.#switches++;
        this.#served.set(place, nodes);
      }
    }
  }
}
