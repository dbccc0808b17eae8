/**
 * Takes and uses a lease and jobs against others, until it is told to end (SIGTERM) or killed, and writes down every
 * call: a line before it, a line after it.
 */
import { openSync, writeSync } from "node:fs";
import { StoreError } from "../../../src/store/errors.js";
import {
  FencedError,
  type FencingToken,
  type JobClaimToken,
  type JobRow,
  jobId,
  type Lease,
  nodeId,
} from "../../../src/store/task-store.js";
import type { Call, Result } from "../../support/histories/operations.js";
import { seededRandom } from "../../support/random.js";
import { type BackendSpec, scope } from "./harness.js";
import { openBackend } from "./open-backend.js";

/** What a worker is told on its command line. */
export interface WorkerOrders {
  readonly spec: BackendSpec;
  /** Names the process. */
  readonly name: string;
  readonly seed: number;
  /** The file that its history goes to. */
  readonly history: string;
}

/** A line of a history. */
export type HistoryLine =
  | { readonly n: number; readonly start: number; readonly call: Call }
  | { readonly n: number; readonly end: number; readonly result: Result | { readonly kind: "aborted" } };

/** How long leases and claims last here, in milliseconds: short, so that many end. */
export const contendedTtlMs = 300;
/** The row that every holder of the lease writes. */
export const contendedRow = nodeId("contended");

/** Milliseconds on one clock of the whole machine. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

async function work(orders: WorkerOrders): Promise<void> {
  const { name: holder } = orders;
  let isOver = false;
  process.once("SIGTERM", () => {
    isOver = true;
  });
  const file = openSync(orders.history, "a");
  const random = seededRandom(orders.seed);
  const store = await openBackend(orders.spec, undefined);
  const { lease, jobs, nodeCursors } = store;
  let calls = 0;
  let fence: FencingToken | undefined;
  let claim: JobClaimToken | undefined;

  const record = async (call: Call, run: () => Promise<Result>): Promise<Result | undefined> => {
    calls++;
    const write = (line: HistoryLine) => writeSync(file, `${JSON.stringify(line)}\n`);
    write({ n: calls, start: sharedNow(), call });
    const result = await run().catch(resultOfError);
    write({ n: calls, end: sharedNow(), result });
    return result.kind === "aborted" ? undefined : result;
  };

  const acquire = async () => {
    const ttlMs = contendedTtlMs;
    const result = await record({ kind: "acquire", holder, ttlMs }, async () =>
      leaseResult(await lease.acquire({ scope, holder, ttlMs })),
    );
    if (result?.kind === "lease") fence = { scope, holder, term: result.term };
  };
  const lead = async (token: FencingToken) => {
    const { term } = token;
    const chance = random.next();
    let result: Result | undefined;
    if (chance < 0.25) {
      const ttlMs = contendedTtlMs;
      result = await record({ kind: "renew", holder, term, ttlMs }, async () =>
        leaseResult(await lease.renew(token, ttlMs)),
      );
    } else if (chance < 0.3) {
      await record({ kind: "release", holder, term }, async () =>
        (await lease.release(token)) ? { kind: "done" } : { kind: "refused" },
      );
      fence = undefined;
    } else if (chance < 0.6) {
      const value = `${holder} ${term} ${calls}`;
      const row = {
        nodeId: contendedRow,
        frontierUid: null,
        lastSeenUid: null,
        identity: value,
        updatedAt: 1,
      };
      result = await record({ kind: "write", holder, term, value }, async () => {
        await nodeCursors.put([row], token);
        return { kind: "done" };
      });
    } else {
      const id = `${holder}-${calls}`;
      result = await record({ kind: "enqueue", holder, term, id }, async () => {
        await jobs.enqueue({ id: jobId(id), type: "t", paramsJson: "{}", maxAttempts: 1_000 }, token);
        return { kind: "done" };
      });
    }
    // Some go on for a while although they were told, as if they had not heard it.
    const isLost = result?.kind === "refused" || result?.kind === "fenced";
    if (isLost && random.chance(0.3)) fence = undefined;
  };
  const take = async () => {
    const ttlMs = contendedTtlMs;
    const result = await record({ kind: "claim", holder, ttlMs }, async () =>
      jobResult(await jobs.claim({ holder, ttlMs })),
    );
    if (result?.kind === "job") claim = { id: jobId(result.id), holder, attempt: result.attempt };
  };
  const finish = async (token: JobClaimToken) => {
    const { id, attempt } = token;
    const chance = random.next();
    if (chance < 0.35) {
      const ttlMs = contendedTtlMs;
      const result = await record({ kind: "heartbeat", holder, id, attempt, ttlMs }, async () =>
        jobResult(await jobs.heartbeat(token, { ttlMs, progressJson: `${calls}` })),
      );
      if (result?.kind === "job") return;
    } else if (chance < 0.43) {
      await record({ kind: "give back", holder, id, attempt }, async () =>
        jobResult(await jobs.release(token)),
      );
    } else if (chance < 0.46 && attempt === 1) {
      await record({ kind: "fail", holder, id, attempt }, async () =>
        jobResult(await jobs.fail(token, { error: "on purpose", retry: true })),
      );
    } else {
      await record({ kind: "complete", holder, id, attempt }, async () =>
        jobResult(await jobs.complete(token)),
      );
    }
    claim = undefined;
  };
  const read = () =>
    record({ kind: "read" }, async () => ({
      kind: "value",
      value: (await nodeCursors.get(contendedRow))?.identity ?? "",
    }));

  while (!isOver) {
    const chance = random.next();
    if (chance < 0.08) await read();
    else if (chance < 0.5) await (fence === undefined ? acquire() : lead(fence));
    else await (claim === undefined ? take() : finish(claim));
    await new Promise((resolve) => setTimeout(resolve, random.below(fence === undefined ? 15 : 4)));
  }
  await store.close();
}

function resultOfError(error: unknown): Result | { readonly kind: "aborted" } {
  if (error instanceof FencedError) return { kind: "fenced" };
  if (!(error instanceof StoreError)) throw error;
  return { kind: error.outcome === "certainly-aborted" ? "aborted" : "unknown" };
}

function leaseResult(lease: Lease | undefined): Result {
  if (lease === undefined) return { kind: "refused" };
  return { kind: "lease", term: lease.term, expiresAt: lease.expiresAt };
}

/** What a call about a job gave, as a history has it. */
export function jobResult(row: JobRow | undefined): Result {
  if (row === undefined) return { kind: "refused" };
  return { kind: "job", id: row.id, attempt: row.attempts, at: row.updatedAt, runAfter: row.runAfter };
}

const [, , ordersJson] = process.argv;
if (process.env.MIROIR_CONTENTION_WORKER === "1" && ordersJson !== undefined) {
  await work(JSON.parse(ordersJson) as WorkerOrders);
}
