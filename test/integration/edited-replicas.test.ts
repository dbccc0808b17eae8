import { describe, expect } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { realNodeOnly } from "../support/nodes.js";

const realIt = realNodeOnly();
const COUNT = 60;

interface Task {
  readonly status: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly error: { readonly message: string } | null;
}

const SHAPES = [
  { nodes: 3, groups: 1, replicationFactor: 2 },
  { nodes: 4, groups: 2, replicationFactor: 2 },
  { nodes: 4, groups: 2, replicationFactor: 1 },
] as const;

describe("replicas after edits by a function", () => {
  for (const shape of SHAPES) {
    const { nodes, groups, replicationFactor } = shape;
    const name = `${nodes} nodes, groups: ${groups}, replicas: ${replicationFactor}`;
    realIt(`hold the same documents: ${name}`, { timeout: 120_000 }, async () => {
      const fleet = await startFleet({ ...shape, shards: 8 });
      try {
        await editAndCompare(fleet, nodes, groups * replicationFactor);
      } finally {
        await fleet.stop();
      }
    });
  }
});

async function editAndCompare(fleet: Fleet, nodes: number, copies: number): Promise<void> {
  const { api } = fleet;
  const run = async (method: string, path: string, body: unknown): Promise<Task> => {
    const answer = await api.ok<{ taskUid: number }>(method, path, JSON.stringify(body));
    return fleet.eventually(async () => {
      const task = await api.ok<Task>("GET", `/tasks/${answer.taskUid}`);
      return task.status === "succeeded" || task.status === "failed" ? task : undefined;
    });
  };
  const edit = (body: object): Promise<Task> => run("POST", "/indexes/e/documents/edit", body);
  await api.ok("PATCH", "/experimental-features", '{"editDocumentsByFunction":true}');
  await run("PATCH", "/indexes/e/settings", { filterableAttributes: ["n"] });
  const documents = Array.from({ length: COUNT }, (_, id) => ({ id, n: id, tags: ["a"] }));
  await run("POST", "/indexes/e/documents?primaryKey=id", documents);

  const some = await edit({ function: "doc.n += 1000; doc.tags.push(doc.id);", filter: "n < 20" });
  expect(some).toMatchObject({ status: "succeeded", details: { editedDocuments: 20, deletedDocuments: 20 } });
  const all = await edit({ function: "if doc.id % 10 == 3 { doc = (); return; } doc.seen = true;" });
  expect(all).toMatchObject({ status: "succeeded", details: { editedDocuments: COUNT } });
  const left = COUNT - 6;
  expect(await replicasOf(fleet, nodes)).toEqual({ documents: left, copies: [copies], different: [] });

  // Fails on the nodes that hold this document: its neighbours on other nodes may be edited, but alike on all of their replicas.
  const failed = await edit({ function: 'if doc.id == 7 { throw "seven" } doc.n += 5;' });
  expect(failed).toMatchObject({ status: "failed", details: { editedDocuments: 0, deletedDocuments: null } });
  expect(failed.error?.message).toBe(
    "Index `e`: Document edition runtime error encountered while running the function: Runtime error: seven (line 1, position 18)",
  );
  expect(await replicasOf(fleet, nodes)).toEqual({ documents: left, copies: [copies], different: [] });

  // Nobody is taken for divergent: every shard has all of its copies in sync.
  const next = await api.send("POST", "/indexes/e/documents/edit", { function: "doc.n += 1" });
  expect(next).toMatchObject({
    status: 202,
    headers: expect.not.objectContaining({ "x-miroir-degraded": expect.anything() }),
  });
  await api.waitForTask((JSON.parse(next.text) as { taskUid: number }).taskUid);
  const before = await api.send("GET", `/indexes/e/documents?limit=${COUNT}`);
  await runAgain(fleet, nodes);
  const after = await api.send("GET", `/indexes/e/documents?limit=${COUNT}`);
  expect(after.text).toBe(before.text);
  expect(before.text).not.toContain("_miroir_");
  expect(await replicasOf(fleet, nodes)).toEqual({ documents: left, copies: [copies], different: [] });
}

/** Every node runs its last edit a second time, as after a crash between the two ends of a batch. */
async function runAgain(fleet: Fleet, nodes: number): Promise<void> {
  for (let at = 0; at < nodes; at++) {
    const node = nodeHttp(fleet, at);
    const { results } = await node.ok<{ results: { indexUid: string; details: { function: string } }[] }>(
      "GET",
      "/tasks?types=documentEdition&limit=1",
    );
    for (const { indexUid, details } of results) {
      const { taskUid } = await node.ok<{ taskUid: number }>(
        "POST",
        `/indexes/${indexUid}/documents/edit`,
        JSON.stringify({ function: details.function }),
      );
      expect(await node.waitForTask(taskUid)).toMatchObject({ status: "succeeded" });
    }
  }
}

/** How many documents the nodes hold, how many copies of each, and which documents have different ones. */
async function replicasOf(fleet: Fleet, nodes: number) {
  const byId = new Map<unknown, string[]>();
  for (let at = 0; at < nodes; at++) {
    const node = nodeHttp(fleet, at);
    const { results } = await node.ok<{ results: { uid: string }[] }>("GET", "/indexes");
    for (const { uid } of results) {
      const page = await node.ok<{ results: Record<string, unknown>[] }>(
        "GET",
        `/indexes/${uid}/documents?limit=${COUNT}`,
      );
      for (const document of page.results) {
        const text = JSON.stringify(Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1)));
        byId.set(document.id, [...(byId.get(document.id) ?? []), text]);
      }
    }
  }
  return {
    documents: byId.size,
    copies: [...new Set([...byId.values()].map((held) => held.length))],
    different: [...byId].filter(([, held]) => new Set(held).size > 1).map(([id]) => id),
  };
}

function nodeHttp(fleet: Fleet, at: number): MeilisearchHttp {
  const { url, masterKey } = fleet.node(at);
  return meilisearchHttp(url, masterKey);
}
