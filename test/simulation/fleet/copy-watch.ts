import type { VirtualWorld } from "../virtual-world.js";
import type { Finding } from "./finding.js";
import type { Fleet } from "./fleet.js";

/** Virtual time in which a copy takes a step where every node answers: that of many looks, retries and batches of these few documents. */
const STALLED_MS = 60_000;
const LOOK_EVERY_MS = 1_000;

/**
 * Looks for copies that stand still, from the moment on at which nothing is wrong with the fleet any more. A run that ends well in spite of
 * such a pause would hide it.
 */
export class CopyWatch {
  /** Each step that stood still, once. */
  readonly findings: Finding[] = [];
  /** By instance: the step that its copy is at, and since when. */
  private seen = new Map<string, { readonly step: string; readonly since: number }>();

  constructor(
    private readonly fleet: Fleet,
    private readonly world: VirtualWorld,
  ) {}

  /** Begins to look, until the run is over. */
  start(): void {
    this.look();
    this.world.timers.after(LOOK_EVERY_MS, () => this.start());
  }

  private look(): void {
    const { nodes, watch } = this.fleet;
    const now = this.world.clock.monotonic();
    const before = [...nodes.values()].every(({ up }) => up) ? this.seen : new Map<string, never>();
    this.seen = new Map(
      [...watch.copySteps()].map(([instance, step]) => {
        const known = before.get(instance);
        return [instance, known?.step === step ? known : { step, since: now }];
      }),
    );
    for (const { step, since } of this.seen.values()) {
      const detail = `copy ${step} since ${Math.round(since)} ms`;
      if (now - since < STALLED_MS || this.findings.some((finding) => finding.detail === detail)) continue;
      this.findings.push({ kind: "stalled-copy", detail });
    }
  }
}
