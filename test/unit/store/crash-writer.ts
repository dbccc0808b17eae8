/**
 * Writes to a store in a loop, through many of its tables, saying what was acknowledged, until it is killed or kills
 * itself. Begins when a line comes in, so that it is loaded by then.
 */
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import type { FaultPoint } from "../../../src/store/faults.js";
import {
  aliasName,
  idempotencyKey,
  jobId,
  nodeId,
  nodeTaskUid,
  sessionId,
  sinkName,
  taskUid,
  workflowId,
} from "../../../src/store/task-store.js";
import { type BackendSpec, ManualClock, nodeTask, scope, task } from "./harness.js";
import { openBackend } from "./open-backend.js";

/** What a writer is told, as JSON in its first argument. */
export interface WriterOrders {
  readonly spec: BackendSpec;
  /** Numbers the writers of one store; each starts later than the lease of the one before ended. */
  readonly run: number;
  /** The writer ends itself when it comes to this point for the `nth` time. */
  readonly fault?: { readonly point: FaultPoint; readonly nth: number };
}

/** The calls of one turn of the loop, in their order. */
export const steps = [
  "uids",
  "tasks",
  "updates",
  "topology",
  "workflow",
  "job",
  "claim",
  "completion",
  "alias",
  "session",
  "key",
  "events",
] as const;
/** One call of a turn. */
export type Step = (typeof steps)[number];

/** A call that has resolved. */
export interface Acknowledgement {
  /** From 1 within a run. */
  readonly turn: number;
  readonly step: Step;
  /** The turn's first uid: its tasks are this one and the two that follow. */
  readonly first: number;
  /** The topology that the turn writes has this counter. */
  readonly counter: number;
}

/** When a run's store says it is, in milliseconds since the Unix epoch. */
export function clockOf(run: number): number {
  return 1_700_000_000_000 + run * 60_000;
}

/** The document of a topology with this counter. */
export function documentOf(counter: number): Uint8Array {
  return new Uint8Array(5_000).fill(counter % 256);
}

/** What an idempotency key is recorded with. */
export function bodyOf(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}

async function write({ spec, run, fault }: WriterOrders): Promise<never> {
  const clock = new ManualClock(clockOf(run));
  let met = 0;
  const store = await openBackend(
    spec,
    clock,
    undefined,
    fault && {
      at: (point) => {
        if (point === fault.point && ++met === fault.nth) process.kill(process.pid, "SIGKILL");
      },
    },
  );
  const fence = await store.lease.acquire({ scope, holder: `writer ${run}`, ttlMs: 1 });
  if (fence === undefined) throw new Error("the lease is held");
  let topology = await store.topology.load();
  for (let turn = 1; ; turn++) {
    const counter = (topology?.counter ?? 0) + 1;
    let first = -1;
    const acknowledge = (step: Step): void => {
      const acknowledgement: Acknowledgement = { turn, step, first, counter };
      writeSync(1, `${JSON.stringify(acknowledgement)}\n`);
    };

    first = await store.tasks.allocateUids(3, fence);
    acknowledge("uids");
    const rows = [0, 1, 2].map((offset) =>
      task(first + offset, {
        customMetadata: `task ${first + offset}`,
        nodeTasks: [nodeTask("node-0", first + offset), nodeTask("node-1", first + offset)],
      }),
    );
    await store.tasks.upsert(rows, fence);
    acknowledge("tasks");
    await store.tasks.applyNodeTaskUpdates(
      rows.flatMap((row) =>
        ["node-0", "node-1"].map((node) => ({
          nodeId: nodeId(node),
          nodeTaskUid: nodeTaskUid(row.uid),
          status: "succeeded" as const,
          error: null,
          detailsJson: null,
          startedAt: null,
          finishedAt: 5,
        })),
      ),
      fence,
    );
    acknowledge("updates");
    const next = {
      clusterId: "c",
      term: fence.term,
      counter,
      contentHash: `${counter}`,
      document: documentOf(counter),
    };
    await store.topology.save(topology, next, fence);
    topology = next;
    acknowledge("topology");
    await store.workflows.put(
      {
        id: workflowId(`run ${run}`),
        kind: "crash",
        step: `${turn}`,
        stateJson: `{"step":${turn}}`,
        createdAt: 1,
        updatedAt: 1,
        finishedAt: null,
      },
      fence,
    );
    acknowledge("workflow");
    const id = jobId(`${run}-${turn}`);
    await store.jobs.enqueue({ id, type: `run ${run}`, paramsJson: "{}" }, fence);
    acknowledge("job");
    const job = await store.jobs.claim({ holder: `writer ${run}`, types: [`run ${run}`] });
    if (job?.id !== id) throw new Error(`claimed ${job?.id}, not ${id}`);
    acknowledge("claim");
    await store.jobs.complete({ id, holder: `writer ${run}`, attempt: job.attempts }, `{"turn":${turn}}`);
    acknowledge("completion");
    await store.aliases.set(
      {
        name: aliasName(`alias-${run}`),
        target: { kind: "single", indexUid: `index-${turn}` },
        expectedVersion: turn - 1,
        at: turn,
      },
      fence,
    );
    acknowledge("alias");
    await store.sessions.record(
      {
        id: sessionId(`session ${run}`),
        lastWriteTaskUid: taskUid(first),
        lastWriteAt: turn,
        pinnedGroup: null,
        minSettingsVersion: turn,
      },
      900_000,
    );
    acknowledge("session");
    const key = `${run}-${turn}`;
    await store.idempotency.claim(
      { key: idempotencyKey(key), bodySha256: bodyOf(key), taskUid: taskUid(first) },
      86_400_000,
    );
    acknowledge("key");
    await store.cdcOverflow.append(
      sinkName(`sink-${run}`),
      [0, 1, 2].map((part) => Buffer.from(`event ${turn}.${part}`)),
      fence,
    );
    acknowledge("events");
  }
}

// Its types and helpers are imported by the suite, without orders.
const [, , orders] = process.argv;
if (orders?.startsWith("{")) {
  process.stdin.once("data", () => void write(JSON.parse(orders) as WriterOrders));
  writeSync(1, "ready\n");
}
