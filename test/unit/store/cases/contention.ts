import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JobRow, jobId, type TaskStore } from "../../../../src/store/task-store.js";
import { bundleChild } from "../../../support/child-program.js";
import { byJob, findJobViolations, findUnexplainedJob } from "../../../support/histories/job-history.js";
import { findLeaseViolations, linearizeLease } from "../../../support/histories/lease-history.js";
import {
  type Call,
  describeOperation,
  type Operation,
  type Result,
} from "../../../support/histories/operations.js";
import { seededRandom } from "../../../support/random.js";
import {
  contendedTtlMs,
  type HistoryLine,
  jobResult,
  sharedNow,
  type WorkerOrders,
} from "../contention-worker.js";
import { type StoreFactory, type StoreHarness, scope } from "../harness.js";
import { openBackend } from "../open-backend.js";

const program = new URL("../contention-worker.ts", import.meta.url);
const workers = 8;
/** Milliseconds of fighting; more by the environment for long runs. */
const runMs = Number(process.env.MIROIR_STORE_CONTENTION_MS ?? 6_000);
/** On a slow machine it goes on until the lease was given so often, or for so much longer. */
const enoughTerms = 15;
const patienceMs = 12_000;

/** Jobs that are there before the others come. */
const preparedJobs = 300;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export function describeContention(factory: StoreFactory): void {
  describe("many processes at once", () => {
    let harness: StoreHarness;
    let directory: string;
    let store: TaskStore;
    const children = new Map<string, ChildProcess>();

    beforeEach(async () => {
      harness = await factory();
      directory = await mkdtemp(join(tmpdir(), "miroir-history-"));
      store = await openBackend(harness.spec, undefined);
    });
    afterEach(async () => {
      for (const child of children.values()) child.kill("SIGKILL");
      children.clear();
      await store.close();
      await harness.dispose();
      await rm(directory, { recursive: true, force: true });
    });

    it("hold every lease number and every job alone, paused and killed as they are", {
      timeout: runMs + 90_000,
    }, async () => {
      const path = await bundleChild(program);
      const prepared = await prepare(store);
      const random = seededRandom(Date.now());
      const begin = sharedNow();
      let started = 0;
      const start = () => {
        const name = `process ${started++}`;
        const orders: WorkerOrders = {
          spec: harness.spec,
          name,
          seed: random.below(2 ** 32),
          history: join(directory, name),
        };
        const child = spawn(process.execPath, [path, JSON.stringify(orders)], {
          stdio: ["ignore", "ignore", "inherit"],
          env: { ...process.env, MIROIR_CONTENTION_WORKER: "1" },
        });
        children.set(name, child);
        child.once("exit", () => children.delete(name));
        return child;
      };
      for (let n = 0; n < workers; n++) start();

      let paused = 0;
      let killed = 0;
      const pauses: Promise<unknown>[] = [];
      for (;;) {
        await sleep(120 + random.below(180));
        const lease = await store.lease.current(scope);
        const fought = sharedNow() - begin;
        if (fought > runMs && ((lease?.term ?? 0) >= enoughTerms || fought > runMs + patienceMs)) break;
        // Mostly whoever holds the lease.
        const holder = random.chance(0.7) ? lease?.holder : undefined;
        const name = children.has(holder ?? "") ? holder : random.pick([...children.keys()]);
        const child = children.get(name ?? "");
        if (child === undefined) continue;
        if (random.chance(0.2)) {
          killed++;
          child.kill("SIGKILL");
          start();
          continue;
        }
        // Sometimes everybody, so that whoever was late comes back before anybody has taken over.
        const stopped = random.chance(0.15) ? [...children.values()] : [child];
        paused += stopped.length;
        for (const one of stopped) one.kill("SIGSTOP");
        const pause = sleep(contendedTtlMs * (1 + random.next()));
        pauses.push(
          pause.then(() => {
            for (const one of stopped) one.kill("SIGCONT");
          }),
        );
      }
      await Promise.all(pauses);
      for (const child of children.values()) child.kill("SIGTERM");
      await Promise.all([...children.values()].map((child) => once(child, "exit")));
      const fought = sharedNow();

      const drained = await drain(store);
      const history = [...prepared, ...(await readHistories(directory)), ...drained];
      expectAnswersToBeExplained(history);

      const rows = await everyJob(store);
      expect(rows.filter(({ state }) => state !== "completed")).toEqual([]);
      const stored = new Set<string>(rows.map(({ id }) => id));
      const count = (kind: string, result: string) =>
        history.filter((operation) => operation.call.kind === kind && operation.result.kind === result)
          .length;
      for (const { call, result } of history) {
        if (call.kind === "enqueue" && result.kind === "done") expect(stored).toContain(call.id);
      }
      const terms = new Set(
        history.flatMap(({ call, result }) =>
          call.kind === "acquire" && result.kind === "lease" ? [result.term] : [],
        ),
      );
      const lastTerm = (await store.lease.current(scope))?.term ?? Math.max(...terms);
      process.stderr.write(
        `contention on ${harness.spec.url.split(":")[0]}: ${started} processes (${workers} at once, ${paused} pauses, ` +
          `${killed} kills), ${history.length} calls in ${Math.round(fought - begin)} ms, ${terms.size} of ${lastTerm} ` +
          `lease numbers heard of, ${count("write", "done")} fenced writes accepted and ` +
          `${count("write", "fenced") + count("enqueue", "fenced") + count("renew", "refused")} refused, ${rows.length} jobs ` +
          `in ${count("claim", "job")} claims, ${history.filter(({ result }) => result.kind === "unknown").length} calls ` +
          `without an answer; checked in ${Math.round(sharedNow() - fought)} ms\n`,
      );
      expect(terms.size).toBeGreaterThan(5);
      expect(count("write", "done")).toBeGreaterThan(0);
      expect(rows.length).toBeGreaterThanOrEqual(preparedJobs);
      expect(
        count("renew", "refused") + count("write", "fenced") + count("enqueue", "fenced"),
      ).toBeGreaterThan(0);
    });
  });
}

