import type { VirtualWorld } from "../virtual-world.js";
import type { Fleet } from "./fleet.js";
import type { Disk, SimulatedMeilisearch } from "./node.js";
import { sabotage } from "./sabotage.js";
import type { Disturbance, Scenario } from "./scenario.js";

/** Time in which writes that are under way are answered. */
const LAST_WRITES_MS = 40;

/** As often as they are drawn: nodes that are away, nodes that lose what they hold, and what else goes on. */
const FAILURES: readonly Disturbance[] = [
  "killNode",
  "killNode",
  "killBetweenCommits",
  "stopNode",
  "partition",
];
const DAMAGES: readonly Disturbance[] = ["damageNode", "damageNode", "fillDisk"];
const OTHERS: readonly Disturbance[] = [
  "operate",
  "operate",
  "killProxy",
  "killProxy",
  "endProxy",
  "pauseProxy",
  "killControl",
  "pauseControl",
  "breakStreams",
];

/** Draws faults from the seed and takes them back: of nodes, processes, their networks and the store. */
export class Injector {
  kills = 0;
  /** Ends and pauses of proxies, which hand their indexes over. */
  handOvers = 0;
  operations = 0;
  /** Nodes that were killed with a batch in the index and not in the task log. */
  betweenCommits = 0;
  /**
   * Whether this run's nodes fail by what they hold, one of them, rather than by being away: together that is more than two copies can bear.
   */
  private isDamaging = false;
  private damaged = false;
  private readonly pending = new Set<() => void>();
  private readonly scenario: Scenario;

  constructor(
    private readonly fleet: Fleet,
    private readonly world: VirtualWorld,
    private readonly say: (line: string) => void,
  ) {
    this.scenario = fleet.planted.scenario ?? {};
  }

  /** Faults begin now, and new ones come until a moment. */
  start(until: number): void {
    const { seeded, clock, timers } = this.world;
    const { disturbances } = this.scenario;
    const isDamaging = seeded.chance(0.25);
    this.isDamaging = disturbances?.some((name) => DAMAGES.includes(name)) ?? isDamaging;
    this.disturbNetworks();
    sabotage(this.fleet, this.world, this.say, until);
    const drawnMs = seeded.pick([500, 1_200, 3_000]);
    const pauseMs = this.scenario.disturbedEveryMs ?? drawnMs;
    const next = (): void => {
      if (clock.monotonic() >= until) return;
      this.disturb();
      timers.after(seeded.below(pauseMs), next);
    };
    timers.after(seeded.below(pauseMs), next);
  }

  private disturbNetworks(): void {
    const { seeded } = this.world;
    const some = () => seeded.pick([0, 0, 0.01, 0.05]);
    if (!this.isDamaging) {
      const maxDelayMs = seeded.pick([10, 1_000, 10_000]);
      this.fleet.network.faults = {
        refuse: some(),
        notSent: some(),
        loseAnswer: some(),
        delay: some(),
        maxDelayMs,
        ...this.scenario.network,
      };
    }
    const drawnMs = seeded.pick([3, 3, 50, 800]);
    const streamDelayMs = this.scenario.streamDelayMs ?? drawnMs;
    this.fleet.setControlFaults({ unavailable: some(), loseAnswer: some(), streamDelayMs });
    if (seeded.chance(0.7)) return;
    this.fleet.storeLink.faults = {
      unavailable: some(),
      loseAnswer: seeded.pick([0, 0.01]),
      delay: seeded.pick([0, 0.01]),
      maxDelayMs: seeded.pick([100, 15_000]),
    };
  }

  /** Takes back whatever is still in place. */
  heal(): void {
    for (const undo of [...this.pending]) undo();
    this.fleet.network.joinAll();
  }

  private disturb(): void {
    const { disturbances = [...(this.isDamaging ? DAMAGES : FAILURES), ...OTHERS] } = this.scenario;
    this[this.world.seeded.pick(disturbances)]();
  }

  private breakStreams(): void {
    this.fleet.breakStreams();
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
    const drawnMs = seeded.pick([500, 4_000, 12_000]);
    return 20 + seeded.below(this.scenario.lastsMs ?? drawnMs);
  }

