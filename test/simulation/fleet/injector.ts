import type { VirtualWorld } from "../virtual-world.js";
import type { Fleet } from "./fleet.js";

/** Draws faults from the seed and takes them back: of nodes, processes, their networks and the store. */
export class Injector {
  kills = 0;
  /** Ends and pauses of proxies, which hand their indexes over. */
  handOvers = 0;
  private readonly pending = new Set<() => void>();

  constructor(
    private readonly fleet: Fleet,
    private readonly world: VirtualWorld,
    private readonly say: (line: string) => void,
  ) {}

  /** Faults begin now, and new ones come until a moment. */
  start(until: number): void {
    const { seeded, clock, timers } = this.world;
    const some = () => seeded.pick([0, 0, 0.01, 0.05]);
    this.fleet.network.faults = {
      refuse: some(),
      notSent: some(),
      loseAnswer: some(),
      delay: some(),
      maxDelayMs: seeded.pick([10, 1_000, 10_000]),
    };
    this.fleet.setControlFaults({
      unavailable: some(),
      loseAnswer: some(),
      streamDelayMs: seeded.pick([3, 3, 50, 800]),
    });
    if (seeded.chance(0.3)) {
      this.fleet.storeLink.faults = {
        unavailable: some(),
        loseAnswer: seeded.pick([0, 0.01]),
        delay: seeded.pick([0, 0.01]),
        maxDelayMs: seeded.pick([100, 15_000]),
      };
    }
    const pauseMs = seeded.pick([700, 2_000, 5_000]);
    const next = (): void => {
      if (clock.monotonic() >= until) return;
      this.disturb();
      timers.after(seeded.below(pauseMs), next);
    };
    timers.after(seeded.below(pauseMs), next);
  }

  /** Takes back whatever is still in place. */
  heal(): void {
    for (const undo of [...this.pending]) undo();
    this.fleet.network.joinAll();
  }

  private disturb(): void {
    const { seeded } = this.world;
    seeded.pick([
      () => this.killNode(),
      () => this.killNode(),
      () => this.stopNode(),
      () => this.partition(),
      () => this.killProxy(),
      () => this.killProxy(),
      () => this.endProxy(),
      () => this.pauseProxy(),
      () => this.killControl(),
      () => this.pauseControl(),
      () => this.fleet.breakStreams(),
    ])();
  }

  /** Undoes something after a while, or at the end of all faults if that is earlier. */
  private later(afterMs: number, undo: () => void): void {
    const once = (): void => {
      if (this.pending.delete(once)) undo();
    };
    this.pending.add(once);
    this.world.timers.after(afterMs, once);
  }

  private duration(): number {
    const { seeded } = this.world;
    return 20 + seeded.below(seeded.pick([500, 4_000, 12_000]));
  }

  private killNode(): void {
    const node = this.world.seeded.pick([...this.fleet.nodes.values()]);
    if (!node.up) return;
    this.kills++;
    node.kill();
    this.say(`— ${node.id} is killed`);
    this.later(this.duration(), () => {
      node.start();
      this.say(`— ${node.id} is back`);
    });
  }

  private stopNode(): void {
    const { id } = this.world.seeded.pick([...this.fleet.nodes.values()]);
    this.fleet.network.stop(id);
    this.say(`— ${id} is stopped`);
    this.later(this.duration(), () => {
      this.fleet.network.resume(id);
      this.say(`— ${id} goes on`);
    });
  }

  private partition(): void {
    const { seeded } = this.world;
    const { id } = seeded.pick([...this.fleet.nodes.values()]);
    const clients = [
      ...Array.from({ length: this.fleet.shape.proxies }, (_, at) => `proxy-${at}`),
      ...Array.from({ length: this.fleet.shape.controls }, (_, at) => `control-${at}`),
    ].filter(() => seeded.chance(0.5));
    for (const client of clients) this.fleet.network.part(client, id);
    this.say(`— ${id} is parted from ${clients.join(", ")}`);
    this.later(this.duration(), () => this.fleet.network.joinAll());
  }

  private killProxy(): void {
    const at = this.world.seeded.below(this.fleet.shape.proxies);
    const proxy = this.fleet.proxy(at);
    if (!proxy.process.alive()) return;
    this.kills++;
    this.handOvers++;
    proxy.kill();
    this.say(`— ${proxy.id} is killed`);
    this.later(this.duration(), () => this.restartProxy(at));
  }

  private endProxy(): void {
    const at = this.world.seeded.below(this.fleet.shape.proxies);
    const proxy = this.fleet.proxy(at);
    if (!proxy.process.alive()) return;
    this.handOvers++;
    this.say(`— ${proxy.id} is told to end`);
    void proxy.shutDown();
    this.later(this.duration(), () => {
      proxy.kill();
      this.restartProxy(at);
    });
  }

  private restartProxy(at: number): void {
    if (this.fleet.proxy(at).process.alive()) return;
    this.say(`— proxy-${at} is started`);
    this.fleet.startProxy(at);
  }

  private pauseProxy(): void {
    const proxy = this.fleet.proxy(this.world.seeded.below(this.fleet.shape.proxies));
    this.handOvers++;
    proxy.process.pause();
    this.say(`— ${proxy.id} is paused`);
    this.later(this.duration(), () => {
      proxy.process.resume();
      this.say(`— ${proxy.id} goes on`);
    });
  }

  private killControl(): void {
    const at = this.world.seeded.below(this.fleet.shape.controls);
    const control = this.fleet.control(at);
    if (!control.process.alive()) return;
    this.kills++;
    control.kill();
    this.say(`— ${control.name} is killed`);
    this.later(this.duration(), () => {
      this.say(`— ${control.name} is started`);
      this.fleet.startControl(at);
    });
  }

  private pauseControl(): void {
    const { process, name } = this.fleet.control(this.world.seeded.below(this.fleet.shape.controls));
    process.pause();
    this.say(`— ${name} is paused`);
    this.later(this.duration(), () => {
      process.resume();
      this.say(`— ${name} goes on`);
    });
  }
}
