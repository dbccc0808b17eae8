// Calls a running control plane (`npm start`) from another service, through the client that the package exports:
//
//   npx tsx examples/grpc-client.ts [http://127.0.0.1:7800]
//
// An application writes: import { createMiroirClient } from "miroir/client";
import { createMiroirClient, TaskStatus } from "../src/client/index.js";

const adminKey = process.env.MIROIR_ADMIN_KEY;
const miroir = createMiroirClient({
  baseUrl: process.argv[2] ?? "http://127.0.0.1:7800",
  ...(adminKey === undefined ? {} : { adminKey }),
});

const status = await miroir.cluster.getStatus({});
console.log(`cluster ${status.clusterId}, term ${status.epoch?.term}, counter ${status.epoch?.counter}`);
for (const { node, lastError } of status.nodes) {
  console.log(`  ${node?.id} ${node?.url} ${lastError === "" ? "answers" : lastError}`);
}

const { indexes } = await miroir.indexes.listIndexes({ pageSize: 10 });
for (const index of indexes) console.log(`index ${index.uid}: ${index.shards} shards`);

const { tasks } = await miroir.tasks.listTasks({ limit: 5 });
for (const task of tasks) console.log(`task ${task.uid} on ${task.indexUid}: ${TaskStatus[task.status]}`);
