import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { storeLocation } from "../../../src/cli/config.js";
import { at, isMapping, mappings, passingFiles } from "./chart-files.js";
import {
  configOf,
  container,
  environmentOf,
  helmVersion,
  nameOf,
  podLabels,
  type Rendered,
  render,
} from "./render.js";

const renderings = new Map<string, Promise<Rendered>>();

/** What the chart makes of a passing file. */
function rendered(name: string): Promise<Rendered> {
  const found = renderings.get(name);
  if (found !== undefined) return found;
  const file = passingFiles().find((each) => each.name === name);
  if (file === undefined) throw new Error(`no file of values ${name}`);
  const rendering = render("--values", file.path);
  renderings.set(name, rendering);
  return rendering;
}

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
if (helmVersion === undefined || !hasRedis) {
  console.warn("helm or redis-server is not on the PATH: not every case about the chart's workloads ran");
}

describe.skipIf(helmVersion === undefined)("what the chart installs", () => {
  it("asks the processes how they are", async () => {
    const one = await rendered("keys-in-values");
    expect(container(one.workload("control"))).toMatchObject({
      startupProbe: { httpGet: { path: "/metrics", port: "grpc" } },
      livenessProbe: { httpGet: { path: "/metrics", port: "grpc" } },
      readinessProbe: { grpc: { port: 7800 } },
    });
    expect(container(one.workload("proxy"))).toMatchObject({
      livenessProbe: { httpGet: { path: "/_miroir/health", port: "http" } },
      readinessProbe: { httpGet: { path: "/_miroir/ready", port: "http" } },
      lifecycle: { preStop: { exec: { command: ["sleep", "5"] } } },
    });
    const probes = container((await rendered("three-control-replicas")).workload("control"));
    expect(probes).toMatchObject({ readinessProbe: { httpGet: { path: "/metrics", port: "grpc" } } });
  });

  it("keeps backups on a claim where one is named, and in the data folder otherwise", async () => {
    const file = passingFiles().find(({ name }) => name === "three-control-replicas");
    const claimed = await render("--values", file?.path ?? "", "--set", "control.backups.existingClaim=kept");
    expect(configOf(claimed, "control")).toMatchObject({
      dumps_dir: "/backups/dumps",
      snapshots_dir: "/backups/snapshots",
    });
    expect(container(claimed.workload("control")).volumeMounts).toContainEqual({
      name: "backups",
      mountPath: "/backups",
    });
    expect(at(claimed.workload("control"), "spec", "template", "spec", "volumes")).toContainEqual({
      name: "backups",
      persistentVolumeClaim: { claimName: "kept" },
    });
    expect(configOf(await rendered("three-control-replicas"), "control").dumps_dir).toBeUndefined();
  });

  it("protects replicas from being taken away together, where there are several", async () => {
    const one = await rendered("keys-in-a-secret");
    expect(one.has("PodDisruptionBudget", "rel-miroir-control")).toBe(false);
    expect(one.has("PodDisruptionBudget", "rel-miroir-proxy")).toBe(false);
    expect(one.has("PodDisruptionBudget", "rel-miroir-meilisearch")).toBe(true);
    const three = await rendered("three-control-replicas");
    expect(three.object("PodDisruptionBudget", "rel-miroir-control").spec).toMatchObject({
      maxUnavailable: 1,
    });
    expect((await rendered("everything")).ofKind("PodDisruptionBudget").map(nameOf)).toEqual([
      "a-name-of-forty-characters-and-no-more-x-meilisearch",
      "a-name-of-forty-characters-and-no-more-x-proxy",
    ]);
  });

  it("leaves the number of proxies to the autoscaler where there is one", async () => {
    const scaled = await rendered("autoscaled");
    const proxy = scaled.workload("proxy");
    expect(proxy.kind).toBe("Deployment");
    expect(proxy.spec).not.toHaveProperty("replicas");
    const [scaler] = scaled.ofKind("HorizontalPodAutoscaler");
    expect(scaler).toMatchObject({
      apiVersion: "autoscaling/v2",
      spec: { scaleTargetRef: { kind: "Deployment", name: nameOf(proxy) }, minReplicas: 2, maxReplicas: 2 },
    });
    expect(mappings(at(scaler, "spec", "metrics")).map((metric) => at(metric, "resource", "name"))).toEqual([
      "cpu",
      "memory",
    ]);
    expect((await rendered("keys-in-values")).workload("proxy").spec).toMatchObject({ replicas: 2 });
  });

  it("passes on a Redis password whatever is in it", async () => {
    const password = at(
      passingFiles().find(({ name }) => name === "three-control-replicas")?.values,
      "redis",
      "auth",
      "password",
    );
    const three = await rendered("three-control-replicas");
    expect(storeLocation(configOf(three, "control"))).toMatchObject({ password });
    expect(environmentOf(three, three.workload("redis")).REDIS_PASSWORD).toBe(password);
  });

  it("writes the URL of every kind of Redis, and shows proxies none of its passwords", async () => {
    const tls = configOf(await rendered("external-redis-tls"), "control");
    expect(storeLocation(tls)).toEqual({
      kind: "redis",
      servers: { kind: "single", server: { host: "redis.example.com", port: 6380 } },
      tls: true,
      username: "miroir@search",
      password: "existing-redis-auth-password",
      sentinelPassword: undefined,
      database: 3,
      keyPrefix: "search",
      waitReplicas: 0,
    });
    expect(tls.store_tls).toEqual({
      ca: "/etc/miroir-store-ca/ca.crt",
      cert: "/etc/miroir-store-client/tls.crt",
      key: "/etc/miroir-store-client/tls.key",
    });
    expect(storeLocation(configOf(await rendered("external-redis-tls"), "proxy"))).toMatchObject({
      username: undefined,
      password: undefined,
    });
    expect(storeLocation(configOf(await rendered("autoscaled"), "control"))).toMatchObject({
      servers: { kind: "sentinel", primaryName: "miroir", sentinels: [{}, {}, {}] },
      waitReplicas: 1,
    });
    expect(storeLocation(configOf(await rendered("external-redis-cluster"), "control"))).toMatchObject({
      servers: { kind: "cluster", seeds: [{}, { port: 6379 }, { host: "fd00::1" }] },
      password: "short/@",
    });
    const open = await rendered("external-redis-open");
    expect(environmentOf(open, open.workload("control"))).not.toHaveProperty("MIROIR_STORE");
  });

  it("deals nodes out over the groups in turn", async () => {
    const nodes = configOf(await rendered("high-availability"), "control").nodes;
    expect(nodes.map(({ id, group }) => [id, group])).toEqual([
      ["node-0", 0],
      ["node-1", 1],
      ["node-2", 0],
      ["node-3", 1],
    ]);
  });

  it("cuts a name that is too long so that two releases stay apart", async () => {
    const flags = ["--set", "secrets.existingSecret=keys", "--set"];
    const longer = await Promise.all(
      ["a", "b"].map((end) => render(...flags, `nameOverride=${"x".repeat(38)}-${end}`)),
    );
    const cut = longer.map((each) => nameOf(each.workload("meilisearch")));
    expect(new Set(cut).size).toBe(2);
    for (const name of cut) expect(name.length).toBeLessThanOrEqual(52);
  });

  it("replaces pods when what they run on changes, and leaves nodes alone otherwise", async () => {
    const keys = {
      "secrets.masterKey": "a-master-key-of-32-characters-01",
      "secrets.adminKey": "an-admin-key-of-32-characters-02",
      "secrets.nodeKey": "a-node-key-of-32-characters-0003",
      "redis.auth.password": "a-redis-password-of-32-letters-4",
      "store.kind": "redis",
      "redis.enabled": "true",
    };
    const templates = async (change: Readonly<Record<string, string>>) => {
      const flags = Object.entries({ ...keys, ...change }).flatMap(([key, text]) => [
        "--set",
        `${key}=${text}`,
      ]);
      const made = await render(...flags);
      return new Map(
        ["control", "proxy", "meilisearch", "redis"].map((component) => [
          component,
          JSON.stringify(at(made.workload(component), "spec", "template")),
        ]),
      );
    };
    const before = await templates({});
    const replaced = async (change: Readonly<Record<string, string>>) => {
      const after = await templates(change);
      return [...before.keys()].filter((component) => before.get(component) !== after.get(component));
    };
    expect(await replaced({})).toEqual([]);
    expect(await replaced({ "cluster.logLevel": "debug" })).toEqual(["control", "proxy"]);
    expect(await replaced({ "secrets.masterKey": "another-master-key-of-characters" })).toEqual([
      "control",
      "proxy",
    ]);
    expect(await replaced({ "secrets.nodeKey": "another-node-key-of-32-characters" })).toEqual([
      "control",
      "proxy",
      "meilisearch",
    ]);
    expect(await replaced({ "redis.auth.password": "another-password-of-32-character" })).toEqual([
      "control",
      "redis",
    ]);
    expect(await replaced({ "redis.maxMemory": "2gb" })).toEqual(["redis"]);
    expect(await replaced({ "image.tag": "9.9.9" })).toEqual(["control", "proxy"]);
  });

  it("keeps Redis durable and never lets it drop what it has", async () => {
    const files = (await rendered("three-control-replicas")).object("ConfigMap", "rel-miroir-redis").data;
    const settings = String(at(files, "redis.conf"));
    for (const line of [
      "appendonly yes",
      "appendfsync always",
      "maxmemory-policy noeviction",
      "maxmemory 1gb",
    ]) {
      expect(settings.split("\n")).toContain(line);
    }
  });

  it.skipIf(!hasRedis)("starts Redis with its password in a file of its own, whatever is in it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "miroir-chart-redis-"));
    const socket = join(folder, "socket");
    const files = (await rendered("three-control-replicas")).object("ConfigMap", "rel-miroir-redis").data;
    if (!isMapping(files)) throw new Error("the ConfigMap is empty");
    for (const name of ["etc", "run", "data"]) mkdirSync(join(folder, name));
    for (const [name, text] of Object.entries(files)) {
      const moved = String(text)
        .replaceAll("/etc/redis", join(folder, "etc"))
        .replaceAll("/run/redis", join(folder, "run"))
        .replace("dir /data", `dir ${join(folder, "data")}`);
      const ours = name === "redis.conf" ? `port 0\nunixsocket ${socket}\n` : "";
      writeFileSync(join(folder, "etc", name), moved + ours);
    }
    const password = `p@ss:/?#[]%20+&= "\\'$(HOME)\`é`;
    const server = spawn("sh", [join(folder, "etc", "start.sh")], {
      env: { ...process.env, REDIS_PASSWORD: password, REDISCLI_AUTH: password },
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      let log = "";
      for await (const text of server.stdout) {
        log += String(text);
        if (log.includes("ready to accept connections")) break;
      }
      const ask = (auth: string, ...command: readonly string[]) =>
        spawnSync("redis-cli", ["-s", socket, ...command], {
          env: { ...process.env, REDISCLI_AUTH: auth },
          encoding: "utf8",
        }).stdout.trim();
      expect(ask(password, "ping")).toBe("PONG");
      expect(ask("another", "ping")).toContain("NOAUTH");
      expect(ask(password, "config", "get", "appendfsync")).toBe("appendfsync\nalways");
      expect(ask(password, "config", "get", "maxmemory-policy")).toBe("maxmemory-policy\nnoeviction");
    } finally {
      server.kill("SIGKILL");
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
      rmSync(folder, { recursive: true });
    }
  });

  it("lets nobody but the fleet reach nodes and Redis where network policies are on", async () => {
    const everything = await rendered("everything");
    const name = "a-name-of-forty-characters-and-no-more-x";
    const from = (component: string) =>
      mappings(at(everything.object("NetworkPolicy", `${name}-${component}`), "spec", "ingress")).flatMap(
        (rule) =>
          mappings(rule.from).flatMap((peer) =>
            everything
              .selected(at(peer, "podSelector", "matchLabels"))
              .map((workload) => podLabels(workload)["app.kubernetes.io/component"]),
          ),
      );
    expect(from("redis")).toEqual(["control"]);
    expect(from("meilisearch")).toEqual(["proxy", "control"]);
    expect(from("control")).toEqual(["proxy"]);
    expect(from("proxy")).toEqual(["proxy"]);
  });
});
