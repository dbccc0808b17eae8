import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { checkStore } from "../../../src/store/inspect.js";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { describeAdminSessions } from "./cases/admin-sessions.js";
import { describeAliases } from "./cases/aliases.js";
import { describeFencing } from "./cases/fencing.js";
import { describeIdempotency } from "./cases/idempotency.js";
import { describeJobsModel } from "./cases/jobs-model.js";
import { describeLeases } from "./cases/leases.js";
import { describeListing } from "./cases/listing.js";
import { describeRateLimits } from "./cases/rate-limits.js";
import { describeRetention } from "./cases/retention.js";
import { describeScopedKeys } from "./cases/scoped-keys.js";
import { describeSessions } from "./cases/sessions.js";
import { describeTransfer } from "./cases/transfer.js";
import { loadParts, smallLoad } from "./fill-store.js";
import { lead } from "./harness.js";
import { redisStores } from "./redis-factory.js";

/** Commands whose cost grows with everything that the server holds, or that touch what is not the store's. */
const forbidden = new Set(
  "KEYS SCAN FLUSHALL FLUSHDB RANDOMKEY DBSIZE SORT SELECT SWAPDB MOVE DEBUG SAVE BGSAVE SHUTDOWN".split(" "),
);
/** What the server was told, by command: `lua` from within scripts. */
interface Trace {
  readonly commands: Map<string, number>;
  /** Keys without the hash tag of a store. */
  readonly strayKeys: string[];
  readonly forbidden: string[];
}

/** Reads what MONITOR prints until it is ended; counts only connections that a store made. */
class Monitor {
  readonly trace: Trace = { commands: new Map(), strayKeys: [], forbidden: [] };
  readonly #socket: Socket;
  #rest = "";

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1", () => this.#socket.write("MONITOR\r\n"));
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text: string) => {
      const lines = (this.#rest + text).split("\r\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#see(line);
    });
  }

  /** Resolves when everything up to now has been read. */
  async end(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 200));
    this.#socket.destroy();
    await once(this.#socket, "close");
  }

  #see(line: string): void {
    const match = /^\+\d+\.\d+ \[\d+ (?<source>[^\]]+)\] "(?<command>[^"]+)"(?<rest>.*)$/s.exec(line);
    if (match?.groups === undefined) return;
    const { source = "", command = "", rest = "" } = match.groups;
    const name = command.toUpperCase();
    // The suite's own look at indexes asks for KEYS, always by this pattern.
    if (name === "KEYS" && rest.includes(":tasks:*")) return;
    const where = source === "lua" ? `lua ${name}` : name;
    this.trace.commands.set(where, (this.trace.commands.get(where) ?? 0) + 1);
    if (forbidden.has(name)) this.trace.forbidden.push(line.slice(0, 200));
    if (source === "lua") {
      const key = /^ "([^"]*)"/.exec(rest)?.[1];
      if (key !== undefined && name !== "TIME" && !/^\{[A-Za-z0-9_.-]+\}:/.test(key)) {
        this.trace.strayKeys.push(line.slice(0, 200));
      }
    }
  }
}

describeWithRedis("what a store on Redis sends", () => {
  let server: RedisServer;
  let monitor: Monitor;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "no" });
    monitor = new Monitor(server.port);
  });
  afterAll(() => server.stop());

  const factory = redisStores({
    freshUrl: () => server.freshUrl(),
    clientFor: async () => server.client(),
  });

  describe("while the suite runs", () => {
    describeFencing(factory);
    describeLeases(factory);
    describeJobsModel(factory);
    describeListing(factory);
    describeRetention(factory);
    describeAliases(factory);
    describeSessions(factory);
    describeIdempotency(factory);
    describeAdminSessions(factory);
    describeRateLimits(factory);
    describeScopedKeys(factory);
    describeTransfer(factory);

    // Every table once more, jobs, workflows and topologies among them.
    it("fills and checks a store", async () => {
      const harness = await factory();
      const store = await harness.open();
      for (const part of loadParts(store, await lead(store), smallLoad)) await part.write();
      await store.close();
      const location = parseStoreUrl(harness.spec.url);
      expect((await checkStore({ location, world: createSystemWorld() })).findings).toEqual([]);
      await harness.dispose();
    });
  });

  it("never looks at all keys, never empties a database, and keeps to its own keys", async () => {
    await monitor.end();
    const { commands, forbidden: found, strayKeys } = monitor.trace;
    const scripts = (commands.get("EVALSHA") ?? 0) + (commands.get("EVAL") ?? 0);
    process.stderr.write(`Redis: ${scripts} scripts seen, ${commands.size} kinds of commands\n`);
    expect(scripts).toBeGreaterThan(500);
    expect(found).toEqual([]);
    expect(strayKeys).toEqual([]);
  });
});
