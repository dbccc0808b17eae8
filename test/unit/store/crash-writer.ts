/** Writes to a store in a loop, saying what was acknowledged, until it is killed. */
import { writeSync } from "node:fs";
import { nodeId, nodeTaskUid, workflowId } from "../../../src/store/task-store.js";
import { type BackendSpec, ManualClock, nodeTask, scope, task } from "./harness.js";
import { openBackend } from "./open-backend.js";

/** One turn of the loop: three tasks from uid `first` on, finished on both nodes, and epoch `counter`. */
export interface Acknowledgement {
  readonly first: number;
  readonly counter: number;
}

const [, , specJson, runText] = process.argv;
if (specJson === undefined || runText === undefined) throw new Error("usage: crash-writer SPEC RUN");
const run = Number(runText);

// Each process starts later than the lease of the one before it ended.
const store = await openBackend(
  JSON.parse(specJson) as BackendSpec,
  new ManualClock(1_700_000_000_000 + run * 60_000 - 30_000),
);
const fence = await store.lease.acquire({ scope, holder: `writer ${run}`, ttlMs: 1 });
if (fence === undefined) throw new Error("the lease is held");

let stored = await store.topology.load();
for (;;) {
  const first = await store.tasks.allocateUids(3, fence);
  const rows = [0, 1, 2].map((offset) =>
    task(first + offset, {
      customMetadata: `task ${first + offset}`,
      nodeTasks: [nodeTask("node-0", first + offset), nodeTask("node-1", first + offset)],
    }),
  );
  await store.tasks.upsert(rows, fence);
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
  const counter = (stored?.counter ?? 0) + 1;
  const next = {
    clusterId: "c",
    term: fence.term,
    counter,
    contentHash: `${counter}`,
    document: new Uint8Array(5_000).fill(counter % 256),
  };
  await store.topology.save(stored, next, fence);
  stored = next;
  await store.workflows.put(
    {
      id: workflowId(`run ${run}`),
      kind: "crash",
      step: `${counter}`,
      stateJson: `{"step":${counter}}`,
      createdAt: 1,
      updatedAt: 1,
      finishedAt: null,
    },
    fence,
  );
  const acknowledgement: Acknowledgement = { first, counter };
  writeSync(1, `${JSON.stringify(acknowledgement)}\n`);
}
