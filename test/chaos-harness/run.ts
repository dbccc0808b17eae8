/** One chaos run: a fleet, clients, faults, an end at rest, and the checker's verdict. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../support/random.js";
import { ChaosFleet, type FleetShape } from "./chaos-fleet.js";
import { checkHistory } from "./checker/check-history.js";
import { checkReplicas } from "./checker/check-replicas.js";
import {
  checkVacuity,
  countRun,
  type RunFigures,
  type RunMinimum,
  refusalsIn,
} from "./checker/check-vacuity.js";
import type { Violation } from "./checker/violation.js";
import { ClientHttp } from "./client-http.js";
import { INDEXES } from "./documents.js";
import { behind, eventually, onLeader, readReplicas, verifyDeep } from "./final-state.js";
import { runningWorkflows } from "./fleet-operations.js";
import { Injector } from "./injector.js";
import { Observer } from "./observer.js";
import { type Operation, Operations } from "./operations.js";
import { readEverything, runReader } from "./reader-client.js";
import { Recorder } from "./recorder.js";
import { drawSchedule, type FaultKind, type PlannedFault } from "./schedule.js";
import { TaskWatch } from "./task-watch.js";
import { runWriter } from "./writer-client.js";

/** What to run. */
export interface RunOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly faults: readonly FaultKind[];
  readonly shape: FleetShape;
  readonly writers: number;
  readonly readers: number;
  /** Logs, data, schedule and history go there. */
  readonly folder: string;
  /** What may be done to the fleet meanwhile. */
  readonly operations: (fleet: ChaosFleet, observer: Observer) => readonly Operation[];
  readonly minimum: (durationMs: number) => RunMinimum;
  /** Whether the fleet repairs replicas that were left behind, so that it is at rest only once none is. */
  readonly repairs: boolean;
  /** How long the fleet may take to come to rest. Milliseconds. */
  readonly restMs: number;
}

/** What came of it. */
export interface RunReport {
  readonly violations: readonly Violation[];
  readonly figures: RunFigures;
  readonly injected: Readonly<Record<PlannedFault["kind"], number>>;
  /** Operations on the fleet that were carried out to their end. */
  readonly operations: number;
  /** What became of each operation. */
  readonly outcomes: readonly string[];
  /** What clients were told instead of what they asked for, and how often. */
  readonly refusals: ReadonlyMap<string, number>;
  /** Milliseconds from the last fault until the fleet had come to rest. */
  readonly restedAfterMs: number;
}

const WRITE_PAUSE_MS = 300;
const READ_PAUSE_MS = 120;
const PATIENCE_MS = 15_000;

