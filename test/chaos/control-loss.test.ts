import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";

describe("the control plane stops and comes back", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ nodes: 3, replicationFactor: 2, shards: 8, writeHoldMs: 500 });
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>(
      "POST",
      "/indexes/books/documents?primaryKey=id",
      [{ id: 1, title: "first" }],
    );
    await fleet.api.waitForTask(taskUid);
  });
  afterAll(() => fleet.stop());

  it("serves reads without it, writes until the lease ends, then 503 with Retry-After, and recovers by itself", async () => {
    const { api } = fleet;
    await fleet.stopControl();

    const accepted: number[] = [];
    let refusal: Awaited<ReturnType<typeof api.send>> | undefined;
    for (let id = 100; refusal === undefined; id++) {
      const answer = await api.send("POST", "/indexes/books/documents", [{ id, title: `away ${id}` }]);
      if (answer.status === 202) accepted.push(id);
      else refusal = answer;
      const search = await api.send("POST", "/indexes/books/search", { q: "first" });
      expect(search.status).toBe(200);
      expect((JSON.parse(search.text) as { hits: unknown[] }).hits).toHaveLength(1);
    }
    expect(accepted.length).toBeGreaterThan(0);
    expect(refusal.status).toBe(503);
    expect(refusal.headers["retry-after"]).toMatch(/^\d+$/);
    expect(JSON.parse(refusal.text)).toMatchObject({
      code: expect.stringMatching(/^miroir_/) as unknown,
      type: "system",
    });

    await fleet.startControl();
    const recovered = await fleet.eventually(async () => {
      const answer = await api.send("POST", "/indexes/books/documents", [{ id: 999, title: "back" }]);
      return answer.status === 202 ? (JSON.parse(answer.text) as { taskUid: number }) : undefined;
    });
    await api.waitForTask(recovered.taskUid);
    const found = await fleet.eventually(async () => {
      const page = await api.ok<{ results: { id: number }[] }>("POST", "/indexes/books/documents/fetch", {
        ids: [...accepted, 999],
        limit: accepted.length + 1,
      });
      return page.results.length === accepted.length + 1 ? page.results : undefined;
    });
    expect(found.map(({ id }) => id).sort((left, right) => left - right)).toEqual([...accepted, 999]);
    const tasks = await fleet.eventually(async () => {
      const page = await api.ok<{ results: { status: string }[]; total: number }>(
        "GET",
        "/tasks?indexUids=books&limit=1000",
      );
      return page.total === accepted.length + 2 && page.results.every((task) => task.status === "succeeded")
        ? page
        : undefined;
    });
    expect(tasks.total).toBe(accepted.length + 2);
  }, 60_000);
});
