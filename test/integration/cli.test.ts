import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";
import { miroir, type Running, spawnMiroir } from "./cli-process.js";

const folder = mkdtempSync(join(tmpdir(), "miroir-cli-"));
const ADMIN_KEY = "admin-key-0123456789";
const NOWHERE = "127.0.0.1:9";

// Every command is a process, which takes seconds to load on a busy machine.
vi.setConfig({ testTimeout: 90_000 });

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("miroir ctl", () => {
  let fleet: Fleet;
  let failedTask: number;

  beforeAll(async () => {
    fleet = await startFleet({ nodes: 3, replicationFactor: 2, shards: 8 });
    const added = await fleet.api.ok<{ taskUid: number }>(
      "POST",
      "/indexes/films/documents?primaryKey=id",
      Array.from({ length: 20 }, (_, id) => ({ id, title: `Film ${id}` })),
    );
    await fleet.api.waitForTask(added.taskUid);
    const refused = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", [
      { name: 1 },
    ]);
    failedTask = refused.taskUid;
    await expect(fleet.api.waitForTask(failedTask)).rejects.toThrow("failed");
  });
  afterAll(() => fleet.stop());

  const ctl = (...args: string[]) => miroir(["ctl", ...args, "--server", fleet.controlAddress()]);

  /** What a command prints for people, and what it prints for programs. */
  async function both(...args: string[]) {
    const [people, programs] = await Promise.all([ctl(...args), ctl(...args, "--json")]);
    for (const { code, stderr } of [people, programs])
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return { text: people.stdout, json: JSON.parse(programs.stdout) };
  }

  it("status: nodes, groups, shards, epoch, and what each proxy acknowledged", async () => {
    const { text, json } = await both("status");
    expect(text).toMatch(/^cluster \S+ {2}epoch \d+\.\d+ {2}version \d+\.\d+\.\d+$/m);
    expect(text).toContain("1 indexes, 8 shards: 0 degraded, 0 unavailable");
    for (let at = 0; at < 3; at++) {
      expect(text).toMatch(new RegExp(`^node-${at} +0 +active +${fleet.node(at).url} +1\\.50\\.\\d+`, "m"));
    }
    expect(text).toMatch(/^proxy-0 +http:\S+ +\d+\.\d+ /m);
    expect(json).toMatchObject({ indexes: "1", shards: "8", unavailableShards: "0" });
    expect(json.nodes).toHaveLength(3);
    expect(json.proxies).toMatchObject([{ proxyId: "proxy-0", writer: true }]);
  });

  it("index list and index show: the catalogue, and where each shard is", async () => {
    const list = await both("index", "list");
    expect(list.text).toMatch(/^films +id +8 +\S+ +\d+ +\d+ +3 in sync/m);
    expect(list.json).toMatchObject([{ uid: "films", primaryKey: "id", shards: 8 }]);
    const shown = await both("index", "show", "films");
    expect(shown.text).toContain("index films  primary key id");
    expect(shown.text.match(/^ *[0-7] {2}node-\d, node-\d$/gm)).toHaveLength(8);
    expect(shown.json.uid).toBe("films");
    expect(shown.json.placement).toHaveLength(8);
  });

  it("task list and task show: newest first, with what became of them on the nodes", async () => {
    const list = await both("task", "list");
    expect(list.text).toMatch(/^ *\d+ {2}films +documentAdditionOrUpdate +failed .*missing_document_id$/m);
    expect(list.json.tasks[0]).toMatchObject({ uid: `${failedTask}`, indexUid: "films" });
    const failed = await ctl("task", "list", "--status", "failed", "--limit", "5", "--json");
    expect(JSON.parse(failed.stdout).tasks).toHaveLength(1);
    const shown = await both("task", "show", `${failedTask}`);
    expect(shown.text).toContain(`task ${failedTask}  documentAdditionOrUpdate  index films  failed`);
    expect(shown.text).toContain("error missing_document_id: ");
  });

  it("topology show, and explain: the shard of a document and its replicas", async () => {
    const topology = await both("topology", "show");
    expect(topology.text).toContain("replication factor 2  default shards 8");
    expect(topology.json).toMatchObject({ replicationFactor: 2, indexes: [{ uid: "films" }] });
    const explained = await both("explain", "films", "7");
    const shard = /^document 7 of films is in shard (\d)$/m.exec(explained.text)?.[1];
    expect(explained.text.match(/^node-\d +0 +in sync +http:\S+ +m\w{8}_\d+$/gm)).toHaveLength(2);
    expect(`${explained.json.shard}`).toBe(shard);
    expect(explained.json.replicas).toHaveLength(2);
  });

  it("ends with 4 for what does not exist", async () => {
    const [index, document, task] = await Promise.all([
      ctl("index", "show", "nowhere"),
      ctl("explain", "nowhere", "7"),
      ctl("task", "show", "4000000"),
    ]);
    expect([index.code, document.code, task.code]).toEqual([4, 4, 4]);
    expect(index.stderr).toMatch(/^miroir: .*nowhere/);
    expect(document.stderr).toMatch(/^miroir: .*nowhere/);
    expect(task.stderr).toMatch(/^miroir: .*4000000/);
  });

  it("ends with 3 where no server answers, with 1 at a server of another kind, and says which", async () => {
    const [absent, other] = await Promise.all([
      miroir(["ctl", "status"], { MIROIR_SERVER: NOWHERE }),
      miroir(["ctl", "status", "--server", fleet.api.url]),
    ]);
    expect([absent.code, other.code]).toEqual([3, 1]);
    expect(absent.stderr).toContain(`miroir: the control plane at http://${NOWHERE} does not answer`);
    expect(other.stderr).toContain(`${fleet.api.url} is no control plane`);
    for (const { stdout, stderr } of [absent, other]) {
      expect(stdout).toBe("");
      expect(stderr).not.toContain("    at ");
    }
  });

  it("healthcheck: 0 at a ready proxy, 3 where nothing answers", async () => {
    const address = new URL(fleet.api.url).host;
    const [ready, absent] = await Promise.all([
      miroir(["healthcheck"], { MIROIR_HTTP: address }),
      miroir(["healthcheck", "--http", NOWHERE]),
    ]);
    expect(ready).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(absent.code).toBe(3);
    expect(absent.stderr).toContain(`http://${NOWHERE}/_miroir/ready does not answer`);
  });
});

