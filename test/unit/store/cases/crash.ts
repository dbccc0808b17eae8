import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSystemWorld } from "../../../../src/runtime/world.js";
import type { FaultPoint } from "../../../../src/store/faults.js";
import { checkStore, describeFinding } from "../../../../src/store/inspect.js";
import { parseStoreUrl } from "../../../../src/store/store-location.js";
import {
  aliasName,
  idempotencyKey,
  jobId,
  type StoreError,
  sessionId,
  sinkName,
  type TaskStore,
  taskUid,
  type WorkflowId,
  workflowId,
} from "../../../../src/store/task-store.js";
import { bundleChild } from "../../../support/child-program.js";
import { seededRandom } from "../../../support/random.js";
import {
  type Acknowledgement,
  bodyOf,
  clockOf,
  documentOf,
  type Step,
  type WriterOrders,
} from "../crash-writer.js";
import type { BackendSpec, StoreFactory, StoreHarness } from "../harness.js";
import { scope, task } from "../harness.js";

const writerProgram = new URL("../crash-writer.ts", import.meta.url);
const contenderProgram = new URL("../lease-contender.ts", import.meta.url);

/** Multiplies the kills, for long runs. */
const factor = Number(process.env.MIROIR_STORE_KILLS_FACTOR ?? 1);

/** How a writer ends. */
type Death =
  /** After so many acknowledgements were read; it goes on meanwhile, so that it dies anywhere. */
  | { readonly kind: "after"; readonly acknowledgements: number }
  /** So many milliseconds after it was told to begin: while it opens the store, or soon after. */
  | { readonly kind: "soon"; readonly ms: number }
  /** By itself, at a point. */
  | { readonly kind: "at"; readonly point: FaultPoint; readonly nth: number }
  /** With a server that was stopped before, and goes on after. */
  | { readonly kind: "while-stopped"; readonly acknowledgements: number };

/** A writer that waits for its line. */
interface Writer {
  readonly child: ChildProcess;
  readonly acknowledged: Acknowledgement[];
  /** Called with the number of acknowledgements so far. */
  onAcknowledged: (count: number) => void;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}

async function startWriter(orders: WriterOrders): Promise<Writer> {
  const program = await bundleChild(writerProgram);
  const child = spawn(process.execPath, [program, JSON.stringify(orders)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("the writer has no output");
  let isReady = (): void => undefined;
  const writer: Writer = {
    child,
    acknowledged: [],
    onAcknowledged: () => undefined,
    ready: new Promise((resolve) => {
      isReady = resolve;
    }),
    ended: once(child, "close").then(() => undefined),
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line === "ready") return isReady();
    writer.acknowledged.push(JSON.parse(line) as Acknowledgement);
    writer.onAcknowledged(writer.acknowledged.length);
  });
  return writer;
}

/** Lets it write and die. */
async function letDie(writer: Writer, death: Death, harness: StoreHarness): Promise<void> {
  const { child } = writer;
  await writer.ready;
  const others = await harness.server?.connections();
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  if (death.kind === "after" || death.kind === "while-stopped") {
    writer.onAcknowledged = (count) => {
      if (count !== death.acknowledgements) return;
      if (death.kind === "after") return kill();
      harness.server?.signal("SIGSTOP");
      // Long enough for the call under way to be sent, and to wait for its answer.
      setTimeout(kill, 5);
    };
  }
  child.stdin?.write("go\n");
  if (death.kind === "soon") setTimeout(kill, death.ms);
  await writer.ended;
  if (death.kind === "while-stopped") harness.server?.signal("SIGCONT");
  expect(child.signalCode, `the writer ended with code ${child.exitCode}`).toBe("SIGKILL");
  // What it sent last may be executed yet.
  if (others !== undefined) await harness.server?.whenLeftBy(others);
}

/** What was acknowledged in one run, turn by turn. */
class Run {
  readonly #turns: Acknowledgement[][] = [];

  constructor(
    readonly run: number,
    acknowledged: readonly Acknowledgement[],
  ) {
    for (const one of acknowledged) {
      const turn = this.#turns[one.turn] ?? [];
      turn.push(one);
      this.#turns[one.turn] = turn;
    }
  }

  get firstUids(): number[] {
    return this.#turns.flatMap((turn) => turn[0]?.first ?? []);
  }

