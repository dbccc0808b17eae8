import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { request } from "undici";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { configSchema } from "../../src/cli/config.js";
import { type RunningProxy, runProxy } from "../../src/cli/run-proxy.js";
import { findFreePort } from "../../src/nodes/ports.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { type HttpAnswer, type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";
import { describeWithRedis, type RedisServer, startRedis } from "../support/redis-server.js";
import { miroir, type Running, spawnMiroir } from "./cli-process.js";

// Leases last 10 seconds, and several must run out.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const LEASE_MS = 10_000;

interface Control {
  readonly address: string;
  process: Running;
}

/** One status of a control process: whether it serves, and what it says of itself. */
interface Health {
  readonly status: number;
  readonly leader: number;
}

describeWithRedis("control planes on one Redis", () => {
  const folder = mkdtempSync(join(tmpdir(), "miroir-control-store-"));
  const controls: Control[] = [];
  const acknowledged = new Set<number>();
  let redis: RedisServer;
  let nodes: StartedNodes;
  let proxy: RunningProxy;
  let api: MeilisearchHttp;
  let store: string;

  const control = (at: number): Control => {
    const found = controls[at];
    if (found === undefined) throw new Error(`there is no control process ${at}`);
    return found;
  };

  function startControl(address: string): Running {
    return spawnMiroir(
      [
        ...["control", "--grpc", address, "--data-dir", folder, "--control-replicas", "2"],
        ...["--replication-factor", "2", "--shards", "4", "--node-key", DEFAULT_MASTER_KEY],
        ...nodes.nodes.flatMap((node) => ["--node", node.url]),
      ],
      { MIROIR_STORE: store, MIROIR_LOG_LEVEL: process.env.MIROIR_TEST_LOG ?? "info" },
    );
  }

  async function health({ address }: Control): Promise<Health> {
    try {
      const [answer, metrics] = await Promise.all([
        request(`http://${address}/health`, { headersTimeout: 2_000 }),
        request(`http://${address}/metrics`, { headersTimeout: 2_000 }),
      ]);
      await answer.body.dump();
      const gauge = /^miroir_control_leader (\d)$/m.exec(await metrics.body.text())?.[1];
      return { status: answer.statusCode, leader: Number(gauge) };
    } catch {
      return { status: 0, leader: 0 };
    }
  }

  /** Resolves with the milliseconds until the condition held; rejects after `limitMs`. */
  async function until(condition: () => Promise<boolean>, limitMs: number, what: string): Promise<number> {
    const began = performance.now();
    for (;;) {
      if (await condition()) return performance.now() - began;
      if (performance.now() - began > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  const serves = (one: Control) => async () => (await health(one)).status === 200;
  const stoppedServing = (one: Control) => async () => (await health(one)).status !== 200;

  function write(id: number): Promise<HttpAnswer> {
    return api.send("POST", "/indexes/films/documents?primaryKey=id", [{ id, title: `Film ${id}` }]);
  }

  /**
   * True where the write was taken; every other answer is a refusal in Meilisearch's shape, but for one of a write that was under way when
   * the store went: its outcome is not known yet (invariant 4).
   */
  async function writeOnce(id: number): Promise<boolean> {
    const answer = await write(id);
    if (answer.status === 504) {
      expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_write_outcome_unknown" });
      return false;
    }
    if (answer.status !== 202) {
      expectRefusal(answer);
      return false;
    }
    acknowledged.add((JSON.parse(answer.text) as { taskUid: number }).taskUid);
    return true;
  }

  /** Writes until it is taken, as a client does that heeds 503, and waits for what was taken so far. */
  async function writeUntilTaken(id: number, limitMs: number): Promise<void> {
    await until(() => writeOnce(id), limitMs, `document ${id} is taken`);
    for (const uid of acknowledged) await until(() => succeeded(uid), limitMs, `task ${uid} succeeds`);
  }

  /** False while the task runs, and while no control plane is found, which a client is told with 503. */
  async function succeeded(uid: number): Promise<boolean> {
    const answer = await api.send("GET", `/tasks/${uid}`);
    if (answer.status === 503) {
      expectRefusal(answer);
      return false;
    }
    const { status, error } = JSON.parse(answer.text) as { status: string; error: unknown };
    if (status === "failed" || status === "canceled")
      throw new Error(`task ${uid}: ${JSON.stringify(error)}`);
    return status === "succeeded";
  }

  function expectRefusal({ headers, status, text }: HttpAnswer): void {
    expect({ status, text }).toMatchObject({ status: 503 });
    expect(headers["retry-after"]).toMatch(/^\d+$/);
    expect(JSON.parse(text)).toEqual({
      message: expect.any(String),
      code: expect.stringMatching(/^[a-z_]+$/),
      type: expect.any(String),
      link: expect.any(String),
    });
  }

  async function expectReads(count: number): Promise<void> {
    const found = await api.ok<{ hits: unknown[] }>("POST", "/indexes/films/search", {
      q: "film",
      limit: 100,
    });
    expect(found.hits).toHaveLength(count);
    expect((await api.send("GET", "/indexes/films/documents/1")).status).toBe(200);
    expect((await api.send("GET", "/_miroir/ready")).status).toBe(200);
  }

  async function expectAllTasks(): Promise<void> {
    const { results } = await api.ok<{ results: { uid: number; status: string }[] }>(
      "GET",
      "/tasks?limit=1000",
    );
    const succeeded = new Set(results.filter(({ status }) => status === "succeeded").map(({ uid }) => uid));
    expect([...acknowledged].filter((uid) => !succeeded.has(uid))).toEqual([]);
  }

  async function storeStatus() {
    const { stdout } = await miroir(["store", "status", "--json"], { MIROIR_STORE: store });
    return JSON.parse(stdout) as { leader: { term: number; live: boolean; holder: string } | null };
  }

  beforeAll(async () => {
    [redis, nodes] = await Promise.all([startRedis(), startNodes(2, { backend: "embedded" })]);
    store = redis.freshUrl();
    for (let at = 0; at < 2; at++) {
      const address = `127.0.0.1:${await findFreePort()}`;
      const one: Control = { address, process: startControl(address) };
      controls.push(one);
      await one.process.logged(
        at === 0 ? "control plane is serving" : "control plane is standing by: another one leads",
      );
    }
    proxy = await runProxy({
      config: configSchema.parse({
        http: "127.0.0.1:0",
        proxy_id: "proxy-0",
        control: controls.map(({ address }) => address),
        // What is to be refused is refused soon.
        write_hold_ms: 500,
      }),
      world: createSystemWorld(),
      logger: pino({ level: process.env.MIROIR_TEST_LOG ?? "silent" }, pino.destination(2)),
    });
    await proxy.whenReady(AbortSignal.timeout(30_000));
    api = meilisearchHttp(proxy.url);
  });

  afterAll(async () => {
    await proxy?.close();
    for (const { process: running } of controls) {
      running.child.kill("SIGCONT");
      running.child.kill("SIGKILL");
      if (process.env.MIROIR_TEST_LOG !== undefined) console.error((await running.ended).stderr);
    }
    await nodes?.stop();
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("one leads and does the fleet's work; the other stands by, says so, and can be stopped", async () => {
    expect(await Promise.all(controls.map(health))).toEqual([
      { status: 200, leader: 1 },
      { status: 503, leader: 0 },
    ]);
    const { taskUid } = await api.ok<{ taskUid: number }>("POST", "/indexes", {
      uid: "films",
      primaryKey: "id",
    });
    await api.waitForTask(taskUid);
    acknowledged.add(taskUid);
    for (let id = 1; id <= 3; id++) await writeUntilTaken(id, 10_000);
    await expectReads(3);
    // What only the leader knows is answered by it, whichever is asked; what the store knows, by the standby itself.
    const status = await miroir(["ctl", "status", "--json", "--server", control(1).address]);
    expect(status.stderr).toBe("");
    expect(JSON.parse(status.stdout)).toMatchObject({ proxies: [{ proxyId: "proxy-0" }] });
    const ask = async (method: string) => {
      const answer = await request(`http://${control(1).address}/miroir.v1.${method}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    };
    for (const [method, part] of [
      ["TaskService/ListTasks", '"type":"TASK_TYPE_INDEX_CREATION"'],
      ["IndexService/ListIndexes", '"uid":"films"'],
      ["TopologyService/GetTopology", '"contentHash"'],
    ] as const) {
      const { status: code, text } = await ask(method);
      expect({ method, code }).toEqual({ method, code: 200 });
      expect(text).toContain(part);
    }
    const pointed = await ask("ClusterService/GetStatus");
    expect(pointed.status).toBe(503);
    expect(JSON.parse(pointed.text)).toMatchObject({
      code: "unavailable",
      message: `this control process stands by; ${control(0).address} leads`,
      details: [{ type: "miroir.v1.NotLeader", debug: { leaderAddress: control(0).address } }],
    });
    const listed = await miroir(["ctl", "control", "list", "--json", "--server", control(1).address]);
    expect(JSON.parse(listed.stdout)).toMatchObject({
      replicas: [
        { address: control(0).address, leader: true },
        { address: control(1).address, leader: false },
      ],
    });
    control(1).process.child.kill("SIGTERM");
    expect((await control(1).process.ended).code).toBe(0);
    control(1).process = startControl(control(1).address);
    await control(1).process.logged("control plane is standing by: another one leads");
    expect((await storeStatus()).leader).toMatchObject({ live: true });
  });

  it("Redis hangs: not serving within the lease, reads go on, writes are refused; back: all resumes", async () => {
    redis.signal("SIGSTOP");
    const meanwhile = writeOnce(4);
    expect(await until(stoppedServing(control(0)), LEASE_MS + 1_000, "not serving")).toBeLessThan(
      LEASE_MS + 1_000,
    );
    await meanwhile;
    // The proxy may write until its own lease has run out.
    await until(async () => !(await writeOnce(5)), 5_000, "writes are refused");
    const before = await api.ok<{ hits: unknown[] }>("POST", "/indexes/films/search", { q: "film" });
    await expectReads(before.hits.length);
    expect(await writeOnce(5)).toBe(false);
    redis.signal("SIGCONT");
    await writeUntilTaken(5, 20_000);
    await expectAllTasks();
  });

  it("Redis is killed and comes back: no acknowledged task is lost", async () => {
    await redis.kill();
    const between = writeOnce(6);
    await redis.start();
    await between;
    await writeUntilTaken(6, 20_000);
    await expectAllTasks();
    expect((await Promise.all(controls.map(health))).map(({ leader }) => leader).sort()).toEqual([0, 1]);
  });

  it("the leader is frozen: the other one leads under a higher term, and the first finds itself a standby", async () => {
    const [leading, standby] = (await serves(control(0))())
      ? [control(0), control(1)]
      : [control(1), control(0)];
    const before = (await storeStatus()).leader?.term ?? 0;
    const dump = await api.ok<{ taskUid: number }>("POST", "/dumps");
    leading.process.child.kill("SIGSTOP");
    expect(await until(serves(standby), LEASE_MS + 5_000, "the standby leads")).toBeLessThan(
      LEASE_MS + 3_000,
    );
    await writeUntilTaken(7, 20_000);
    leading.process.child.kill("SIGCONT");
    await until(async () => (await health(leading)).status === 503, 3_000, "the frozen one stands by");
    expect(await health(standby)).toEqual({ status: 200, leader: 1 });
    expect((await storeStatus()).leader?.term).toBeGreaterThan(before);
    await writeUntilTaken(8, 10_000);
    await expectAllTasks();
    // Whether the first had made its dump or not, there is one, and nothing of another.
    await until(() => succeeded(dump.taskUid), 10_000, "the dump is made");
    const { details } = await api.ok<{ details: { dumpUid: string } }>("GET", `/tasks/${dump.taskUid}`);
    const dumps = join(folder, "dumps");
    await until(async () => readdirSync(dumps).length === 1, 5_000, "there is one dump");
    expect(readdirSync(dumps)).toEqual([`${details.dumpUid}.dump`]);

    // And once more, by a death: the one that was frozen leads again, in the process that lost the lease.
    standby.process.child.kill("SIGKILL");
    expect(await until(serves(leading), LEASE_MS + 5_000, "the survivor leads")).toBeLessThan(
      LEASE_MS + 3_000,
    );
    await writeUntilTaken(9, 20_000);
    await expectAllTasks();
    const epochs = await miroir(["ctl", "status", "--json", "--server", leading.address]);
    expect(Number(JSON.parse(epochs.stdout).epoch.term)).toBe((await storeStatus()).leader?.term);

    standby.process = startControl(standby.address);
    await standby.process.logged("control plane is standing by: another one leads");
    leading.process.child.kill("SIGTERM");
    expect(await until(serves(standby), 6_000, "a clean stop hands over")).toBeLessThan(6_000);
    expect((await leading.process.ended).code).toBe(0);
    await writeUntilTaken(10, 10_000);
  });

  it("the store is emptied: the leader says so and ends; proxies keep reading and take no other cluster", async () => {
    const leading = (await serves(control(0))()) ? control(0) : control(1);
    await redis.client().flushall();
    const { code, stderr } = await leading.process.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/no longer holds cluster \S+: it was emptied/);
    const found = await api.ok<{ hits: unknown[] }>("POST", "/indexes/films/search", { q: "film" });
    expect(found.hits.length).toBeGreaterThan(0);
    leading.process = startControl(leading.address);
    await leading.process.logged("control plane is serving");
    const warned = await leading.process.logged(
      "a new cluster begins on a node that belongs to another one; if this control plane's store was lost, stop it and restore the backup",
    );
    expect(warned.otherClusters).toHaveLength(1);
    await leading.process.logged("a proxy refused a topology");
    expect(
      (await api.ok<{ hits: unknown[] }>("POST", "/indexes/films/search", { q: "film" })).hits.length,
    ).toBe(found.hits.length);
    // Until its lease ends the proxy goes on taking writes.
    await until(async () => (await write(11)).status === 503, 5_000, "writes are refused");
    expectRefusal(await write(11));
  });
});