function expectAnswersToBeExplained(history: readonly Operation[]): void {
  expect(findLeaseViolations(history)).toEqual([]);
  expect(findJobViolations(history)).toEqual([]);
  const leases = linearizeLease(history);
  if (!leases.linearizable) {
    const shown = [...leases.order.slice(-10), ...leases.next].map(describeOperation).join("\n");
    throw new Error(
      `no order explains what the lease answered; the longest one ends, and cannot go on, with\n${shown}`,
    );
  }
  const unexplained = findUnexplainedJob(history);
  if (unexplained !== undefined) {
    const all = (byJob(history).get(unexplained.id) ?? []).map(describeOperation).join("\n");
    throw new Error(`no order explains what job ${unexplained.id} answered:\n${all}`);
  }
}

/** Queues jobs that fall due all along, as a first leader that steps down before the others come. */
async function prepare(store: TaskStore): Promise<Operation[]> {
  const history: Operation[] = [];
  const holder = "prepare";
  const record = (start: number, call: Call, result: Result) =>
    history.push({ process: holder, call, start, end: sharedNow(), result });
  const start = sharedNow();
  const ttlMs = 10_000;
  const lease = await store.lease.acquire({ scope, holder, ttlMs });
  if (lease === undefined) throw new Error("the lease is held");
  const { term, expiresAt } = lease;
  record(start, { kind: "acquire", holder, ttlMs }, { kind: "lease", term, expiresAt });
  for (let n = 0; n < preparedJobs; n++) {
    const id = `${holder}-${n}`;
    const from = sharedNow();
    const delayMs = Math.floor((n * runMs) / preparedJobs);
    await store.jobs.enqueue(
      { id: jobId(id), type: "t", paramsJson: "{}", maxAttempts: 1_000, delayMs },
      lease,
    );
    record(from, { kind: "enqueue", holder, term, id }, { kind: "done" });
  }
  const end = sharedNow();
  await store.lease.release(lease);
  record(end, { kind: "release", holder, term }, { kind: "done" });
  return history;
}

/** Does what is left to do, as one more process. */
async function drain(store: TaskStore): Promise<Operation[]> {
  const history: Operation[] = [];
  const holder = "drain";
  for (;;) {
    const { queued, in_progress } = await store.jobs.countByState();
    if (queued + in_progress === 0) return history;
    const start = sharedNow();
    const row = await store.jobs.claim({ holder, ttlMs: contendedTtlMs * 10 });
    const call = { kind: "claim", holder, ttlMs: contendedTtlMs * 10 } as const;
    history.push({ process: holder, call, start, end: sharedNow(), result: jobResult(row) });
    if (row === undefined) {
      await sleep(20);
      continue;
    }
    const token = { id: row.id, holder, attempt: row.attempts };
    const from = sharedNow();
    const result = jobResult(await store.jobs.complete(token));
    history.push({
      process: holder,
      call: { kind: "complete", ...token },
      start: from,
      end: sharedNow(),
      result,
    });
  }
}

async function everyJob(store: TaskStore): Promise<JobRow[]> {
  const rows: JobRow[] = [];
  for (;;) {
    const after = rows.at(-1);
    const page = await store.jobs.list(after === undefined ? {} : { after });
    if (page.length === 0) return rows;
    rows.push(...page);
  }
}

/** What every process wrote down; of a killed one, its last call may have no end. */
async function readHistories(directory: string): Promise<Operation[]> {
  const operations: Operation[] = [];
  for (const name of await readdir(directory)) {
    const open = new Map<number, Extract<HistoryLine, { start: number }>>();
    const lines = (await readFile(join(directory, name), "utf8")).split("\n");
    // What follows the last line feed is a line that was not finished.
    for (const text of lines.slice(0, -1)) {
      const line = JSON.parse(text) as HistoryLine;
      if ("start" in line) {
        open.set(line.n, line);
        continue;
      }
      const began = open.get(line.n);
      open.delete(line.n);
      if (began === undefined || line.result.kind === "aborted") continue;
      const end = line.result.kind === "unknown" ? Number.POSITIVE_INFINITY : line.end;
      operations.push({ process: name, call: began.call, start: began.start, end, result: line.result });
    }
    for (const { call, start } of open.values()) {
      operations.push({
        process: name,
        call,
        start,
        end: Number.POSITIVE_INFINITY,
        result: { kind: "unknown" },
      });
    }
  }
  return operations;
}
