import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { type FixedAnswers, startFixedAnswers } from "../../bench/fixed-answers.js";
import { meilisearchHttp } from "../../support/meilisearch-http.js";

let node: Server | undefined;
let front: FixedAnswers | undefined;

afterEach(() => {
  front?.close();
  node?.close();
});

it("asks a node each search once, until its index changes", async () => {
  const asked: string[] = [];
  const listening = createServer((request, response) => {
    request.resume().on("end", () => {
      asked.push(`${request.method} ${request.url}`);
      response.setHeader("content-type", "application/json");
      response.end(`{"asked":${asked.length}}`);
    });
  });
  node = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  front = await startFixedAnswers(`http://127.0.0.1:${(listening.address() as AddressInfo).port}`);
  const api = meilisearchHttp(front.url);
  const search = async (q: string) => (await api.send("POST", "/indexes/films/search", { q })).text;

  expect([await search("a"), await search("a"), await search("b"), await search("a")]).toEqual([
    '{"asked":1}',
    '{"asked":1}',
    '{"asked":2}',
    '{"asked":1}',
  ]);
  await api.send("POST", "/indexes/films/documents", [{ id: 1 }]);
  expect(await search("a")).toBe('{"asked":4}');
  expect(await api.ok("GET", "/indexes")).toEqual({ asked: 5 });
  expect(await api.ok("GET", "/indexes")).toEqual({ asked: 6 });
});
