import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { findFreePort } from "../../../src/nodes/ports.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { checkStore } from "../../../src/store/inspect.js";
import type { RedisBackend } from "../../../src/store/redis/commit.js";
import { RedisConnection, type RedisTls } from "../../../src/store/redis/connection.js";
import { Keyspace } from "../../../src/store/redis/keyspace.js";
import type { RedisTaskStoreOptions } from "../../../src/store/redis/redis-task-store.js";
import {
  type KeyspaceVersion,
  keyspaceVersions,
  markImported,
  markImporting,
  migrateKeyspace,
} from "../../../src/store/redis/schema.js";
import { readScripts } from "../../../src/store/redis/script-library.js";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import {
  ConflictError,
  StoreAlteredError,
  StoreForeignError,
  StoreHalfImportedError,
  StoreTooNewError,
  StoreUnavailableError,
  StoreUnsuitableError,
  type TaskStore,
} from "../../../src/store/task-store.js";
import { openRedisStore } from "../../support/open-redis-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { loadParts, smallLoad } from "./fill-store.js";
import { lead, scope } from "./harness.js";

describeWithRedis("opening a store on Redis", () => {
  const stores: TaskStore[] = [];
  const connections: RedisConnection[] = [];
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis();
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    for (const connection of connections.splice(0)) await connection.close();
  });
  afterAll(() => server.stop());

  const open = async (url: string, options: Partial<RedisTaskStoreOptions> = {}): Promise<TaskStore> => {
    const store = await openRedisStore(url, options);
    stores.push(store);
    return store;
  };
  const refusal = (url: string, options: Partial<RedisTaskStoreOptions> = {}): Promise<Error> =>
    open(url, options).then(
      () => expect.fail("it opened"),
      (error: Error) => error,
    );
  const warningsOf = async (url: string): Promise<string[]> => {
    const warnings: string[] = [];
    await open(url, { onWarning: (text) => warnings.push(text) });
    return warnings;
  };
  const backend = (url: string): RedisBackend => {
    const location = parseStoreUrl(url);
    if (location.kind !== "redis") throw new Error("not a Redis URL");
    const { clock, timers } = createSystemWorld();
    const connection = new RedisConnection({ location, clock, timers });
    connections.push(connection);
    return { connection, keys: new Keyspace(location.keyPrefix), now: () => "" };
  };
  const prefixOf = (url: string): string => `{${new URL(url).searchParams.get("key_prefix")}}`;
  const everything = async (): Promise<unknown[]> => {
    const client = server.client();
    const keys = (await client.keys("*")).toSorted();
    return Promise.all(keys.map(async (key) => [key, await client.dumpBuffer(key)]));
  };

  describe("looks at the server", () => {
    afterEach(async () => {
      const client = server.client();
      await client.config("SET", "maxmemory-policy", "noeviction");
      await client.config("SET", "appendfsync", "always");
      await client.config("SET", "appendonly", "yes");
    });

    it("and has nothing to say about a good one", async () => {
      expect(await warningsOf(server.freshUrl())).toEqual([]);
    });

    it("and refuses one that drops rows when its memory is full", async () => {
      for (const policy of ["allkeys-lru", "allkeys-lfu", "allkeys-random"]) {
        await server.client().config("SET", "maxmemory-policy", policy);
        const url = server.freshUrl();
        const before = await everything();
        const error = await refusal(url);
        expect(error).toBeInstanceOf(StoreUnsuitableError);
        expect(error.message).toContain(`${policy}, by which it drops any row`);
        expect(error.message).toContain("Set maxmemory-policy to noeviction");
        expect(await everything()).toEqual(before);
      }
    });

    it("and warns, once, of what puts rows at risk", async () => {
      const client = server.client();
      await client.config("SET", "maxmemory-policy", "volatile-ttl");
      await client.config("SET", "appendfsync", "no");
      expect(await warningsOf(server.freshUrl())).toEqual([
        expect.stringContaining("maxmemory-policy is volatile-ttl"),
        expect.stringContaining("appendfsync is no"),
      ]);
      await client.config("SET", "maxmemory-policy", "noeviction");
      await client.config("SET", "appendonly", "no");
      const warnings = await warningsOf(server.freshUrl());
      expect(warnings).toEqual([expect.stringContaining("no append-only file")]);
      expect(warnings[0]).toContain(`redis://127.0.0.1:${server.port}`);
    });

    it("and says what an ACL keeps it from seeing", async () => {
      const client = server.client();
      await client.call("ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", "-config");
      const url = server.freshUrl().replace("//", "//limited:pw@");
      expect(await warningsOf(url)).toEqual([
        expect.stringMatching(/refuses CONFIG GET .*NOPERM.*see to it yourself/),
      ]);
      // Without it, the eviction policy is still known.
      await client.config("SET", "maxmemory-policy", "allkeys-lru");
      expect(await refusal(url)).toBeInstanceOf(StoreUnsuitableError);
      await client.call("ACL", "DELUSER", "limited");
    });

    it("and needs no more of it than the reference says", async () => {
      const reference = readFileSync(
        new URL("../../../docs/reference/redis-keyspace.md", import.meta.url),
        "utf8",
      );
      const granted = /```\n(\+ping[^`]*)```/.exec(reference)?.[1]?.trim().split(/\s+/) ?? [];
      expect(granted.length).toBeGreaterThan(20);
      for (const { name, source } of readScripts().values()) {
        for (const [, command = ""] of source.matchAll(/redis\.p?call\('(\w+)'/g)) {
          expect(granted, `a command of ${name}.lua`).toContain(`+${command.toLowerCase()}`);
        }
      }
      const client = server.client();
      await client.call("ACL", "LOG", "RESET");
      const url = server.freshUrl();
      const prefix = prefixOf(url);
      await client.call("ACL", "SETUSER", "narrow", "on", ">pw", `~${prefix}:*`, `&${prefix}:*`, ...granted);
      const narrow = url.replace("//", "//narrow:pw@");
      expect(await warningsOf(narrow)).toEqual([]);
      const store = await open(narrow);
      for (const part of loadParts(store, await lead(store), smallLoad)) await part.write();
      const rows = [];
      for await (const record of store.transfer.export()) rows.push(record);
      expect(rows.length).toBeGreaterThan(50);
      const location = parseStoreUrl(narrow);
      expect((await checkStore({ location, world: createSystemWorld() })).findings).toEqual([]);
      await store.close();
      expect(await client.call("ACL", "LOG")).toEqual([]);
      await client.call("ACL", "DELUSER", "narrow");
    });

    it("and refuses an old server and a sentinel", async () => {
      for (const [info, message] of [
        ["redis_version:6.2.14\r\nredis_mode:standalone", /Redis 6\.2\.14\. Use Redis 7\.0 or later/],
        ["redis_version:7.0.15\r\nredis_mode:sentinel", /redis\+sentinel:\/\//],
      ] as const) {
        const port = await findFreePort();
        const stand = await startStandIn(port, `${info}\r\nloading:0\r\nrole:master\r\n`);
        const error = await refusal(`redis://127.0.0.1:${port}`);
        expect(error).toBeInstanceOf(StoreUnsuitableError);
        expect(error.message).toMatch(message);
        stand.close();
      }
    });
  });

  describe("looks at the keyspace", () => {
    const two: readonly KeyspaceVersion[] = [
      ...keyspaceVersions,
      { version: keyspaceVersions.length + 1, name: "later", definition: "of a later program" },
    ];

    it("and refuses, untouched, what a later program wrote", async () => {
      const url = server.freshUrl();
      await migrateKeyspace(backend(url), two);
      const before = await everything();
      const error = await refusal(url);
      expect(error).toBeInstanceOf(StoreTooNewError);
      expect(error.message).toMatch(/schema version 2.*versions up to 1.*release that wrote it/s);
      expect(await everything()).toEqual(before);
    });

    it("and brings what an earlier program wrote up to date", async () => {
      const url = server.freshUrl();
      const store = await open(url);
      await store.lease.acquire({ scope, holder: "a", ttlMs: 60_000 });
      await migrateKeyspace(backend(url), two);
      const fields = await server.client().hgetall(`${prefixOf(url)}:schema_version`);
      expect(fields).toMatchObject({ version: "2", "name:1": "keyspace", "name:2": "later" });
      expect(await store.lease.current(scope)).toMatchObject({ holder: "a" });
    });

    it("and refuses, untouched, where a version it records is another one", async () => {
      const url = server.freshUrl();
      await open(url);
      await server.client().hset(`${prefixOf(url)}:schema_version`, "checksum:1", "0123456789abcdef");
      const before = await everything();
      const error = await refusal(url);
      expect(error).toBeInstanceOf(StoreAlteredError);
      expect(error.message).toMatch(/version 1 .*0123456789ab….*left untouched/s);
      expect(await everything()).toEqual(before);
    });

    it("and refuses another program's key, untouched", async () => {
      for (const put of [
        (key: string) => server.client().set(key, "7"),
        (key: string) => server.client().hset(key, "version", "one"),
        (key: string) => server.client().rpush(key, "1"),
      ]) {
        const url = server.freshUrl();
        await put(`${prefixOf(url)}:schema_version`);
        const before = await everything();
        expect(await refusal(url)).toBeInstanceOf(StoreForeignError);
        expect(await everything()).toEqual(before);
      }
    });

    it("and refuses a half imported store, until the import has finished", async () => {
      const url = server.freshUrl();
      await open(url);
      await markImporting(backend(url));
      const error = await refusal(url);
      expect(error).toBeInstanceOf(StoreHalfImportedError);
      expect(error.message).toMatch(
        /delete the store \(every key that begins with \{.*\}\) and import again/,
      );
      await expect(markImporting(backend(url))).rejects.toBeInstanceOf(ConflictError);
      await markImported(backend(url));
      await expect(open(url)).resolves.toBeDefined();
    });

    it("and is made by one of many programs that start at once", async () => {
      const url = server.freshUrl();
      const opened = await Promise.all(Array.from({ length: 8 }, () => open(url)));
      const holders = await Promise.all(
        opened.map((store, i) => store.lease.acquire({ scope, holder: `holder ${i}`, ttlMs: 60_000 })),
      );
      expect(holders.filter((lease) => lease !== undefined)).toHaveLength(1);
      const fields = await server.client().hgetall(`${prefixOf(url)}:schema_version`);
      expect(Object.keys(fields)).toHaveLength(4);
    });

    it("and lets releases that start at once agree: the older refuses what the newer made", async () => {
      for (let round = 0; round < 10; round++) {
        const url = server.freshUrl();
        const outcomes = await Promise.allSettled([
          migrateKeyspace(backend(url), two),
          migrateKeyspace(backend(url)),
          migrateKeyspace(backend(url), two),
        ]);
        expect(await server.client().hget(`${prefixOf(url)}:schema_version`, "version")).toBe("2");
        for (const [index, outcome] of outcomes.entries()) {
          if (outcome.status === "rejected") {
            expect(index).toBe(1);
            expect(outcome.reason).toBeInstanceOf(StoreTooNewError);
          }
        }
      }
    });
  });

  describe("over TLS", () => {
    let directory: string;
    let secure: RedisServer | undefined;
    let tlsPort: number;

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), "miroir-tls-"));
      makeCertificates(directory);
      tlsPort = await findFreePort();
      secure = await startRedis({
        args: [
          ...["--tls-port", String(tlsPort), "--tls-cert-file", join(directory, "server.pem")],
          ...[
            "--tls-key-file",
            join(directory, "server.key"),
            "--tls-ca-cert-file",
            join(directory, "ca.pem"),
          ],
        ],
      }).catch((error: unknown) => {
        process.stderr.write(`Redis without TLS (${String(error)}): its cases are skipped\n`);
        return undefined;
      });
    });
    afterAll(async () => {
      await secure?.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    const url = (): string => `rediss://127.0.0.1:${tlsPort}?key_prefix=tls`;
    const tls = (...names: ("ca" | "cert" | "key")[]): { tls: RedisTls } => {
      const files = { ca: "ca.pem", cert: "client.pem", key: "client.key" };
      return {
        tls: Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, files[name]))])),
      };
    };

    it("works with the right certificates, and only with them", async (context) => {
      if (secure === undefined) return context.skip();
      const store = await open(url(), tls("ca", "cert", "key"));
      expect(await store.lease.acquire({ scope, holder: "a", ttlMs: 60_000 })).toMatchObject({ term: 1 });
      const unknownIssuer = await refusal(url(), { ...tls("cert", "key"), deadlineMs: 600 });
      expect(unknownIssuer).toBeInstanceOf(StoreUnavailableError);
      expect(unknownIssuer.message).toMatch(/certificate/);
      const nameless = await refusal(url(), { ...tls("ca"), deadlineMs: 600 });
      expect(nameless).toBeInstanceOf(StoreUnavailableError);
      const plain = await refusal(url().replace("rediss", "redis"), { deadlineMs: 600 });
      expect(plain).toMatchObject({ outcome: "certainly-aborted" });
      await secure.kill();
      await secure.start();
      expect(await store.lease.current(scope)).toMatchObject({ holder: "a" });
    });
  });
});

/** A server that answers INFO with `info` and everything else with OK. */
function startStandIn(port: number, info: string): Promise<{ close(): void }> {
  const standIn = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      // Requests are arrays of bulk strings; each begins with *.
      for (const request of data.toString().split(/(?=\*\d+\r\n)/)) {
        if (/\r\ninfo\r\n/i.test(request)) socket.write(`$${info.length}\r\n${info}\r\n`);
        else if (/\r\nconfig\r\n/i.test(request)) socket.write("*0\r\n");
        else socket.write("+OK\r\n");
      }
    });
  });
  return new Promise((resolve) => standIn.listen(port, "127.0.0.1", () => resolve(standIn)));
}

/** A certificate authority, and certificates by it for 127.0.0.1 and for a client. */
function makeCertificates(directory: string): void {
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=test ca",
  );
  for (const name of ["server", "client"]) {
    openssl(
      ...["req", "-x509", ...key, "-keyout", `${name}.key`, "-out", `${name}.pem`, "-days", "2"],
      ...["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", `/CN=${name}`],
      ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
    );
  }
}
