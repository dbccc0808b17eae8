/** Does to a fleet what a schedule says, and undoes it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ChaosFleet, ChaosProcess } from "./chaos-fleet.js";
import type { Operations } from "./operations.js";
import type { Recorder } from "./recorder.js";
import type { PlannedFault } from "./schedule.js";

/** How often each kind of fault was put in place. */
export type InjectedFaults = Readonly<Record<PlannedFault["kind"], number>>;

/** Runs a schedule to its end. A process or link that suffers already is left alone. */
export class Injector {
  readonly injected = { link: 0, kill: 0, pause: 0, clock: 0, topology: 0 };
  readonly #fleet: ChaosFleet;
  readonly #recorder: Recorder;
  readonly #operations: Operations;
  readonly #suffering = new Set<string>();
  readonly #recoveries = new Set<Promise<void>>();

  constructor(fleet: ChaosFleet, recorder: Recorder, operations: Operations) {
    this.#fleet = fleet;
    this.#recorder = recorder;
    this.#operations = operations;
  }

  /** Resolves when the last fault is over and everything runs again. */
  async run(schedule: readonly PlannedFault[]): Promise<void> {
    const began = this.#recorder.now();
    for (const fault of schedule) {
      await sleep(Math.max(0, began + fault.at - this.#recorder.now()));
      const recovery = this.#inject(fault).catch((error: unknown) =>
        this.#recorder.event(`could not ${fault.kind}: ${String(error)}`),
      );
      this.#recoveries.add(recovery);
    }
    await Promise.all(this.#recoveries);
    for (const server of [...this.#fleet.proxies, ...this.#fleet.controls]) server.setClock(0);
  }

  async #inject(fault: PlannedFault): Promise<void> {
    switch (fault.kind) {
      case "link":
        return this.#suffer(fault.link, JSON.stringify(fault.fault), fault, async () => {
          const link = this.#fleet.links.get(fault.link);
          link?.suffer(fault.fault);
          await sleep(fault.forMs);
          link?.suffer(undefined);
        });
      case "kill":
        return this.#suffer(fault.process, "kill -9", fault, async () => {
          const process = this.#process(fault.process);
          await process.kill();
          await sleep(fault.forMs);
          await process.start();
        });
      case "pause":
        return this.#suffer(fault.process, "SIGSTOP", fault, async () => {
          const process = this.#process(fault.process);
          process.signal("SIGSTOP");
          await sleep(fault.forMs);
          process.signal("SIGCONT");
        });
      case "clock": {
        const servers = [...this.#fleet.proxies, ...this.#fleet.controls];
        servers.find(({ name }) => name === fault.process)?.setClock(fault.offsetMs);
        this.injected.clock++;
        this.#recorder.event(`${fault.process}: clock at ${fault.offsetMs} ms`);
        return;
      }
      case "topology": {
        const done = await this.#operations.run(fault.draw);
        if (done) this.injected.topology++;
      }
    }
  }

  async #suffer(
    victim: string,
    what: string,
    fault: PlannedFault & { readonly forMs: number },
    hurt: () => Promise<void>,
  ): Promise<void> {
    if (this.#suffering.has(victim)) return;
    this.#suffering.add(victim);
    this.injected[fault.kind]++;
    this.#recorder.event(`${victim}: ${what} for ${fault.forMs} ms`);
    try {
      await hurt();
      this.#recorder.event(`${victim}: over`);
    } finally {
      this.#suffering.delete(victim);
    }
  }

  #process(name: string): ChaosProcess {
    const process = this.#fleet.processes().find((candidate) => candidate.name === name);
    if (process === undefined) throw new Error(`there is no process ${name}`);
    return process;
  }
}
