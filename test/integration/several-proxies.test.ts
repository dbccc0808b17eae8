import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { type ProxyProcess, startProxyProcess } from "../support/proxy-process.js";

const MASTER = "a master key of some length";
const INDEXES = ["apples", "books", "cities", "dogs", "eggs", "films"];
/** What a client does not have to expect while an index changes hands; 504 says honestly that nothing is known. */
const SETTLE_MS = 20_000;

let fleet: Fleet;
const proxies = new Map<string, ProxyProcess>();
const figures: string[] = [];

beforeAll(async () => {
  fleet = await startFleet({ nodes: 2, replicationFactor: 2, masterKey: MASTER });
  // Only the processes write: they can be killed.
  await fleet.stopProxy();
  await Promise.all(["p-0", "p-1", "p-2"].map(startProxy));
}, 60_000);

afterAll(async () => {
  process.stderr.write(`${figures.map((line) => `[several proxies] ${line}\n`).join("")}`);
  await Promise.all([...proxies.keys()].map((id) => stopProxy(id, "SIGKILL")));
  await fleet?.stop();
});

async function startProxy(id: string): Promise<void> {
  proxies.set(id, await startProxyProcess(fleet, id, MASTER));
}

async function stopProxy(id: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  const proxy = proxies.get(id);
  // No client asks it any more; who did finds its connection closed.
  proxies.delete(id);
  await proxy?.kill(signal);
}

function any(): ProxyProcess {
  const all = [...proxies.values()];
  const proxy = all[Math.floor(Math.random() * all.length)];
  if (proxy === undefined) throw new Error("no proxy runs");
  return proxy;
}

/** The recorded writer of each index, by its uid. */
async function writers(): Promise<ReadonlyMap<string, string>> {
  const control = meilisearchHttp(`http://${fleet.controlAddress()}`);
  const { topology } = await control.ok<{
    topology: { indexes: readonly { uid: string; writer?: { proxyId: string } }[] };
  }>("POST", "/miroir.v1.TopologyService/GetTopology", {});
  return new Map(topology.indexes.map(({ uid, writer }) => [uid, writer?.proxyId ?? ""]));
}

interface Outcome {
  readonly uid: string;
  readonly id: number;
  readonly status: number;
  readonly from: number;
  readonly ms: number;
  readonly task: number | undefined;
}

