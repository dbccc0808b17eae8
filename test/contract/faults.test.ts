import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NodeProcess } from "../../src/nodes/launch.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";
import { ContractClient } from "./contract-client.js";

describe("faults of the embedded node", () => {
  let started: StartedNodes;
  let node: NodeProcess;
  let client: ContractClient;

  beforeAll(async () => {
    started = await startNodes(1, { backend: "embedded", faultControl: true });
    const [first] = started.nodes;
    if (first === undefined) throw new Error("no node");
    node = first;
    client = new ContractClient(node.url, DEFAULT_MASTER_KEY);
  });
  afterAll(() => started.stop());

  const arm = (faults: readonly object[], seed = 7) =>
    client.send("PUT", "/_embedded/faults", { seed, faults });

  it("refuse and answer with a status, as often as asked", async () => {
    await arm([
      { method: "GET", path: "^/stats", count: 1, effect: { kind: "status", status: 503 } },
      { path: "^/indexes\\?", skip: 1, count: 1, effect: { kind: "refuse" } },
    ]);
    expect((await client.send("GET", "/stats")).status).toBe(503);
    expect((await client.send("GET", "/stats")).status).toBe(200);
    expect((await client.send("GET", "/indexes?limit=1")).status).toBe(200);
    await expect(client.send("GET", "/indexes?limit=1")).rejects.toThrow();
    expect((await client.send("GET", "/indexes?limit=1")).status).toBe(200);
    const { faults } = (await client.send("GET", "/_embedded/faults")).json;
    expect(faults.map((fault: { struck: number }) => fault.struck)).toEqual([1, 1]);
  });

  it("execute a write without answering it", async () => {
    await arm([{ method: "POST", path: "/documents", count: 1, effect: { kind: "drop" } }]);
    await expect(client.send("POST", "/indexes/silent/documents", [{ id: 1 }])).rejects.toThrow();
    const tasks = (await client.send("GET", "/tasks?indexUids=silent")).json;
    expect(tasks.total).toBe(1);
    expect((await client.task(tasks.results[0].uid)).status).toBe("succeeded");
  });

  it("delay an answer", async () => {
    await arm([{ path: "^/version", count: 1, effect: { kind: "delay", ms: 120, jitterMs: 0 } }]);
    const before = performance.now();
    await client.send("GET", "/version");
    expect(performance.now() - before).toBeGreaterThanOrEqual(115);
  });

  it("drop hits, the same ones for the same seed", async () => {
    await client.run(
      "POST",
      "/indexes/many/documents",
      Array.from({ length: 20 }, (_, i) => ({ id: i })),
    );
    const search = async () => {
      await arm([{ path: "/search", effect: { kind: "dropHits", probability: 0.5 } }], 42);
      return (await client.send("POST", "/indexes/many/search", {})).json.hits;
    };
    const [once, again] = [await search(), await search()];
    expect(once.length).toBeLessThan(20);
    expect(once.length).toBeGreaterThan(0);
    expect(again).toEqual(once);
  });

  it("fail a task with the error asked for", async () => {
    const effect = { kind: "failTask", indexUid: "bad", code: "no_space_left_on_device", message: "full" };
    await arm([{ count: 1, effect }]);
    const failed = await client.run("POST", "/indexes/bad/documents", [{ id: 1 }]);
    expect(failed).toMatchObject({
      status: "failed",
      error: { code: "no_space_left_on_device", message: "full" },
    });
    expect((await client.run("POST", "/indexes/bad/documents", [{ id: 1 }])).status).toBe("succeeded");
  });

  it("crash the process after a write was stored; the write is there after a restart", async () => {
    await arm([{ method: "POST", path: "/indexes/crash", effect: { kind: "crash", executed: true } }]);
    await expect(client.send("POST", "/indexes/crash/documents", [{ id: 1 }])).rejects.toThrow();
    expect(await node.exited).toContain("SIGKILL");
    await node.restart();
    const tasks = (await client.send("GET", "/tasks?indexUids=crash")).json;
    expect(tasks.total).toBe(1);
    expect((await client.task(tasks.results[0].uid)).status).toBe("succeeded");
    expect((await client.send("GET", "/indexes/crash/documents")).json.results).toEqual([{ id: 1 }]);
    expect((await client.send("GET", "/indexes/many/search?q=")).json.estimatedTotalHits).toBe(20);
  });

  it("are not served without the flag", async () => {
    const plain = await startNodes(1, { backend: "embedded" });
    try {
      const answer = await fetch(`${plain.nodes[0]?.url}/_embedded/faults`, { method: "PUT", body: "{}" });
      expect(answer.status).toBe(404);
    } finally {
      await plain.stop();
    }
  });
});
