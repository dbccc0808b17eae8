import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../../src/cli/config.js";
import { type RunningProxy, runProxy } from "../../src/cli/run-proxy.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";

const MASTER = "a master key of some length";
const ROUNDS = 5;

let fleet: Fleet;
let other: RunningProxy;
let here: MeilisearchHttp;
let there: MeilisearchHttp;
const figures: string[] = [];

beforeAll(async () => {
  fleet = await startFleet({ nodes: 2, replicationFactor: 2, masterKey: MASTER });
  other = await runProxy({
    config: configSchema.parse({
      http: "127.0.0.1:0",
      control: [fleet.controlAddress()],
      proxy_id: "proxy-1",
      master_key: MASTER,
    }),
    world: createSystemWorld(),
    logger: pino({ level: "silent" }),
  });
  await other.whenReady(AbortSignal.timeout(10_000));
  here = fleet.api;
  there = meilisearchHttp(other.url, MASTER);
});
afterAll(async () => {
  process.stderr.write(`${figures.join("\n")}\n`);
  await other?.close();
  await fleet?.stop();
});

/**
 * The longest of several rounds, in milliseconds, from the answer to a change until the other proxy shows it. Changes are made through
 * both proxies in turn: one of them writes, and gets what the other one is sent.
 */
async function longest(
  what: string,
  round: (at: number, from: MeilisearchHttp, to: MeilisearchHttp) => Promise<() => Promise<boolean>>,
): Promise<number> {
  const times: number[] = [];
  for (let at = 0; at < ROUNDS; at++) {
    const shows = await (at % 2 === 0 ? round(at, here, there) : round(at, there, here));
    const began = performance.now();
    await fleet.eventually(async () => ((await shows()) ? true : undefined));
    times.push(performance.now() - began);
  }
  const most = Math.max(...times);
  figures.push(
    `[two proxies] ${what} made through one is in force at the other after ${most.toFixed(1)} ms at most`,
  );
  return most;
}

describe("two proxies over one fleet", () => {
  it("a key made through one is taken by the other within a second", async () => {
    const most = await longest("a key", async (_, from, to) => {
      const key = { actions: ["indexes.get"], indexes: ["*"], expiresAt: null };
      const made = await from.ok<{ key: string }>("POST", "/keys", key);
      const client = meilisearchHttp(to.url, made.key);
      return async () => (await client.send("GET", "/indexes")).status === 200;
    });
    expect(most).toBeLessThan(1_000);
  });

  it("a webhook made through one is shown by the other within a second", async () => {
    const most = await longest("a webhook", async (at, from, to) => {
      const url = `http://example.com/${at}`;
      await from.ok("POST", "/webhooks", { url });
      return async () => (await to.send("GET", "/webhooks")).text.includes(url);
    });
    expect(most).toBeLessThan(1_000);
  });

  it("an index made through one is there at the other within a second", async () => {
    const most = await longest("an index", async (at, from, to) => {
      const { taskUid } = await from.ok<{ taskUid: number }>("POST", "/indexes", { uid: `index-${at}` });
      await from.waitForTask(taskUid);
      return async () => (await to.send("GET", `/indexes/index-${at}`)).status === 200;
    });
    expect(most).toBeLessThan(1_000);
  }, 60_000);

  it("a setting made through one rules searches at the other within a second", async () => {
    const { taskUid } = await here.ok<{ taskUid: number }>("POST", "/indexes/films/documents", [
      { id: 1, title: "one" },
    ]);
    await here.waitForTask(taskUid);
    const most = await longest("a setting", async (at, from, to) => {
      const change = await from.ok<{ taskUid: number }>("PUT", "/indexes/films/settings/synonyms", {
        [`word${at}`]: ["one"],
      });
      await from.waitForTask(change.taskUid);
      return async () => {
        const found = await to.ok<{ hits: unknown[] }>("POST", "/indexes/films/search", {
          q: `word${at}`,
        });
        return found.hits.length === 1;
      };
    });
    expect(most).toBeLessThan(1_000);
  }, 60_000);

  it("a read that asks for the settings of a change gets them, whichever proxy it asks", async () => {
    const version = async (proxy: string) => {
      const headers = { authorization: `Bearer ${MASTER}` };
      const answer = await fetch(`${proxy}/indexes/films/settings`, { headers });
      return Number(answer.headers.get("x-miroir-settings-version"));
    };
    const search = (proxy: string, floor: string) =>
      fetch(`${proxy}/indexes/films/search?q=floor`, {
        headers: { authorization: `Bearer ${MASTER}`, "x-miroir-min-settings-version": floor },
      });
    const change = await here.ok<{ taskUid: number }>("PUT", "/indexes/films/settings/synonyms", {
      floor: ["one"],
    });
    await here.waitForTask(change.taskUid);
    const floor = await version(here.url);
    const answer = await search(other.url, String(floor));
    expect(answer.status).toBe(200);
    expect(Number(answer.headers.get("x-miroir-settings-version"))).toBeGreaterThanOrEqual(floor);
    expect(((await answer.json()) as { hits: unknown[] }).hits).toHaveLength(1);

    const ahead = await search(other.url, String(floor + 1));
    expect(ahead.status).toBe(503);
    expect(ahead.headers.get("retry-after")).toBe("1");
    expect(await ahead.json()).toMatchObject({ code: "miroir_settings_version_stale" });
    expect((await search(other.url, "soon")).status).toBe(400);

    const multi = await fetch(`${other.url}/multi-search`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${MASTER}`,
        "content-type": "application/json",
        "x-miroir-min-settings-version": String(floor + 1),
      },
      body: JSON.stringify({ queries: [{ indexUid: "films", q: "" }] }),
    });
    expect(multi.status).toBe(503);
  });
});
