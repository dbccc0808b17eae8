import { describe, expect, it } from "vitest";
import { DEFAULT_MASTER_KEY, startNodes } from "../support/nodes.js";
import { ContractClient, type Json } from "./contract-client.js";
import { describeContract } from "./contract-nodes.js";

describeContract("tasks", (node) => {
  it("carry metadata, details and times through their life", async () => {
    const { client } = node;
    const answer = await client.send("POST", "/indexes/life/documents?customMetadata=abc", [
      { id: 1 },
      { id: 2 },
    ]);
    expect(answer.status).toBe(202);
    expect(answer.json).toEqual({
      taskUid: expect.any(Number),
      indexUid: "life",
      status: "enqueued",
      type: "documentAdditionOrUpdate",
      enqueuedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
      customMetadata: "abc",
    });
    const task = await client.task(answer.json.taskUid);
    expect(task).toMatchObject({
      status: "succeeded",
      customMetadata: "abc",
      canceledBy: null,
      error: null,
      details: { receivedDocuments: 2, indexedDocuments: 2 },
      duration: expect.stringMatching(/^PT\d+(\.\d+)?S$/),
    });
    expect(Date.parse(task.finishedAt)).toBeGreaterThanOrEqual(Date.parse(task.startedAt));
    const batch = (await client.send("GET", `/batches/${task.batchUid}`)).json;
    expect(batch).toMatchObject({
      uid: task.batchUid,
      progress: null,
      stats: { totalNbTasks: 1, status: { succeeded: 1 } },
    });
  });

  it("are listed newest first, or oldest first when reversed, page by page", async () => {
    const { client } = node;
    for (let i = 0; i < 6; i++) await client.send("DELETE", "/indexes/missing");
    const list = async (query: string): Promise<Json> => (await client.send("GET", `/tasks?${query}`)).json;
    const forward = await list("reverse=true&limit=3");
    expect(forward.results.map((task: Json) => task.uid)).toEqual([0, 1, 2]);
    expect([forward.from, forward.next]).toEqual([0, 3]);
    const following = await list(`reverse=true&limit=3&from=${forward.next}`);
    expect(following.results.map((task: Json) => task.uid)).toEqual([3, 4, 5]);
    const newest = await list("limit=2");
    expect(newest.results[0].uid).toBe(newest.total - 1);
    expect(newest.next).toBe(newest.total - 3);
    const last = await list(`reverse=true&from=${newest.total - 1}`);
    expect([last.results.length, last.next]).toEqual([1, null]);
  });

  it("of one index run in the order in which they were accepted, also in batches", async () => {
    const { client } = node;
    const answers = [];
    for (let i = 0; i < 12; i++) {
      const write =
        i % 4 === 3
          ? client.send("POST", "/indexes/order/documents/delete-batch", [i % 3])
          : client.send(i % 2 === 0 ? "POST" : "PUT", "/indexes/order/documents", [
              { id: i % 3, [`f${i}`]: i },
            ]);
      answers.push((await write).json.taskUid);
    }
    for (const uid of answers) expect((await client.task(uid)).status).toBe("succeeded");
    const { results } = (await client.send("GET", "/indexes/order/documents")).json;
    const model = new Map<number, Record<string, number>>();
    for (let i = 0; i < 12; i++) {
      const id = i % 3;
      if (i % 4 === 3) model.delete(id);
      else model.set(id, { ...(i % 2 === 0 ? {} : model.get(id)), id, [`f${i}`]: i });
    }
    const sorted = (list: Json[]) => [...list].sort((a, b) => a.id - b.id);
    expect(sorted(results)).toEqual(sorted([...model.values()]));
  });

  it("with one document that lacks its key fail alone; the others of their batch do not", async () => {
    const { client } = node;
    await client.run("POST", "/indexes", { uid: "mixed", primaryKey: "id" });
    const uids = [];
    for (const body of [[{ id: 1 }], [{ id: 2 }, { no: 1 }], [{ id: 3 }]]) {
      uids.push((await client.send("POST", "/indexes/mixed/documents", body)).json.taskUid);
    }
    const tasks = [];
    for (const uid of uids) tasks.push(await client.task(uid));
    expect(tasks.map((task) => task.status)).toEqual(["succeeded", "failed", "succeeded"]);
    expect(tasks[1].error.code).toBe("missing_document_id");
    const { results } = (await client.send("GET", "/indexes/mixed/documents")).json;
    expect(results.map((one: Json) => one.id).sort()).toEqual([1, 3]);
  });

  it("are deleted by filter, and only finished ones", async () => {
    const { client } = node;
    const before = (await client.send("GET", "/tasks?types=indexDeletion")).json.total;
    expect(before).toBeGreaterThan(0);
    const task = await client.run("DELETE", "/tasks?types=indexDeletion");
    expect(task.details).toEqual({
      matchedTasks: before,
      deletedTasks: before,
      originalFilter: "?types=indexDeletion",
    });
    expect((await client.send("GET", "/tasks?types=indexDeletion")).json.total).toBe(0);
  });

  it("are seen by a key for some indexes only where they are about those", async () => {
    const { client } = node;
    const body = { actions: ["tasks.get", "search"], indexes: ["li*"], expiresAt: null };
    const { key } = (await client.send("POST", "/keys", body)).json;
    const seen = (await client.send("GET", "/tasks?limit=100", undefined, { key })).json;
    expect(new Set(seen.results.map((task: Json) => task.indexUid))).toEqual(new Set(["life"]));
    expect((await client.send("POST", "/indexes/order/search", {}, { key })).status).toBe(403);
    expect((await client.send("POST", "/indexes/life/search", {}, { key })).status).toBe(200);
    expect((await client.send("GET", "/indexes", undefined, { key })).json.code).toBe("invalid_api_key");
  });
});

describe("canceling on the embedded node", () => {
  it("takes back what still waits and leaves what runs", async () => {
    const nodes = await startNodes(1, { backend: "embedded", args: ["--batch-delay-ms", "150"] });
    try {
      const client = new ContractClient(nodes.nodes[0]?.url ?? "", DEFAULT_MASTER_KEY);
      const uids: number[] = [];
      for (const uid of ["one", "two", "three"]) {
        uids.push((await client.send("POST", `/indexes/${uid}/documents`, [{ id: 1 }])).json.taskUid);
      }
      const cancel = await client.run("POST", "/tasks/cancel?statuses=enqueued");
      expect(cancel.details).toEqual({
        matchedTasks: 2,
        canceledTasks: 2,
        originalFilter: "?statuses=enqueued",
      });
      const statuses = [];
      for (const uid of uids) statuses.push((await client.task(uid)).status);
      expect(statuses).toEqual(["succeeded", "canceled", "canceled"]);
      const canceled = await client.task(uids[1] ?? -1);
      expect(canceled).toMatchObject({
        canceledBy: cancel.uid,
        batchUid: cancel.batchUid,
        startedAt: cancel.startedAt,
        details: { receivedDocuments: 1, indexedDocuments: 0 },
        error: null,
      });
    } finally {
      await nodes.stop();
    }
  });
});
