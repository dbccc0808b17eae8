import { ReplicaState, type Topology } from "../../../src/gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../../src/placement/physical-name.js";
import type { ShardHasher } from "../../../src/placement/shard.js";
import { checkHistory } from "../../chaos-harness/checker/check-history.js";
import { createVirtualWorld, type VirtualWorld } from "../virtual-world.js";
import { RELIABLE_CONTROL } from "./control-link.js";
import { CopyWatch } from "./copy-watch.js";
import type { Finding } from "./finding.js";
import { Fleet, type FleetShape, silent } from "./fleet.js";
import { Injector } from "./injector.js";
import { NO_FAULTS } from "./node-network.js";
import type { PlantedFault } from "./planted-faults.js";
import { RELIABLE_STORE } from "./store-link.js";
import { Workload } from "./workload.js";

/** How much happened in a run, and what was found. */
export interface RunReport {
  readonly seed: number;
  readonly findings: readonly Finding[];
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly overlapping: number;
  readonly reads: number;
  readonly failedReads: number;
  readonly kills: number;
  readonly betweenCommits: number;
  readonly handOvers: number;
  /** Changes of the fleet that operators asked for and got. */
  readonly operations: number;
  /** Copies that switched: shards moved, replicas repaired. */
  readonly switches: number;
  readonly terms: number;
  readonly generations: number;
  readonly epochs: number;
  readonly virtualMs: number;
}

/** How a run is made. */
export interface RunOptions {
  readonly hasher: ShardHasher;
  readonly planted?: PlantedFault;
  /** Told of everything that happens, line by line. */
  readonly say?: (line: string) => void;
}

/** Virtual time after which a run counts as stuck. */
const LIMIT_MS = 600_000;
/** Quiet time before the last reads: longer than any lease, grace or back-off. */
const SETTLE_MS = 9_000;
/** Quiet time in which whatever begins by itself would have begun: a repair, a hand-over. */
const REST_MS = 2_500;
const INDEX = "movies";

/** One run: clients, faults and operations drawn from the seed, then healing, then judgement. The same seed gives the same run. */
export async function simulate(seed: number, options: RunOptions): Promise<RunReport> {
  const world = createVirtualWorld(seed);
  const say =
    options.say === undefined
      ? silent
      : (line: string) => options.say?.(`${String(Math.round(world.clock.monotonic())).padStart(7)} ${line}`);
  const { planted = {}, hasher } = options;
  const shape = { ...drawShape(world), ...planted.scenario?.shape };
  const fleet = await Fleet.start(world, shape, hasher, say, planted);
  const run = new Run(seed, world, fleet, say);
  try {
    return await run.report();
  } finally {
    await fleet.close();
  }
}

function drawShape({ seeded }: VirtualWorld): FleetShape {
  const groups = seeded.chance(0.2) ? 2 : 1;
  const nodes = groups === 2 ? 4 : 2 + seeded.below(3);
  const copies = groups === 2 ? 1 + seeded.below(2) : seeded.pick([1, 2, 2, 2, 3]);
  return {
    nodes,
    spares: seeded.below(2),
    groups,
    copies: Math.min(copies, nodes / groups),
    shards: 2 + seeded.below(4),
    proxies: 2 + seeded.below(2),
    controls: 1 + seeded.below(2),
    maxBatchMs: seeded.pick([5, 50, 300]),
  };
}

class Run {
  private readonly workload: Workload;
  private readonly copies: CopyWatch;
  private readonly findings: Finding[] = [];

  constructor(
    private readonly seed: number,
    private readonly world: VirtualWorld,
    private readonly fleet: Fleet,
    private readonly say: (line: string) => void,
  ) {
    this.workload = new Workload(fleet, world, say);
    this.copies = new CopyWatch(fleet, world);
  }

  async report(): Promise<RunReport> {
    const injector = new Injector(this.fleet, this.world, this.say);
    try {
      await this.begin();
      await this.disturbed(injector);
      await this.heal(injector);
      await this.readAtRest();
    } catch (error) {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.findings.push({ kind: "stuck", detail });
    }
    const topology = await this.fleet.storedTopology();
    if (topology !== undefined) this.compareReplicas(topology);
    if (this.say !== silent) this.tellLogs();
    const { history, overlapping } = this.workload;
    const seen = checkHistory([...history, ...this.fleet.epochs]);
    const findings = [...this.findings, ...this.fleet.watch.findings, ...this.copies.findings, ...seen];
    const writes = history.filter((record) => record.kind === "write");
    const count = (outcome: string) => writes.filter((write) => write.outcome === outcome).length;
    return {
      seed: this.seed,
      findings,
      acknowledged: count("acknowledged"),
      refused: count("refused"),
      unknown: count("unknown"),
      overlapping,
      reads: history.filter(({ kind }) => kind === "read").length,
      failedReads: history.filter(({ kind }) => kind === "failed-read").length,
      kills: injector.kills,
      betweenCommits: injector.betweenCommits,
      handOvers: injector.handOvers,
      operations: injector.operations,
      switches: this.fleet.watch.switches,
      terms: this.fleet.watch.terms,
      generations: Number(topology?.indexes[0]?.generation ?? 1n) - 1,
      epochs: this.fleet.watch.changes,
      virtualMs: Math.round(this.world.clock.monotonic()),
    };
  }

  /** The index is made and may be filtered before anything goes wrong. */
  private async begin(): Promise<void> {
    await this.until("the first write", async () => {
      const outcome = await this.workload.write(0, 0, "set");
      return outcome === "acknowledged";
    });
    await this.until("the settings", () => this.workload.makeFilterable());
    await this.world.runUntil(() => this.workload.idle(), LIMIT_MS);
  }