  /** The last turn in which this call was acknowledged; 0 for none. */
  last(step: Step): number {
    return Math.max(
      0,
      this.#turns.findLastIndex((turn) => turn?.some((one) => one.step === step)),
    );
  }

  /** The counter of the newest topology that was acknowledged; 0 for none. */
  get counter(): number {
    return this.#turns[this.last("topology")]?.find(({ step }) => step === "topology")?.counter ?? 0;
  }

  firstOf(turn: number): number {
    return this.#turns[turn]?.[0]?.first ?? -1;
  }

  /** Turns that began, from 1. */
  get turns(): number {
    return Math.max(0, this.#turns.length - 1);
  }
}

/**
 * Whether the calls of one kind are stored: each acknowledged one, and of the one that was under way, if any, all or
 * nothing.
 */
function expectUpTo(run: Run, step: Step, stored: number): void {
  const acknowledged = run.last(step);
  expect([acknowledged, acknowledged + 1], `${step} of run ${run.run}`).toContain(stored);
}

async function expectWhole(store: TaskStore, run: Run): Promise<void> {
  let turnsWithTasks = 0;
  let turnsWithUpdates = 0;
  for (let turn = 1; turn <= run.turns; turn++) {
    const first = run.firstOf(turn);
    const rows = await Promise.all([0, 1, 2].map((offset) => store.tasks.get(taskUid(first + offset))));
    const there = rows.flatMap((row) => row ?? []);
    expect([0, 3]).toContain(there.length);
    if (there.length === 3) turnsWithTasks++;
    for (const row of there) {
      expect(row.customMetadata).toBe(`task ${row.uid}`);
      expect(row.nodeTasks.map((n) => `${n.nodeId} ${n.nodeTaskUid}`)).toEqual([
        `node-0 ${row.uid}`,
        `node-1 ${row.uid}`,
      ]);
    }
    const statuses = new Set(there.flatMap((row) => row.nodeTasks.map(({ status }) => status)));
    expect(statuses.size, `all node tasks of turn ${turn} change at once`).toBeLessThan(2);
    if (statuses.has("succeeded")) turnsWithUpdates++;
  }
  expectUpTo(run, "tasks", turnsWithTasks);
  expectUpTo(run, "updates", turnsWithUpdates);

  const topology = await store.topology.load();
  if (topology !== undefined) {
    expect(topology.contentHash).toBe(`${topology.counter}`);
    expect(Buffer.from(topology.document).equals(documentOf(topology.counter))).toBe(true);
  }
  if (run.counter > 0) expect([run.counter, run.counter + 1]).toContain(topology?.counter);

  const workflow = await store.workflows.get(workflowId(`run ${run.run}`));
  expectUpTo(run, "workflow", Number(workflow?.step ?? 0));
  if (workflow !== undefined) expect(workflow.stateJson).toBe(`{"step":${workflow.step}}`);

  const jobs = await Promise.all(
    Array.from({ length: run.turns }, (_, i) => store.jobs.get(jobId(`${run.run}-${i + 1}`))),
  );
  const there = jobs.flatMap((job) => job ?? []);
  expectUpTo(run, "job", there.length);
  expectUpTo(run, "claim", there.filter(({ attempts }) => attempts === 1).length);
  const completed = there.filter(({ state }) => state === "completed");
  expectUpTo(run, "completion", completed.length);
  for (const [i, job] of completed.entries()) expect(job.progressJson).toBe(`{"turn":${i + 1}}`);

  const alias = await store.aliases.get(aliasName(`alias-${run.run}`));
  const version = alias?.version ?? 0;
  expectUpTo(run, "alias", version);
  if (alias !== undefined) {
    expect(alias.target).toEqual({ kind: "single", indexUid: `index-${version}` });
    const kept = Math.min(10, version - 1);
    expect(alias.history.map((entry) => entry.version)).toEqual(
      Array.from({ length: kept }, (_, i) => version - 1 - i),
    );
  }

  const session = await store.sessions.get(sessionId(`session ${run.run}`));
  expectUpTo(run, "session", session?.minSettingsVersion ?? 0);
  if (session !== undefined) expect(session.lastWriteTaskUid).toBe(run.firstOf(session.minSettingsVersion));

  const keys = await Promise.all(
    Array.from({ length: run.turns }, (_, i) => store.idempotency.get(idempotencyKey(`${run.run}-${i + 1}`))),
  );
  const recorded = keys.flatMap((row) => row ?? []);
  expectUpTo(run, "key", recorded.length);
  for (const row of recorded) expect(Buffer.from(row.bodySha256).equals(bodyOf(row.key))).toBe(true);

  const sink = sinkName(`sink-${run.run}`);
  const stats = await store.cdcOverflow.stats(sink);
  expect(stats.events % 3).toBe(0);
  expectUpTo(run, "events", stats.events / 3);
  const events = await store.cdcOverflow.peek(sink, 10_000);
  expect(events.map(({ position }) => position)).toEqual(events.map((_, i) => i + 1));
  expect(events.length).toBe(stats.events);
}

/** What a check of the whole store finds, in words. */
async function findings(spec: BackendSpec): Promise<readonly string[]> {
  const check = await checkStore({ location: parseStoreUrl(spec.url), world: createSystemWorld() });
  return check.findings.map(describeFinding);
}

export function describeCrashes(factory: StoreFactory): void {
  describe("after kill -9", () => {
    let harness: StoreHarness;

    beforeEach(async () => {
      harness = await factory();
    });
    afterEach(() => harness.dispose());

    /** Deaths in a mixed order, as long as the backend has them. */
    const plan = (): readonly Death[] => {
      const random = seededRandom(7);
      const upTo = (n: number): number => 1 + random.below(n);
      const server = harness.server !== undefined;
      const points: readonly FaultPoint[] = server
        ? ["before-send", "after-send", "after-reply"]
        : ["before-begin", "between-statements", "before-commit", "after-commit"];
      const deaths: Death[] = [];
      for (let i = 0; i < Math.ceil(24 * factor); i++) {
        deaths.push({ kind: "after", acknowledgements: upTo(60) });
      }
      for (let i = 0; i < Math.ceil(8 * factor); i++) deaths.push({ kind: "soon", ms: upTo(40) });
      for (const point of points) {
        for (let i = 0; i < Math.ceil(6 * factor); i++) deaths.push({ kind: "at", point, nth: upTo(40) });
      }
      if (server) {
        for (let i = 0; i < Math.ceil(6 * factor); i++) {
          deaths.push({ kind: "while-stopped", acknowledgements: upTo(40) });
        }
      }
      return deaths
        .map((death) => ({ death, order: random.next() }))
        .toSorted((a, b) => a.order - b.order)
        .map(({ death }) => death);
    };

    it("of a writer, more than 50 times: has every acknowledged row and no half of one, and gives no number twice", {
      timeout: 120_000 * factor,
    }, async () => {
      const deaths = plan();
      expect(deaths.length).toBeGreaterThanOrEqual(50);
      const uids = new Set<number>();
      let term = 0;
      let acknowledgements = 0;
      const start = (run: number): Promise<Writer> => {
        const death = deaths[run];
        const fault = death?.kind === "at" ? { point: death.point, nth: death.nth } : undefined;
        return startWriter({ spec: harness.spec, run, ...(fault === undefined ? {} : { fault }) });
      };
      let next = await start(0);
      for (const [index, death] of deaths.entries()) {
        const writer = next;
        // The next one is loaded while this one writes.
        if (index + 1 < deaths.length) next = await start(index + 1);
        await letDie(writer, death, harness);
        acknowledgements += writer.acknowledged.length;
        const run = new Run(index, writer.acknowledged);

        harness.clock.advance(clockOf(index) - harness.clock.now());
        const store = await harness.open();
        await expectWhole(store, run);
        for (const first of run.firstUids) {
          for (const uid of [first, first + 1, first + 2]) {
            expect(uids, "a uid is given once").not.toContain(uid);
            uids.add(uid);
          }
        }
        harness.clock.advance(30_000);
        const lease = await store.lease.acquire({ scope, holder: `checker ${index}`, ttlMs: 1 });
        expect(lease?.term).toBeGreaterThan(term);
        // The writer took the lease too, unless it died before.
        if (writer.acknowledged.length > 0) expect(lease?.term).toBe(term + 2);
        term = lease?.term ?? term;
        await store.close();
        if (index % 10 === 0 || index === deaths.length - 1) {
          await harness.expectConsistentTasks();
          expect(await findings(harness.spec)).toEqual([]);
        }
      }
      expect(acknowledgements).toBeGreaterThan(deaths.length * 5);
    });

    it("of programs that make the store: the next one finishes what they began", {
      timeout: 60_000,
    }, async () => {
      for (let run = 0; run < 10; run++) {
        const fresh = await factory();
        const writer = await startWriter({ spec: fresh.spec, run: 0 });
        await letDie(writer, { kind: "soon", ms: run * 2 }, fresh);
        const store = await fresh.open();
        expect(await store.tasks.countOpen()).toBeTypeOf("number");
        await store.close();
        expect(await findings(fresh.spec)).toEqual([]);
        await fresh.dispose();
      }
    });

    it("of the server, 20 times under a writer: has all that was acknowledged and nothing that was aborted", {
      timeout: 120_000 * factor,
    }, async ({ skip }) => {
      const { server } = harness;
      if (server === undefined) return skip();
      const random = seededRandom(11);
      const store = await harness.open();
      const lease = await store.lease.acquire({ scope, holder: "writer", ttlMs: 3_600_000 });
      if (lease === undefined) throw new Error("somebody else holds the lease");
      const outcomes = new Map<WorkflowId, "acknowledged" | StoreError["outcome"]>();
      const firstUids: number[] = [];
      let writing = true;
      const lanes = Array.from({ length: 4 }, async (_, lane) => {
        for (let i = 0; writing; i++) {
          const id = workflowId(`${lane}-${i}`);
          const row = {
            id,
            kind: "k",
            step: "s",
            stateJson: `"${id}"`,
            createdAt: i,
            updatedAt: i,
            finishedAt: null,
          };
          outcomes.set(
            id,
            await store.workflows.put(row, lease).then(
              () => "acknowledged" as const,
              (error: StoreError) => error.outcome,
            ),
          );
          const first = await store.tasks.allocateUids(2, lease).catch(() => undefined);
          if (first === undefined) continue;
          firstUids.push(first);
          const rows = [0, 1].map((offset) => task(first + offset));
          await store.tasks.upsert(rows, lease).catch(() => undefined);
        }
      });
      for (let kill = 0; kill < Math.ceil(20 * factor); kill++) {
        await new Promise((resolve) => setTimeout(resolve, 5 + random.below(60)));
        await server.kill();
        await server.start();
        // It writes again before it dies again.
        const before = firstUids.length;
        while (firstUids.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      writing = false;
      await Promise.all(lanes);

      const counts = { acknowledged: 0, "certainly-aborted": 0, "maybe-executed": 0 };
      for (const [id, outcome] of outcomes) {
        counts[outcome]++;
        const row = await store.workflows.get(id);
        if (outcome === "acknowledged") expect(row?.stateJson).toBe(`"${id}"`);
        if (outcome === "certainly-aborted") expect(row).toBeUndefined();
      }
      expect(counts.acknowledged).toBeGreaterThan(20);
      expect(counts["maybe-executed"]).toBeGreaterThan(0);
      const given = firstUids.flatMap((first) => [first, first + 1]);
      expect(new Set(given).size).toBe(given.length);
      expect((await store.lease.current(scope))?.term).toBe(lease.term);
      await store.close();
      await harness.expectConsistentTasks();
      expect(await findings(harness.spec)).toEqual([]);
    });

    it("lets one of several processes create the store and hold the lease", async () => {
      const program = await bundleChild(contenderProgram);
      const outcomes = await Promise.all(
        Array.from({ length: 4 }, async (_, index) => {
          const child = spawn(
            process.execPath,
            [program, JSON.stringify(harness.spec), `holder ${index}`, String(harness.clock.now())],
            { stdio: ["ignore", "pipe", "inherit"] },
          );
          let output = "";
          child.stdout?.on("data", (chunk: Buffer) => {
            output += chunk.toString();
          });
          const [code] = await once(child, "close");
          return `${code} ${output.trim()}`;
        }),
      );
      expect(outcomes.toSorted()).toEqual(["0 held 1", "0 refused", "0 refused", "0 refused"]);
    });
  });
}