/** Runs it, and resolves with the verdict; rejects where the fleet could not be started. */
export async function runChaos(options: RunOptions): Promise<RunReport> {
  mkdirSync(options.folder, { recursive: true });
  const fleet = await ChaosFleet.start(options.shape, options.folder);
  const recorder = new Recorder(options.folder);
  try {
    return await new Run(options, fleet, recorder).toTheEnd();
  } finally {
    await fleet.stop();
    await recorder.close();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #fleet: ChaosFleet;
  readonly #recorder: Recorder;
  readonly #http: ClientHttp;
  readonly #tasks: TaskWatch;
  readonly #observer: Observer;
  readonly #operations: Operations;
  readonly #injector: Injector;
  readonly #deaths: Violation[] = [];
  readonly #recentSets = INDEXES.map((): number[] => []);
  #writes = 0;

  constructor(options: RunOptions, fleet: ChaosFleet, recorder: Recorder) {
    this.#options = options;
    this.#fleet = fleet;
    this.#recorder = recorder;
    this.#http = new ClientHttp(fleet.clientUrls, PATIENCE_MS);
    this.#tasks = new TaskWatch(this.#http, options.shape.proxies, recorder);
    this.#observer = new Observer(fleet, recorder);
    this.#operations = new Operations(options.operations(fleet, this.#observer), recorder);
    this.#injector = new Injector(fleet, recorder, this.#operations);
    fleet.onDeath = (name, how) => {
      recorder.event(`${name}: ${how} by itself`);
      this.#deaths.push({ kind: "process-died", detail: `${name} ${how}; see its log` });
    };
  }

  async toTheEnd(): Promise<RunReport> {
    const { durationMs } = this.#options;
    await this.#prepare();
    const schedule = this.#schedule();
    const load = new AbortController();
    const watch = new AbortController();
    const clients = this.#startClients(load.signal);
    const watchers = [
      this.#observer.run(watch.signal),
      this.#tasks.run(seededRandom(this.#options.seed + 1), watch.signal),
    ];
    const faults = this.#injector.run(schedule);
    await sleep(durationMs);
    await faults;
    const healed = this.#recorder.now();
    load.abort();
    await Promise.all(clients);
    const unrest = await this.#rest();
    const restedAfterMs = this.#recorder.now() - healed;
    const replicas = unrest.length > 0 ? [] : await this.#judgeReplicas();
    watch.abort();
    await Promise.all(watchers);
    this.#tasks.giveUp();
    await this.#http.close();
    const { history } = this.#recorder;
    const { injected } = this.#injector;
    const figures = countRun(history, { kills: injected.kill, switches: this.#observer.switches });
    const violations = [
      ...checkHistory(history),
      ...unrest,
      ...replicas,
      ...this.#deaths,
      ...checkVacuity(figures, this.#options.minimum(durationMs)),
    ];
    const { completed, outcomes } = this.#operations;
    return {
      violations,
      figures,
      injected,
      operations: completed,
      outcomes,
      refusals: refusalsIn(history),
      restedAfterMs,
    };
  }

  /** Both indexes, with what filters need; waits until everything of it is in force. */
  async #prepare(): Promise<void> {
    for (const uid of INDEXES) {
      await this.#untilDone("POST", "/indexes", { uid, primaryKey: "id" });
      await this.#untilDone("PUT", `/indexes/${uid}/settings/filterable-attributes`, ["g"]);
    }
  }

  async #untilDone(method: "POST" | "PUT", path: string, body: unknown): Promise<void> {
    const taskUid = await eventually(`${method} ${path}`, this.#options.restMs, async () => {
      const answer = await this.#http.send(0, method, path, body);
      if (answer.kind === "broken" || answer.status !== 202) throw new Error(answer.told);
      return (JSON.parse(answer.text) as { taskUid: number }).taskUid;
    });
    await eventually(`the task of ${method} ${path}`, this.#options.restMs, async () => {
      const answer = await this.#http.send(0, "GET", `/tasks/${taskUid}`);
      return answer.kind === "answered" && answer.text.includes('"succeeded"') ? true : undefined;
    });
  }

  #schedule(): readonly PlannedFault[] {
    const { seed, durationMs, faults: kinds, folder } = this.#options;
    const servers = [...this.#fleet.proxies, ...this.#fleet.controls].map(({ name }) => name);
    const schedule = drawSchedule({
      seed,
      durationMs,
      kinds,
      links: [...this.#fleet.links.keys()],
      processes: this.#fleet.processes().map(({ name }) => name),
      clocks: servers,
    });
    writeFileSync(
      join(folder, "schedule.jsonl"),
      schedule.map((fault) => `${JSON.stringify(fault)}\n`).join(""),
    );
    return schedule;
  }

  #startClients(stop: AbortSignal): Promise<void>[] {
    const { seed, shape, writers, readers } = this.#options;
    const shared = { http: this.#http, proxies: shape.proxies, recorder: this.#recorder };
    const random = (client: number) => seededRandom(seed * 1_000 + client);
    const writer = {
      ...shared,
      tasks: this.#tasks,
      nextWrite: () => ++this.#writes,
      onSet: (index: number, write: number) => this.#recentSets[index]?.push(write),
      pauseMs: WRITE_PAUSE_MS,
    };
    const reader = {
      ...shared,
      recentSet: (index: number) => this.#recentSets[index]?.at(-2),
      pauseMs: READ_PAUSE_MS,
    };
    return [
      ...Array.from({ length: writers }, (_, at) => runWriter(at, random(at), writer, stop)),
      ...Array.from({ length: readers }, (_, at) =>
        runReader(writers + at, random(writers + at), reader, stop),
      ),
    ];
  }

  /** Every task has ended and every proxy shows every document; a violation where that does not come about. */
  async #rest(): Promise<readonly Violation[]> {
    const { restMs, shape, repairs } = this.#options;
    const shared = { http: this.#http, proxies: shape.proxies, recorder: this.#recorder };
    try {
      await eventually("the end of all tasks", restMs, async () =>
        this.#tasks.open === 0 ? true : undefined,
      );
      await eventually("a whole answer of every proxy", restMs, () =>
        readEverything(shared).then(() => true),
      );
      if (repairs) await eventually("the repair of every replica", restMs, () => this.#repaired());
      return [];
    } catch (error) {
      return [{ kind: "not-quiet", detail: `${String(error)}; ${String((error as Error).cause ?? "")}` }];
    }
  }

  async #repaired(): Promise<true> {
    const running = await runningWorkflows(this.#fleet);
    if (running.length > 0) throw new Error(`still under way: ${running.join(", ")}`);
    const left = await onLeader(this.#fleet, behind);
    if (left.length > 0) throw new Error(`not in sync: ${left.join(", ")}`);
    return true;
  }

  async #judgeReplicas(): Promise<readonly Violation[]> {
    return eventually("a comparison of the replicas", this.#options.restMs, () =>
      onLeader(this.#fleet, async (control) => {
        const contents = await readReplicas(control);
        const whole = (await behind(control)).length === 0;
        // What lies on a node that was left behind is a difference until it is repaired.
        return [...checkReplicas(contents), ...(whole ? await verifyDeep(control) : [])];
      }),
    );
  }
}
