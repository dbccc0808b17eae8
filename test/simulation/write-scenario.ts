import { Readable } from "node:stream";
import type { PlannedMove } from "../../src/control/copy/start-copy.js";
import { MeilisearchError } from "../../src/meilisearch/errors.js";
import { physicalName } from "../../src/placement/physical-name.js";
import type { ShardHasher } from "../../src/placement/shard.js";
import type { IndexView } from "../../src/proxy/topology/topology-view.js";
import type { TrackerFault } from "../../src/proxy/write/copy/copy-tracker.js";
import { defaultWriteConfig, type WriteResult } from "../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../src/proxy/write/write-metrics.js";
import { createWriteService, type WriteService } from "../../src/proxy/write/write-service.js";
import { SimulatedControl } from "./simulated-control.js";
import { type NetworkFaults, NO_FAULTS, SimulatedNetwork } from "./simulated-network.js";
import { SimulatedNode } from "./simulated-node.js";
import { createVirtualWorld, type VirtualWorld } from "./virtual-world.js";

/** What one run found. */
export interface ScenarioReport {
  readonly seed: number;
  readonly breaches: readonly string[];
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly generations: bigint;
  readonly staleReplicas: number;
  readonly takeOvers: number;
  /** Leases that ended and came back to the same proxy. */
  readonly lapses: number;
  readonly copies: number;
  readonly cancelled: number;
}

type Outcome = "pending" | "acknowledged" | "refused" | "unknown";

interface Operation {
  readonly number: number;
  readonly kind: "replace" | "update" | "delete-batch" | "delete-all";
  readonly keys: readonly string[];
  outcome: Outcome;
  taskUid?: number;
  error?: unknown;
}

const KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"];
const INDEX = "movies";
const LIMIT_MS = 3_600_000;

/**
 * One run: a proxy (and its successors) writes through faults of every kind; then everything is healed, and what the replicas hold is
 * compared with what the clients were told. The same seed gives the same run.
 */
export async function runWriteScenario(
  seed: number,
  hasher: ShardHasher,
  trace = false,
  copies: CopyScenario = { copies: false },
): Promise<ScenarioReport> {
  const run = new Run(seed, hasher, trace, copies);
  return run.report();
}

/** Whether shards are copied meanwhile. */
export interface CopyScenario {
  readonly copies: boolean;
  /** Faults of the rule that are planted. */
  readonly faults?: ReadonlySet<TrackerFault>;
}

class Run {
  private readonly world: VirtualWorld;
  private readonly nodes: ReadonlyMap<string, SimulatedNode>;
  private readonly network: SimulatedNetwork;
  private readonly control: SimulatedControl;
  private readonly operations: Operation[] = [];
  private readonly breaches: string[] = [];
  private service: WriteService;
  private transports: { cut(): void }[] = [];
  /** Has the present proxy's lease run out, and come back after that many milliseconds. */
  private lapse: (backAfterMs: number) => void = () => undefined;
  private proxies = 0;
  private copiesPlanned = 0;
  private cancelled = 0;
  private restarts = 0;
  private lapses = 0;
  /** Sessions of proxies that have died. */
  private readonly dead = new Set<string>();

  constructor(
    private readonly seed: number,
    private readonly hasher: ShardHasher,
    private readonly trace: boolean,
    private readonly scenario: CopyScenario,
  ) {
    this.world = createVirtualWorld(seed);
    const { seeded } = this.world;
    const count = 2 + seeded.below(3);
    const copies = 1 + seeded.below(Math.min(3, count));
    const maxTaskMs = seeded.pick([2, 20, 200]);
    this.nodes = new Map(
      Array.from({ length: count }, (_, i) => [
        `node-${i}`,
        new SimulatedNode(`node-${i}`, this.world, maxTaskMs),
      ]),
    );
    this.control = new SimulatedControl(this.world, this.nodes, {
      shards: 2 + seeded.below(5),
      copies,
      minInSync: 0,
    });
    this.network = new SimulatedNetwork(this.world, this.nodes);
    this.service = this.startProxy();
  }

