import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { NodeState } from "../../../src/gen/miroir/v1/topology_pb.js";
import type { EnqueuedTask } from "../../../src/meilisearch/node-client.js";
import { formatTaskMetadata } from "../../../src/meilisearch/task-metadata.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";
import { eventually } from "./eventually.js";

/** 10,000 for the figures; fewer in an ordinary run, where the nodes themselves take most of the time. */
const TASKS = Number(process.env.MIROIR_OPEN_TASKS ?? 300);
const TIMEOUT_MS = 60_000 + TASKS * 60;

let nodes: StartedNodes;
let harness: Harness;

beforeAll(async () => {
  nodes = await startNodes(3);
  harness = await startHarness({
    config: {
      nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })),
      audit: { keepFinished: 20, pruneAfter: 30 },
    },
  });
});

afterAll(async () => {
  await harness?.stop();
  await nodes?.stop();
});

it(
  `${TASKS} open tasks on real logs all become final`,
  async () => {
    const { index } = await harness.indexes.ensureIndex({ uid: "films", primaryKey: "id", session: "s" });
    let first = 0n;
    for (let reserved = 0; reserved < TASKS; reserved += 10_000) {
      const answer = await harness.tasks.allocateTaskUids({
        count: Math.min(10_000, TASKS - reserved),
        session: "s",
      });
      if (reserved === 0) first = answer.firstUid;
    }
    const began = performance.now();
    await Promise.all([0, 1, 2].map((at) => enqueue(at, index?.instance ?? "", Number(first))));
    const enqueued = performance.now();
    while ((await harness.store.tasks.countOpen()) > 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const ended = performance.now();
    const { total } = await harness.tasks.listTasks({ limit: 1, statuses: [TaskStatus.SUCCEEDED] });
    const text = await harness.metrics.metrics();
    const value = (name: string) =>
      text
        .split("\n")
        .filter((line) => line.startsWith(name))
        .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
    const latency =
      value("miroir_task_state_latency_seconds_sum") / value("miroir_task_state_latency_seconds_count");
    process.stderr.write(
      `[audit] ${TASKS} tasks on 3 ${nodes.backend.kind} nodes: enqueued in ${seconds(began, enqueued)} s, all final after ${seconds(began, ended)} s; ` +
        `mean state latency ${(latency * 1_000).toFixed(0)} ms; ${(value("miroir_audit_requests_total") / 3 / ((ended - began) / 1_000)).toFixed(0)} requests/s a node\n`,
    );
    expect(Number(total)).toBe(TASKS);
    await eventually(async () => {
      const log = await harness.admin("node-0").tasks({ limit: 1 });
      expect(log.total).toBeLessThanOrEqual(20 + 30 + 5);
    });
    const states = harness.topology.current().nodes.map(({ state }) => state);
    expect(states).toEqual([NodeState.ACTIVE, NodeState.ACTIVE, NodeState.ACTIVE]);
  },
  TIMEOUT_MS,
);

async function enqueue(at: number, instance: string, first: number): Promise<void> {
  const node = harness.writer(`node-${at}`);
  let sequence = 0;
  let batch = [];
  for (let uid = first + at; uid < first + TASKS; uid += 3) {
    const metadata = formatTaskMetadata({
      session: `s${at}`,
      sequence: sequence + 1,
      previous: sequence,
      taskUid: uid,
    });
    sequence += 1;
    const sent = (await node.json({
      method: "POST",
      path: `/indexes/m${instance}_1/documents?primaryKey=id&customMetadata=${metadata}`,
      body: `[{"id":${uid}}]`,
      contentType: "application/json",
    })) as EnqueuedTask;
    batch.push({
      uid: BigInt(uid),
      indexUid: "films",
      instance,
      type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
      status: TaskStatus.ENQUEUED,
      detailsJson: '{"receivedDocuments":1,"indexedDocuments":null}',
      enqueuedAt: timestampFromMs(Date.now()),
      nodeTasks: [
        { nodeId: `node-${at}`, nodeTaskUid: sent.taskUid, status: TaskStatus.ENQUEUED, shards: [at] },
      ],
    });
    if (batch.length < 50 && uid + 3 < first + TASKS) continue;
    await harness.tasks.registerTasks({ session: "s", tasks: batch });
    batch = [];
  }
}

function seconds(from: number, to: number): string {
  return ((to - from) / 1_000).toFixed(1);
}