  private async disturbed(injector: Injector): Promise<void> {
    const { seeded } = this.world;
    const until = this.workload.now() + 2_500 + seeded.below(4_000);
    const clients: Promise<void>[] = [];
    const { scenario } = this.fleet.planted;
    const drawnMs = seeded.pick([150, 400, 1_000]);
    const pauseMs = scenario?.clientPauseMs ?? drawnMs;
    for (let client = 1; client <= 2 + seeded.below(2); client++) {
      clients.push(this.workload.writer(client, until, pauseMs));
    }
    for (let client = 11; client <= 11 + seeded.below(2); client++) {
      clients.push(this.workload.reader(client, until, pauseMs));
    }
    if (scenario?.counts) clients.push(this.workload.editor(until, pauseMs));
    injector.start(until);
    let done = false;
    const all = Promise.all(clients).then(
      () => {
        done = true;
      },
      (error: unknown) => {
        done = true;
        this.findings.push({ kind: "crashed", detail: String(error) });
      },
    );
    await this.world.runUntil(() => done, LIMIT_MS);
    await all;
  }

  private async heal(injector: Injector): Promise<void> {
    this.say("— healing");
    this.fleet.network.faults = NO_FAULTS;
    this.fleet.storeLink.faults = RELIABLE_STORE;
    this.fleet.setControlFaults(RELIABLE_CONTROL);
    injector.heal();
    this.copies.start();
    await this.pass(SETTLE_MS);
    // A last write makes sure that the index has a writer that knows where it stands.
    if (!(await this.until("a write after healing", () => this.lastWrite()))) return;
    await this.comeToRest();
  }

  /** Passes the time until nothing is under way anywhere: no task, no copy, no change of the topology. */
  private async comeToRest(): Promise<void> {
    const { network, nodes, watch } = this.fleet;
    for (let changes = -1; changes !== watch.changes; ) {
      changes = watch.changes;
      await this.world.runUntil(
        () =>
          this.workload.idle() &&
          network.late === 0 &&
          watch.copies() === 0 &&
          [...nodes.values()].every((node) => node.queue.idle()),
        LIMIT_MS,
      );
      await this.pass(REST_MS);
    }
  }

  private async lastWrite(): Promise<boolean> {
    return (
      (await this.workload.write(0, this.world.seeded.below(this.fleet.shape.proxies))) === "acknowledged"
    );
  }

  private async readAtRest(): Promise<void> {
    for (let at = 0; at < this.fleet.shape.proxies; at++) {
      await this.until("reads at rest", () => this.workload.readListing(0, at, "final"));
    }
    await this.comeToRest();
  }

  /** Lets time pass until `attempt` succeeds; tells and records it where it does not. */
  private async until(what: string, attempt: () => Promise<boolean>): Promise<boolean> {
    for (let tries = 0; tries < 25; tries++) {
      let outcome: boolean | undefined;
      attempt().then(
        (value) => {
          outcome = value;
        },
        (error: unknown) => {
          this.say(`${what}: ${String(error)}`);
          outcome = false;
        },
      );
      await this.world.runUntil(() => outcome !== undefined, LIMIT_MS);
      if (outcome) return true;
      await this.pass(1_000);
    }
    this.findings.push({ kind: "stuck", detail: `${what} did not succeed` });
    return false;
  }

  private async pass(ms: number): Promise<void> {
    let passed = false;
    this.world.timers.after(ms, () => {
      passed = true;
    });
    await this.world.runUntil(() => passed, LIMIT_MS);
  }

  private tellLogs(): void {
    for (const { id, tasks } of this.fleet.nodes.values()) {
      for (const { uid, type, indexUid, customMetadata, status, details, error, ...times } of tasks) {
        const told = JSON.stringify({ details, error: error?.code });
        const when = [times.enqueuedAt, times.startedAt, times.finishedAt].map(
          (time) => time?.slice(17, 23) ?? "-",
        );
        this.say(`${id} ${uid} ${type} ${indexUid} ${customMetadata} ${status} ${when.join(" ")} ${told}`);
      }
    }
  }

  /** At rest, replicas in sync hold the same, and no stale one bears the present name. */
  private compareReplicas(topology: Topology): void {
    const index = topology.indexes.find(({ uid }) => uid === INDEX);
    if (index === undefined) {
      this.findings.push({ kind: "lost", detail: "the index is gone" });
      return;
    }
    const name = physicalName(index.instance, index.generation);
    const states = new Map(index.replicas.map(({ nodeId, state }) => [nodeId, state]));
    for (const { shard, nodeIds } of index.placement) {
      const texts = new Map<string, string>();
      for (const nodeId of nodeIds) {
        if (states.get(nodeId) !== ReplicaState.IN_SYNC) continue;
        const contents = this.fleet.nodes.get(nodeId)?.shardContents(name, shard);
        if (contents === undefined) {
          this.findings.push({ kind: "lost", detail: `${nodeId} does not hold ${name}` });
          continue;
        }
        texts.set(nodeId, JSON.stringify([...contents].sort()));
      }
      if (new Set(texts.values()).size > 1) {
        const told = [...texts].map(([nodeId, text]) => `${nodeId}: ${text}`).join("; ");
        this.findings.push({ kind: "divergent-replicas", detail: `shard ${shard}: ${told}` });
      }
    }
    for (const [nodeId, state] of states) {
      if (state === ReplicaState.STALE && this.fleet.nodes.get(nodeId)?.indexes.has(name)) {
        this.findings.push({
          kind: "stale-name",
          detail: `the stale replica on ${nodeId} bears the name ${name}`,
        });
      }
    }
  }
}
