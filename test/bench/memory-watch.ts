import type { InspectedProcess } from "./inspected-process.js";
import { cpuMs } from "./process-usage.js";

/** What one process holds at a moment, in bytes, and what it was busy with since the sample before. */
export interface ProcessSample {
  readonly rss: number;
  /** Objects of JavaScript, those included that wait for the collector. */
  readonly heapUsed: number;
  /** Outside of the heap, held by objects in it; array buffers included. */
  readonly external: number;
  /** What keeps the event loop going: sockets, servers, timers, requests under way. */
  readonly resources: number;
  /** Beyond the interval of its measurement. */
  readonly loopDelayP99Ms: number;
  /** Share of one core. */
  readonly cpuPercent: number;
}

/** Milliseconds between two measurements of the event loop's delay. */
const LOOP_RESOLUTION_MS = 10;

const BEGIN = `globalThis.miroirSoakDelay = process.getBuiltinModule("node:perf_hooks")
  .monitorEventLoopDelay({ resolution: ${LOOP_RESOLUTION_MS} }); miroirSoakDelay.enable()`;

const LOOK = `(() => {
  const { rss, heapUsed, external } = process.memoryUsage();
  const loopDelayP99Ms = Math.max(0, miroirSoakDelay.percentile(99) / 1e6 - ${LOOP_RESOLUTION_MS});
  miroirSoakDelay.reset();
  return { rss, heapUsed, external, resources: process.getActiveResourcesInfo().length, loopDelayP99Ms };
})()`;

/** Looks at the memory of a process that runs with `--inspect`, again and again. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #inspected: InspectedProcess;
  #looked: { readonly at: number; readonly cpu: number };

  /** Begins with the process `pid`, to which `inspected` is connected; closes that in the end. */
  static async begin(pid: number, inspected: InspectedProcess): Promise<MemoryWatch> {
    await inspected.evaluate(BEGIN);
    return new MemoryWatch(pid, inspected);
  }

  private constructor(pid: number, inspected: InspectedProcess) {
    this.#pid = pid;
    this.#inspected = inspected;
    this.#looked = { at: performance.now(), cpu: cpuMs(pid) };
  }

  /** What the process holds now. */
  async sample(): Promise<ProcessSample> {
    const figures = await this.#inspected.evaluate<Omit<ProcessSample, "cpuPercent">>(LOOK);
    const [before, now] = [this.#looked, { at: performance.now(), cpu: cpuMs(this.#pid) }];
    this.#looked = now;
    return { ...figures, cpuPercent: (100 * (now.cpu - before.cpu)) / (now.at - before.at) };
  }

  /** Bytes of the heap, and of what it holds outside, that are in use once everything else was collected. */
  async liveBytes(): Promise<number> {
    await this.#inspected.collectGarbage();
    const { heapUsed, external } = await this.#inspected.evaluate<ProcessSample>("process.memoryUsage()");
    return heapUsed + external;
  }

  /** Writes what is on the heap, for developer tools. */
  writeHeapSnapshot(path: string): Promise<void> {
    return this.#inspected.writeHeapSnapshot(path);
  }

  close(): void {
    this.#inspected.close();
  }
}
