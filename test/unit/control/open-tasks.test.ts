import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { startHarness } from "../../integration/control/control-harness.js";
import { SimulatedNodes } from "./simulated-nodes.js";

const TASKS = 10_000;
const BATCH = 250;

it(`follows ${TASKS} open tasks in batches, with few requests and little delay`, async () => {
  const nodes = new SimulatedNodes(3);
  const harness = await startHarness({
    config: { nodes: nodes.configured },
    replicationFactor: 3,
    shards: 4,
    transport: nodes,
  });
  try {
    const { index } = await harness.indexes.ensureIndex({ uid: "films", primaryKey: "id", session: "s" });
    const physical = `m${index?.instance}_1`;
    const uids: number[][] = nodes.nodes.map(() => []);
    for (let first = 0; first < TASKS; first += 1_000) {
      const tasks = Array.from({ length: 1_000 }, (_, at) => ({
        uid: BigInt(first + at),
        indexUid: "films",
        instance: index?.instance ?? "",
        type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
        status: TaskStatus.ENQUEUED,
        detailsJson: '{"receivedDocuments":1,"indexedDocuments":null}',
        enqueuedAt: timestampFromMs(Date.now()),
        nodeTasks: nodes.nodes.map((node, n) => {
          const nodeTaskUid = node.enqueue(
            physical,
            undefined,
            `s.${first + at + 1}.${first + at}.${first + at}`,
          );
          uids[n]?.push(nodeTaskUid);
          return { nodeId: `node-${n}`, nodeTaskUid, status: TaskStatus.ENQUEUED, shards: [at % 4] };
        }),
      }));
      await harness.tasks.registerTasks({ session: "s", tasks });
    }
    expect([...harness.control.openTaskCounts().values()]).toEqual([TASKS, TASKS, TASKS]);
    const requestsBefore = nodes.nodes.reduce((sum, node) => sum + node.requests, 0);
    const began = performance.now();
    for (let at = 0; at < TASKS; at += BATCH) {
      for (const [n, node] of nodes.nodes.entries()) {
        const batch = uids[n]?.slice(at, at + BATCH) ?? [];
        node.start(...batch);
        node.finish(batch, { details: { receivedDocuments: 1, indexedDocuments: 1 } });
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    while ((await harness.store.tasks.countOpen()) > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (performance.now() - began > 60_000) break;
    }
    const seconds = (performance.now() - began) / 1_000;
    const requests = nodes.nodes.reduce((sum, node) => sum + node.requests, 0) - requestsBefore;
    const latency = await (harness.metrics
      .getSingleMetric("miroir_task_state_latency_seconds")
      ?.get() as Promise<{
      values: { value: number; metricName?: string; labels: { le?: number | string } }[];
    }>);
    const value = (suffix: string) =>
      latency.values.find((entry) => entry.metricName?.endsWith(suffix))?.value ?? 0;
    const within = (le: number) =>
      (latency.values.find((entry) => entry.labels.le === le)?.value ?? 0) / value("_count");
    process.stderr.write(
      `[audit] ${TASKS} open tasks on 3 nodes, ${BATCH} finished every 100 ms: mean state latency ${((value("_sum") / value("_count")) * 1_000).toFixed(0)} ms, ` +
        `${(within(0.1) * 100).toFixed(1)} % within 100 ms, ${(within(0.5) * 100).toFixed(1)} % within 500 ms; ` +
        `${(requests / seconds / 3).toFixed(0)} requests/s a node (${requests} requests for ${3 * TASKS} node tasks in ${seconds.toFixed(1)} s)\n`,
    );
    expect(await harness.store.tasks.countOpen()).toBe(0);
    expect([...harness.control.openTaskCounts().values()]).toEqual([0, 0, 0]);
    const { tasks } = await harness.tasks.listTasks({ limit: 1, statuses: [TaskStatus.SUCCEEDED] });
    expect(JSON.parse(tasks[0]?.detailsJson ?? "")).toEqual({ receivedDocuments: 1, indexedDocuments: 1 });
    expect(requests).toBeLessThan(TASKS / 2);
  } finally {
    await harness.stop();
  }
}, 90_000);