describe("miroir dev, with nodes of the operator's", () => {
  let nodes: StartedNodes;
  const url = (at: number): string => nodes.nodes[at]?.url ?? "";
  const dev = (name: string, ...args: string[]) => [
    "dev",
    ...["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", join(folder, name)],
    ...["--no-sample", "--check", "--node-key", DEFAULT_MASTER_KEY],
    ...args,
  ];

  beforeAll(async () => {
    nodes = await startNodes(2);
  });
  afterAll(() => nodes.stop());

  it("--check takes the fleet through its job and ends with 0; the same data without one of the nodes is refused", async () => {
    const { code, stdout, stderr } = await miroir(dev("checked", "--node", url(0), "--node", url(1)));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("the 2 nodes that you named");
    expect(stdout).toContain("check passed");
    const other = await miroir(dev("checked", "--node", url(0)));
    expect({ code: other.code, stdout: other.stdout }).toEqual({ code: 2, stdout: "" });
    expect(other.stderr).toContain(`holds a fleet with other nodes: node-1 at ${url(1)}`);
  });

  it("refuses an unreachable node, one server named twice, and a foreign key, each in plain words", async () => {
    const twice = url(0).replace("127.0.0.1", "localhost");
    const [unreachable, same, foreign] = await Promise.all([
      miroir(dev("unreachable", "--node", url(0), "--node", `http://${NOWHERE}`)),
      miroir(dev("same", "--node", url(0), "--node", twice)),
      miroir(dev("foreign", "--node", url(1), "--node-key", "a-key-of-another-server")),
    ]);
    expect(unreachable.code).toBe(3);
    expect(unreachable.stderr).toMatch(/^miroir: node node-1 at http:\/\/127\.0\.0\.1:9 cannot be reached/m);
    expect(same.code).toBe(2);
    expect(same.stderr).toContain("are the same Meilisearch server");
    expect(same.stderr).toContain(url(0));
    expect(same.stderr).toContain(twice);
    expect(foreign.code).toBe(5);
    expect(foreign.stderr).toContain("refuses the configured key");
    for (const { stderr } of [unreachable, same, foreign]) expect(stderr).not.toContain("    at ");
  });

  it("refuses a busy port before any node is touched, and names the flag", async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    const bound = busy.address();
    const address = `127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
    try {
      const [http, grpc, each] = await Promise.all([
        miroir(dev("busy", "--node", url(0), "--http", address)),
        miroir(dev("busy", "--node", url(0), "--grpc", address)),
        miroir(dev("busy", "--node", url(0), "--http", "127.0.0.1:7", "--grpc", "127.0.0.1:7")),
      ]);
      for (const [flag, { code, stdout, stderr }] of [
        ["--http", http],
        ["--grpc", grpc],
      ] as const) {
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
        expect(stderr).toContain(
          `${address} is in use by another program; choose another with ${flag} HOST:PORT`,
        );
      }
      expect(each.code).toBe(2);
      expect(each.stderr).toContain("--http and --grpc are both 127.0.0.1:7");
    } finally {
      busy.close();
    }
  });
});

describe("miroir control and miroir proxy as processes", () => {
  const running: Running[] = [];
  let nodes: StartedNodes;

  beforeAll(async () => {
    nodes = await startNodes(1);
  });
  afterAll(async () => {
    for (const { child } of running) child.kill("SIGKILL");
    await nodes.stop();
  });

  const start = (...args: string[]): Running => {
    const started = spawnMiroir(args, { MIROIR_ADMIN_KEY: ADMIN_KEY });
    running.push(started);
    return started;
  };

  it("serve together, let requests under way finish on SIGTERM, and end with 0", async () => {
    const key = ["--node-key", DEFAULT_MASTER_KEY];
    const control = start(
      ...["control", "--grpc", "127.0.0.1:0", "--data-dir", join(folder, "control")],
      ...["--node", nodes.nodes[0]?.url ?? "", ...key],
    );
    const { address } = await control.logged("control plane is serving");
    const proxy = start("proxy", "--http", "127.0.0.1:0", "--control", String(address));
    const { url } = await proxy.logged("proxy is serving");
    const api = meilisearchHttp(String(url));
    const [none, wrong, right, health] = await Promise.all([
      miroir(["ctl", "status", "--server", String(address)]),
      miroir(["ctl", "status", "--server", String(address), "--admin-key", "another-key-0123456789"]),
      miroir(["ctl", "status", "--server", String(address), "--json"], { MIROIR_ADMIN_KEY: ADMIN_KEY }),
      untilHealthy(new URL(String(url)).host),
    ]);
    expect([none.code, wrong.code, right.code, health]).toEqual([5, 5, 0, 0]);
    expect(none.stderr).toContain("refused the admin key");
    const { taskUid } = await api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", [{ id: 1 }]);
    await api.waitForTask(taskUid);

    const call = await slowPost(
      `http://${String(address)}/miroir.v1.ClusterService/GetStatus`,
      "{}",
      `Bearer ${ADMIN_KEY}`,
    );
    control.child.kill("SIGTERM");
    await control.logged("stopping");
    expect(await call.finish()).toMatchObject({ status: 200 });
    expect((await control.ended).code).toBe(0);

    const search = await slowPost(`${String(url)}/indexes/films/search`, '{"q": ""}');
    proxy.child.kill("SIGTERM");
    await proxy.logged("stopping");
    const found = await search.finish();
    expect(found).toMatchObject({ status: 200, text: expect.stringContaining('"hits":[{"id":1}]') });
    expect((await proxy.ended).code).toBe(0);
  });

  it("a proxy without a control plane answers that it is not ready, and stops when told to", async () => {
    const proxy = start("proxy", "--http", "127.0.0.1:0", "--control", NOWHERE);
    const { url } = await proxy.logged("proxy is serving");
    const health = await miroir(["healthcheck", "--http", new URL(String(url)).host]);
    expect(health.code).toBe(1);
    expect(health.stderr).toContain("/_miroir/ready answered 503");
    proxy.child.kill("SIGTERM");
    expect((await proxy.ended).code).toBe(0);
  });
});

/** The exit code of `miroir healthcheck` once the proxy had time to get its topology. */
async function untilHealthy(address: string): Promise<number | null> {
  for (let left = 10; ; left--) {
    const { code } = await miroir(["healthcheck", "--http", address]);
    if (code === 0 || left === 0) return code;
  }
}

/** Sends the head of a request, and its body only on `finish`: the server has the request under way in between. */
async function slowPost(url: string, body: string, authorization?: string) {
  const outgoing = request(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      expect: "100-continue",
      ...(authorization === undefined ? {} : { authorization }),
    },
  });
  const answer = new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode, text }));
    });
  });
  const taken = new Promise<void>((resolve) => outgoing.once("continue", () => resolve()));
  outgoing.flushHeaders();
  await Promise.race([taken, answer]);
  return {
    finish: () => {
      outgoing.end(body);
      return answer;
    },
  };
}