  async report(): Promise<ScenarioReport> {
    const { seeded } = this.world;
    // The index exists before anything goes wrong: its creation is the control plane's.
    const first = this.submit("replace", ["a"]);
    await this.until(() => first.outcome !== "pending");
    this.network.faults = this.drawFaults();
    this.control.faults = seeded.chance(0.3)
      ? { unavailable: seeded.pick([0.02, 0.2]), loseAnswer: seeded.pick([0.02, 0.1]) }
      : { unavailable: 0, loseAnswer: 0 };
    const rounds = 6 + seeded.below(8);
    for (let round = 0; round < rounds; round++) {
      this.disturb();
      const burst = 1 + seeded.below(this.scenario.copies ? 25 : 4);
      const sent: Operation[] = [];
      for (let i = 0; i < burst; i++) {
        sent.push(this.submit(...this.drawOperation()));
        // Its body is read and it stands in the lane before the next one is submitted.
        await this.until(() => true);
        if (this.scenario.copies) await this.pass(seeded.below(60));
      }
      const patience = this.world.clock.monotonic() + seeded.pick([50, 500, 40_000]);
      this.world.timers.after(patience - this.world.clock.monotonic(), () => undefined);
      await this.until(
        () => sent.every(({ outcome }) => outcome !== "pending") || this.world.clock.monotonic() >= patience,
      );
    }
    await this.heal();
    this.check();
    const index = this.control.index(INDEX);
    const count = (outcome: Outcome) =>
      this.operations.filter((operation) => operation.outcome === outcome).length;
    return {
      seed: this.seed,
      breaches: [...this.control.breaches, ...this.breaches],
      acknowledged: count("acknowledged"),
      refused: count("refused"),
      unknown: count("unknown"),
      generations: index?.generation ?? 0n,
      staleReplicas: index?.replicas.filter(({ state }) => state === 3).length ?? 0,
      takeOvers: this.restarts,
      lapses: this.lapses,
      copies: this.copiesPlanned,
      cancelled: this.cancelled,
    };
  }

  /** The present proxy's. */
  private session(): string {
    return `session-${this.proxies}`;
  }

