import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keptSecrets } from "../../../src/control/settings/secret-keeper.js";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";

let nodes: StartedNodes;
let harness: Harness;
beforeAll(async () => {
  nodes = await startNodes(1, { backend: "embedded" });
  harness = await startHarness({
    config: { nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })) },
    shards: 2,
  });
});
afterAll(async () => {
  await harness?.stop();
  await nodes?.stop();
});

async function newIndex(uid: string): Promise<string> {
  await harness.indexes.ensureIndex({ uid, session: "s" });
  const index = harness.topology.current().indexes.find((candidate) => candidate.uid === uid);
  if (index === undefined) throw new Error(`the index ${uid} is missing`);
  return index.instance;
}

/** A settings change that brought a key, and ended in some way. */
async function change(instance: string, apiKey: string, status: TaskStatus): Promise<bigint> {
  const { firstUid: uid } = await harness.tasks.allocateTaskUids({ count: 1, session: "s" });
  const at = { seconds: 1_795_264_433n, nanos: 0 };
  await harness.tasks.registerTasks({
    session: "s",
    tasks: [
      {
        uid,
        instance,
        type: TaskType.SETTINGS_UPDATE,
        status,
        detailsJson: '{"embedders":{"e":{"apiKey":"XXX..."}}}',
        embedderSecretsJson: JSON.stringify({ e: { apiKey } }),
        enqueuedAt: at,
        ...(status === TaskStatus.ENQUEUED ? {} : { startedAt: at, finishedAt: at }),
      },
    ],
  });
  return uid;
}

const kept = (instance: string) => keptSecrets(harness.topology.current(), harness.store, instance);

describe("API keys of embedders that settings changes bring", () => {
  it("are kept of the changes that were made, the last one first, and shown with no task", async () => {
    const instance = await newIndex("notes");
    await change(instance, "first", TaskStatus.SUCCEEDED);
    await change(instance, "refused", TaskStatus.FAILED);
    const uid = await change(instance, "second", TaskStatus.SUCCEEDED);
    await change(instance, "open", TaskStatus.ENQUEUED);
    expect(await kept(instance)).toEqual([{ e: { apiKey: "second" } }, { e: { apiKey: "first" } }]);
    const { task } = await harness.tasks.getTask({ uid });
    expect(task?.embedderSecretsJson).toBe("");
    const { tasks } = await harness.tasks.listTasks({});
    expect(JSON.stringify(tasks.map((each) => each.embedderSecretsJson))).not.toContain("second");
  });

  it("are kept of so many changes only, and go with their index", async () => {
    const [busy, gone] = [await newIndex("busy"), await newIndex("gone")];
    await change(gone, "key-of-gone", TaskStatus.SUCCEEDED);
    for (let at = 0; at < 25; at++) await change(busy, `key-${at}`, TaskStatus.SUCCEEDED);
    const secrets = await kept(busy);
    expect([secrets.length, secrets[0], secrets.at(-1)]).toEqual([
      20,
      { e: { apiKey: "key-24" } },
      { e: { apiKey: "key-5" } },
    ]);
    await harness.indexes.removeIndex({ instance: gone, session: "s" });
    await change(busy, "another", TaskStatus.SUCCEEDED);
    const texts = harness.topology.current().resources.map(({ json }) => json);
    expect(texts.join()).not.toContain("key-of-gone");
  });
});