/** Writers to every index through every proxy that runs, until told to stop. */
function load() {
  const outcomes: Outcome[] = [];
  let next = 0;
  let isOver = false;
  const client = async (uid: string): Promise<void> => {
    while (!isOver) {
      const { api } = any();
      const id = next++;
      const from = performance.now();
      try {
        const { status, text } = await api.send("POST", `/indexes/${uid}/documents`, [{ id, uid }]);
        const task = status === 202 ? (JSON.parse(text) as { taskUid: number }).taskUid : undefined;
        outcomes.push({ uid, id, status, from, ms: performance.now() - from, task });
        if (status !== 202) figures.push(`answered ${status}: ${text}`);
      } catch {
        // The proxy that was asked is gone: its client would go to another one.
        outcomes.push({ uid, id, status: 0, from, ms: performance.now() - from, task: undefined });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const clients = Promise.all(INDEXES.map(client));
  return {
    outcomes,
    stop: async () => {
      isOver = true;
      await clients;
      return outcomes;
    },
  };
}

/** Every acknowledged document is there, on every replica alike, whichever proxy is asked. */
async function checkNothingLost(outcomes: readonly Outcome[]): Promise<void> {
  for (const uid of INDEXES) {
    const accepted = outcomes.filter((outcome) => outcome.uid === uid && outcome.task !== undefined);
    const last = accepted.at(-1)?.task;
    if (last !== undefined) await any().api.waitForTask(last);
    await fleet.eventually(async () => {
      const { isIndexing } = await any().api.ok<{ isIndexing: boolean }>("GET", `/indexes/${uid}/stats`);
      return isIndexing ? undefined : true;
    });
    const page = await any().api.ok<{ results: readonly { id: number }[] }>(
      "GET",
      `/indexes/${uid}/documents?limit=100000&fields=id`,
    );
    const held = new Set(page.results.map(({ id }) => id));
    expect(accepted.filter(({ id }) => !held.has(id)).map(({ id }) => id)).toEqual([]);
    const refused = outcomes.filter((outcome) => outcome.uid === uid && outcome.status === 503);
    expect(refused.filter(({ id }) => held.has(id)).map(({ id }) => id)).toEqual([]);
  }
}

const accepted = (outcomes: readonly Outcome[]) => outcomes.filter(({ status }) => status === 202);
const longest = (outcomes: readonly Outcome[]) => Math.max(0, ...outcomes.map(({ ms }) => ms)).toFixed(0);

describe("three proxies over one fleet", () => {
  it("share the indexes, whoever is asked", async () => {
    for (const uid of INDEXES) {
      const { taskUid } = await any().api.ok<{ taskUid: number }>("POST", "/indexes", {
        uid,
        primaryKey: "id",
      });
      await any().api.waitForTask(taskUid);
    }
    const running = load();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const outcomes = await running.stop();
    expect(outcomes.filter(({ status }) => status !== 202)).toEqual([]);
    const byWriter = await writers();
    expect(new Set(byWriter.values()).size).toBeGreaterThan(1);
    await checkNothingLost(outcomes);
    figures.push(
      `${outcomes.length} writes in 2 s through three proxies, the longest took ${longest(outcomes)} ms`,
    );
  }, 60_000);

  it("swap indexes that two of them write, behind the writes in front and before those behind", async () => {
    const byWriter = await writers();
    const [left] = INDEXES;
    const right = INDEXES.find((uid) => byWriter.get(uid) !== byWriter.get(left ?? ""));
    if (left === undefined || right === undefined) throw new Error("one proxy writes everything");
    const marked = (uid: string) =>
      any().api.ok<{ taskUid: number }>("POST", `/indexes/${uid}/documents`, [{ id: -1, of: uid }]);
    await Promise.all([marked(left), marked(right)]);
    const { taskUid } = await any().api.ok<{ taskUid: number }>("POST", "/swap-indexes", [
      { indexes: [left, right] },
    ]);
    const behind = await any().api.ok<{ taskUid: number }>("POST", `/indexes/${left}/documents`, [
      { id: -2, of: right },
    ]);
    await any().api.waitForTask(taskUid);
    await any().api.waitForTask(behind.taskUid);
    const found = await any().api.ok<{ of: string }>("GET", `/indexes/${left}/documents/-1`);
    expect(found.of).toBe(right);
    expect(await any().api.ok("GET", `/indexes/${left}/documents/-2`)).toMatchObject({ of: right });
    // Back again, for the tests that follow.
    await any().api.waitForTask(
      (await any().api.ok<{ taskUid: number }>("POST", "/swap-indexes", [{ indexes: [right, left] }]))
        .taskUid,
    );
  }, 60_000);

  it("hand over without an error when one stops", async () => {
    const victim = (await writers()).get("books") ?? "";
    const running = load();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const began = performance.now();
    await stopProxy(victim, "SIGTERM");
    const tookMs = performance.now() - began;
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const outcomes = await running.stop();
    // A client of the one that stops may find its port closed.
    expect(outcomes.filter(({ status }) => status !== 202 && status !== 0)).toEqual([]);
    expect([...(await writers()).values()]).not.toContain(victim);
    await checkNothingLost(outcomes);
    const during = outcomes.filter(({ from }) => from >= began - 100);
    figures.push(
      `a proxy that stopped: ${tookMs.toFixed(0)} ms, the longest write took ${longest(during)} ms, none failed`,
    );
    await startProxy(victim);
  }, 90_000);

  it("lose nothing that was acknowledged when the writer of an index is killed under load; others do not notice", async () => {
    const before = await writers();
    const victim = before.get("books") ?? "";
    const running = load();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const killedAt = performance.now();
    await stopProxy(victim, "SIGKILL");
    const isTaken = () =>
      running.outcomes.some(
        ({ uid, status, from, ms }) => uid === "books" && status === 202 && from + ms > killedAt + 200,
      );
    await fleet.until(isTaken);
    const tookMs = performance.now() - killedAt;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const outcomes = await running.stop();
    const unaffected = outcomes.filter(
      ({ uid, from, status }) => before.get(uid) !== victim && from > killedAt && status !== 0,
    );
    expect(unaffected.length).toBeGreaterThan(20);
    expect(accepted(unaffected)).toHaveLength(unaffected.length);
    // Whether a write was made that the killed one had whole is not known.
    expect(outcomes.filter(({ status }) => ![0, 202, 504].includes(status))).toEqual([]);
    expect(tookMs).toBeLessThan(SETTLE_MS);
    await checkNothingLost(outcomes);
    const unknown = outcomes.filter(({ status }) => status === 504).length;
    figures.push(
      `kill -9 of a writer: the next write of its index was made after ${tookMs.toFixed(0)} ms; ${unknown} writes of unknown outcome, other indexes' longest write ${longest(unaffected)} ms`,
    );
    await startProxy(victim);
  }, 90_000);
});