  /** An operator changes the fleet while all of this happens, or takes back what was begun. */
  private operate(): void {
    const { seeded } = this.world;
    const { shape } = this.fleet;
    const spare = this.fleet.spare();
    const nodeId = `node-${seeded.below(shape.nodes)}`;
    const [method, request] = seeded.pick<readonly [string, object]>([
      ["drainNode", { nodeId }],
      ["drainNode", { nodeId }],
      ["rebalance", {}],
      ["setReplication", { replicationFactor: 1 + seeded.below(3) }],
      ["repair", {}],
      ["cancelWorkflow", {}],
      ...(spare === undefined
        ? []
        : [["addNode", { node: { url: `http://${spare.id}`, key: spare.masterKey } }] as const]),
    ]);
    const done = method === "cancelWorkflow" ? this.cancelWorkflow() : this.fleet.operate(method, request);
    done.then(
      () => {
        this.operations++;
        this.say(`— operator: ${method} ${JSON.stringify(request)}`);
      },
      (error: unknown) => this.say(`— operator: ${method} ${JSON.stringify(request)}: ${String(error)}`),
    );
  }

  private async cancelWorkflow(): Promise<void> {
    const { workflows } = (await this.fleet.operate("listWorkflows", {})) as { workflows: { id: string }[] };
    const id = workflows.at(-1)?.id;
    if (id === undefined) throw new Error("there is no workflow");
    await this.fleet.operate("cancelWorkflow", { id });
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

  /** Kills a node when its next batch is in the index and not yet in the task log: it runs twice. */
  private killBetweenCommits(): void {
    const node = this.world.seeded.pick([...this.fleet.nodes.values()]);
    const downMs = this.duration();
    node.queue.onCommit = () => {
      this.kills++;
      this.betweenCommits++;
      node.kill();
      this.say(`— ${node.id} is killed between the commits of a batch`);
      this.later(downMs, () => {
        node.start();
        this.say(`— ${node.id} is back`);
      });
    };
    this.pending.add(() => {
      node.queue.onCommit = undefined;
    });
  }

  /** A node comes back with an older state of its disk, with nothing, or without what it had not yet run. Never the only copy of anything. */
  private damageNode(): void {
    const { seeded } = this.world;
    if (this.damaged) return;
    const node = seeded.pick([...this.fleet.nodes.values()]);
    const disk = seeded.pick(this.scenario.disks ?? (["old", "empty", "payloads-lost"] as const));
    if (!node.up || !this.fleet.watch.canLose(node.id)) return;
    this.damaged = true;
    if (disk === "old") node.keepCopy();
    const { quietWhileAway = false } = this.scenario;
    const damagedAfterMs = (disk === "old" ? this.duration() : 0) + (quietWhileAway ? LAST_WRITES_MS : 0);
    if (quietWhileAway) {
      this.world.timers.after(damagedAfterMs - LAST_WRITES_MS, () => {
        this.fleet.quiet = true;
      });
    }
    this.later(damagedAfterMs, () => {
      if (!node.up || !this.fleet.watch.canLose(node.id)) return;
      this.kills++;
      node.kill();
      this.say(`— ${node.id} is killed, and its disk is ${disk}`);
      this.later(this.duration(), () => this.comeBack(node, disk));
    });
  }

  /** A disk is not exchanged in the moment between two looks at its node: before the node is missed, it is not there again. */
  private comeBack(node: SimulatedMeilisearch, disk: Disk): void {
    if (!this.fleet.watch.isMissed(node.id)) {
      this.world.timers.after(200, () => this.comeBack(node, disk));
      return;
    }
    node.start(disk);
    this.say(`— ${node.id} is back, its disk ${disk}`);
  }

  /** A node's disk is full for a while: its writes fail, and its peers' do not. */
  private fillDisk(): void {
    const node = this.world.seeded.pick([...this.fleet.nodes.values()]);
    if (this.damaged || !this.fleet.watch.canLose(node.id)) return;
    this.damaged = true;
    node.queue.full = true;
    // What runs behind a failed task is seen for a moment on the one replica, until the control plane has read of the failure.
    this.fleet.network.showsFailures = true;
    this.say(`— ${node.id} has a full disk`);
    this.later(this.duration(), () => {
      node.queue.full = false;
      this.say(`— ${node.id} has room again`);
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