  private startProxy(): WriteService {
    this.proxies++;
    const session = this.session();
    const transport = this.network.transport();
    const control = this.control.transport();
    this.transports = [transport, control];
    this.control.grant(session);
    const topology = this.control.source();
    this.lapse = (backAfterMs) => {
      this.lapses++;
      this.say(`${session} has no lease for ${backAfterMs} ms`);
      this.control.endLease(session);
      this.world.timers.after(backAfterMs, () => {
        if (this.dead.has(session)) return;
        this.control.giveBack(session, topology);
        // One that has a successor by now is not waited for until the end of the run.
        if (session !== this.session()) this.world.timers.after(2_000, () => this.control.endLease(session));
      });
    };
    const log = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
      if (this.trace) this.say(`${session} ${level} ${message}`, fields);
    };
    return createWriteService({
      world: this.world,
      topology,
      lease: this.control.lease(session),
      control,
      transport,
      config: { ...defaultWriteConfig("/nowhere"), nodeTimeoutMs: 2_000, controlTimeoutMs: 1_000 },
      logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
      metrics: noWriteMetrics,
      copies: this.scenario.faults === undefined ? {} : { faults: this.scenario.faults },
      hasher: this.hasher,
    });
  }

  private drawFaults(): NetworkFaults {
    const { seeded } = this.world;
    const some = () => seeded.pick([0, 0, 0.01, 0.05, 0.2]);
    return {
      refuse: some(),
      notSent: some(),
      loseAnswer: some(),
      delay: some(),
      maxDelayMs: seeded.pick([10, 1_000, 20_000]),
    };
  }

  private drawOperation(): [Operation["kind"], readonly string[]] {
    const { seeded } = this.world;
    if (seeded.chance(0.04)) return ["delete-all", KEYS];
    const kind = seeded.pick(["replace", "replace", "replace", "update", "delete-batch"] as const);
    const wanted = seeded.chance(0.5) ? 1 : 1 + seeded.below(KEYS.length);
    const keys = new Set(Array.from({ length: wanted }, () => seeded.pick(KEYS)));
    return [kind, [...keys]];
  }

  private disturb(): void {
    const { seeded, timers } = this.world;
    if (this.scenario.copies && seeded.chance(0.5)) {
      timers.after(seeded.below(100), () => this.copySomething());
    }
    const ids = [...this.nodes.keys()];
    if (seeded.chance(0.25)) {
      const id = seeded.pick(ids);
      timers.after(seeded.below(100), () => {
        const node = this.nodes.get(id);
        if (node !== undefined) node.up = false;
        this.say(`${id} crashes`);
      });
      timers.after(100 + seeded.below(seeded.pick([500, 30_000])), () => {
        this.nodes.get(id)?.restart();
        this.say(`${id} is back`);
      });
    }
    if (seeded.chance(0.2)) {
      const id = seeded.pick(ids);
      timers.after(seeded.below(50), () => {
        this.network.stop(id);
        this.say(`${id} is stopped`);
      });
      timers.after(50 + seeded.below(seeded.pick([500, 30_000])), () => {
        this.network.resume(id);
        this.say(`${id} resumes`);
      });
    }
    if (seeded.chance(0.15)) {
      const paused = seeded.chance(0.4);
      timers.after(seeded.below(60), () => this.replaceProxy(paused));
    }
    if (!this.scenario.copies && seeded.chance(0.2)) {
      const backAfterMs = seeded.below(seeded.pick([50, 500, 20_000]));
      timers.after(seeded.below(60), () => this.lapse(backAfterMs));
    }
  }

  /** Has replicas moved, made, given up or brought back, or takes that back. */
  private copySomething(): void {
    const { seeded } = this.world;
    const index = this.control.current().indexes.get(INDEX);
    if (index === undefined) return;
    if (index.copy !== undefined) {
      if (seeded.chance(0.2) && this.control.cancelCopy(INDEX)) {
        this.cancelled++;
        this.say("a copy is cancelled");
      }
      return;
    }
    const ids = [...this.nodes.keys()];
    const moves: PlannedMove[] = [];
    index.placement.forEach((placed, shard) => {
      if (!seeded.chance(0.5)) return;
      const from = seeded.pick(placed);
      const to = seeded.pick(ids);
      const kind = seeded.below(5);
      if (kind === 0 && placed.length > 1) moves.push({ shard, from });
      else if (!placed.includes(to)) moves.push(kind === 1 ? { shard, to } : { shard, from, to });
    });
    if (seeded.chance(0.15) && index.shards < 16) this.planCopy([], [], index.shards * 2);
    else this.planCopy(moves, seeded.chance(0.5) ? this.staleNodes() : []);
  }

  private planCopy(
    moves: readonly PlannedMove[],
    repairNodeIds: readonly string[],
    splitShards?: number,
  ): void {
    if (moves.length + repairNodeIds.length === 0 && splitShards === undefined) return;
    const id = `copy-${++this.copiesPlanned}`;
    const split = splitShards === undefined ? {} : { splitShards };
    const copy = { id, workflowId: "", moves, repairNodeIds, maxDocumentsPerSecond: 0, ...split };
    const accepted = this.control.planCopy(INDEX, copy);
    this.say(`${id} is ${accepted ? "planned" : "refused"}`, { copy: JSON.stringify(copy) });
  }

  private staleNodes(): readonly string[] {
    const replicas = this.control.current().indexes.get(INDEX)?.replicas ?? new Map();
    return [...replicas].filter(([, state]) => state === "stale").map(([nodeId]) => nodeId);
  }

  /** Until no copy is under way and every replica is in sync. */
  private async finishCopies(): Promise<void> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const limit = this.world.clock.monotonic() + 100_000;
      this.world.timers.after(100_000, () => undefined);
      await this.until(
        () =>
          this.control.current().indexes.get(INDEX)?.copy === undefined ||
          this.world.clock.monotonic() >= limit,
      );
      const copy = this.control.current().indexes.get(INDEX)?.copy;
      if (copy !== undefined) {
        // What cannot be done any more is taken back by the control plane.
        if (attempt < 9 && this.control.cancelCopy(INDEX)) continue;
        this.breaches.push(`${copy.id} does not end: it is ${copy.step}`);
        return;
      }
      const stale = this.staleNodes();
      if (stale.length === 0) return;
      this.planCopy([], stale);
    }
    this.breaches.push(`replicas stay stale: ${this.staleNodes().join(", ")}`);
  }

  /** The proxy dies, or is only cut off from its lease and goes on; another one takes its place. */
  private replaceProxy(paused: boolean): void {
    this.restarts++;
    this.say(paused ? "the proxy loses its lease and goes on" : "the proxy dies");
    // It may have its lease again beside its successor's, but not before it knows what that one has done.
    if (paused && !this.scenario.copies) this.lapse(this.world.seeded.below(3_000));
    if (!paused) {
      this.dead.add(this.session());
      for (const transport of this.transports) transport.cut();
      for (const operation of this.operations)
        if (operation.outcome === "pending") operation.outcome = "unknown";
    }
    this.service = this.startProxy();
  }

  private submit(kind: Operation["kind"], keys: readonly string[]): Operation {
    const operation: Operation = { number: this.operations.length, kind, keys, outcome: "pending" };
    this.operations.push(operation);
    this.say(`operation ${operation.number}: ${kind} ${keys.join(" ")}`);
    this.send(operation).then(
      (result) => this.settle(operation, "acknowledged", result),
      (error: unknown) => {
        operation.error = error;
        const isRefusal =
          error instanceof MeilisearchError && error.body.code !== "miroir_write_outcome_unknown";
        this.settle(operation, isRefusal ? "refused" : "unknown");
        if (!(error instanceof MeilisearchError))
          this.breaches.push(`operation ${operation.number} threw ${error}`);
      },
    );
    return operation;
  }

  private settle(operation: Operation, outcome: Outcome, result?: WriteResult): void {
    // What a dead proxy would have answered reaches no one.
    if (operation.outcome !== "pending") return;
    operation.outcome = outcome;
    if (result !== undefined) operation.taskUid = result.body.taskUid;
    this.say(
      `operation ${operation.number} is ${outcome}`,
      operation.error === undefined ? {} : { error: String(operation.error) },
    );
  }

  private send(operation: Operation): Promise<WriteResult> {
    const { kind, keys, number } = operation;
    const signal = new AbortController().signal;
    const body =
      kind === "delete-all"
        ? ""
        : JSON.stringify(
            kind === "delete-batch"
              ? keys
              : keys.map((id) => ({ id, [kind === "update" ? "u" : "r"]: number })),
          );
    return this.service.submit(
      {
        kind,
        indexUid: INDEX,
        contentType: "application/json",
        body: Readable.from([Buffer.from(body)]),
        primaryKey: kind === "replace" || kind === "update" ? "id" : undefined,
      },
      signal,
    );
  }

  private async heal(): Promise<void> {
    this.say("healing");
    this.network.faults = NO_FAULTS;
    this.control.faults = { unavailable: 0, loseAnswer: 0 };
    const settled = this.world.clock.monotonic() + 70_000;
    this.world.timers.after(70_000, () => undefined);
    await this.until(() => this.world.clock.monotonic() >= settled);
    for (const [id, node] of this.nodes) {
      this.network.resume(id);
      node.restart();
    }
    await this.until(() => this.operations.every(({ outcome }) => outcome !== "pending"));
    if (this.scenario.copies) await this.finishCopies();
    // A last write, which also makes the last proxy the writer.
    for (let attempt = 0; attempt < 20; attempt++) {
      const last = this.submit("replace", KEYS.slice(0, 1 + this.world.seeded.below(KEYS.length)));
      await this.until(() => last.outcome !== "pending");
      if (last.outcome === "acknowledged" || this.starved()) break;
      if (attempt === 19) this.breaches.push(`the healed cluster takes no write: ${String(last.error)}`);
      await this.pass(3_000);
    }
    await this.until(
      () =>
        this.network.late === 0 &&
        [...this.nodes.values()].every((node) => node.idle()) &&
        this.service.stats().pendingRegistrations === 0,
    );
  }

  /** Too many copies went stale for any write; only a repair, which is not simulated, could help. */
  private starved(): boolean {
    const index = this.control.current().indexes.get(INDEX);
    return (
      index?.placement.some((placed) => {
        const left = placed.filter((nodeId) => index.replicas.get(nodeId) === "in_sync").length;
        return left < (placed.length >= 3 ? 2 : 1);
      }) ?? false
    );
  }

  private check(): void {
    const index = this.control.current().indexes.get(INDEX);
    if (index === undefined) {
      this.breaches.push("the index is gone");
      return;
    }
    const members = [...index.replicas].filter(([, state]) => state === "in_sync").map(([nodeId]) => nodeId);
    const name = physicalName(index.instance, index.generation);
    index.placement.forEach((placed, shard) => {
      const copies = placed.filter((nodeId) => members.includes(nodeId));
      if (copies.length === 0) this.breaches.push(`shard ${shard} has no in-sync copy`);
      const contents = copies.map(
        (nodeId) => [nodeId, this.nodes.get(nodeId)?.shardContents(name, shard)] as const,
      );
      for (const [nodeId, content] of contents) {
        if (content === undefined)
          this.breaches.push(`${nodeId} does not hold the index under its name ${name}`);
        else this.checkShard(nodeId, shard, content, index.shards);
      }
      const texts = new Set(contents.map(([, content]) => JSON.stringify([...(content ?? [])].sort())));
      if (texts.size > 1) this.breaches.push(`copies of shard ${shard} differ: ${[...texts].join(" / ")}`);
    });
    for (const [nodeId, state] of index.replicas) {
      if (state === "stale" && this.nodes.get(nodeId)?.indexes.has(name)) {
        this.breaches.push(`the stale replica on ${nodeId} bears the current name ${name}`);
      }
    }
    // A replica may have failed a task, been taken out, and been made equal again.
    if (this.scenario.copies) this.checkNothingElse(index);
    else this.checkTasks(members);
    this.checkOrder(members);
  }

  private checkShard(
    nodeId: string,
    shard: number,
    content: ReadonlyMap<string, string>,
    shards: number,
  ): void {
    for (const key of KEYS) {
      if (this.hasher.shardOf(key, shards) !== shard) continue;
      const found = content.get(key) ?? "nothing";
      const allowed = this.possible(key);
      if (!allowed.has(found)) {
        this.breaches.push(
          `${nodeId} holds ${found} for ${key}; clients were told of ${[...allowed].join(" or ")}`,
        );
      }
    }
  }

  /** What a key may be, by what the clients were told: acknowledged writes are made, refused ones are not, unknown ones may be. */
  private possible(key: string): ReadonlySet<string> {
    let states = new Set<string>(["nothing"]);
    for (const operation of this.operations) {
      if (!operation.keys.includes(key) || operation.outcome === "refused") continue;
      const after = new Set([...states].map((state) => applied(operation, key, state)));
      states = operation.outcome === "acknowledged" ? after : new Set([...states, ...after]);
    }
    return states;
  }

  /** No replica holds documents of shards that are not its own. */
  private checkNothingElse(index: IndexView): void {
    const name = physicalName(index.instance, index.generation);
    for (const nodeId of index.replicas.keys()) {
      index.placement.forEach((placed, shard) => {
        if (placed.includes(nodeId)) return;
        const left = this.nodes.get(nodeId)?.shardContents(name, shard)?.size ?? 0;
        if (left > 0) this.breaches.push(`${nodeId} holds ${left} documents of shard ${shard}`);
      });
    }
  }

  /** An acknowledged write's tasks have succeeded wherever the replica is in sync. */
  private checkTasks(members: readonly string[]): void {
    for (const operation of this.operations) {
      if (operation.outcome !== "acknowledged" || operation.taskUid === undefined) continue;
      const task = this.control.tasks.get(BigInt(operation.taskUid));
      if (task === undefined) {
        // Its proxy kept it for an absent control plane and died: found again by the metadata in the nodes' logs.
        continue;
      }
      for (const { nodeId, nodeTaskUid } of task.nodeTasks) {
        const status = this.nodes.get(nodeId)?.tasks[nodeTaskUid]?.status;
        if (members.includes(nodeId) && status !== "succeeded") {
          this.breaches.push(`acknowledged operation ${operation.number} is ${status} on ${nodeId}`);
        }
      }
    }
  }

  /** Members have executed what they share in one order. */
  private checkOrder(members: readonly string[]): void {
    const logs = members.map((nodeId) =>
      (this.nodes.get(nodeId)?.tasks ?? [])
        .filter((task) => task.status === "succeeded" && task.customMetadata !== null)
        .map((task) => {
          const [session, sequence] = (task.customMetadata ?? "").split(".");
          return `${session}.${sequence}`;
        }),
    );
    for (const a of logs) {
      for (const b of logs) {
        const shared = a.filter((entry) => b.includes(entry)).join(" ");
        const other = b.filter((entry) => a.includes(entry)).join(" ");
        if (shared !== other) this.breaches.push(`orders differ: ${shared} / ${other}`);
      }
    }
  }

  private async pass(milliseconds: number): Promise<void> {
    const later = this.world.clock.monotonic() + milliseconds;
    this.world.timers.after(milliseconds, () => undefined);
    await this.until(() => this.world.clock.monotonic() >= later);
  }

  private until(done: () => boolean): Promise<void> {
    return this.world.runUntil(done, LIMIT_MS);
  }

  private say(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (!this.trace) return;
    const details = Object.entries(fields).map(
      ([name, value]) => ` ${name}=${value instanceof Error ? value.message : String(value)}`,
    );
    process.stderr.write(
      `${String(Math.round(this.world.clock.monotonic())).padStart(8)} ${message}${details.join("")}\n`,
    );
  }
}

function applied(operation: Operation, key: string, state: string): string {
  switch (operation.kind) {
    case "replace":
      return JSON.stringify({ id: key, r: operation.number });
    case "update": {
      const former = state === "nothing" ? {} : (JSON.parse(state) as Record<string, unknown>);
      return JSON.stringify({ ...former, id: key, u: operation.number });
    }
    default:
      return "nothing";
  }
}
