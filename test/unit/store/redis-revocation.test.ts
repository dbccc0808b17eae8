import type { Redis } from "ioredis";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  adminSessionId,
  hashApiKey,
  StoreUnavailableError,
  type TaskStore,
} from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { openBackend } from "./open-backend.js";
import { Revocations } from "./revocations.js";

const hour = 3_600_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis("revocations of admin sessions on Redis", () => {
  let server: RedisServer;
  let url: string;
  let client: Redis;
  let stores: TaskStore[];

  beforeEach(async () => {
    server = await startRedis();
    url = server.freshUrl();
    client = server.client();
    stores = await Promise.all([0, 1, 2].map(() => openBackend({ url }, undefined)));
  });
  afterEach(async () => {
    server.signal("SIGCONT");
    for (const store of stores) await store.close();
    await server.stop();
  });

  const first = (): TaskStore => stores[0] as TaskStore;
  const listen = (): Promise<Revocations[]> => Promise.all(stores.map((store) => Revocations.of(store)));
  const create = async (...ids: string[]): Promise<void> => {
    for (const id of ids) {
      const adminKeyHash = hashApiKey("key");
      const session = {
        id: adminSessionId(id),
        csrfToken: "t",
        adminKeyHash,
        userAgent: null,
        sourceIp: null,
      };
      await first().adminSessions.create(session, hour);
    }
  };
  const revoke = async (...ids: string[]): Promise<void> => {
    for (const id of ids) expect(await first().adminSessions.revoke(adminSessionId(id))).toBe(true);
  };
  const killSubscribers = async (): Promise<number> =>
    Number(await client.call("CLIENT", "KILL", "TYPE", "pubsub"));
  const subscribers = async (): Promise<number> =>
    String(await client.call("CLIENT", "LIST", "TYPE", "pubsub"))
      .split("\n")
      .filter((line) => line !== "").length;
  const range = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, i) => `s-${from + i}`);

  it("are heard by three handles after their subscriptions were killed, again and again", async () => {
    await create(...range(0, 40));
    const heard = await listen();
    for (let round = 0; round < 8; round++) {
      const ids = range(round * 5, round * 5 + 5);
      const killed = killSubscribers();
      await revoke(...ids);
      expect(await killed).toBeGreaterThanOrEqual(1);
      const begun = performance.now();
      for (const revocations of heard) for (const id of ids) await revocations.until(id);
      expect(performance.now() - begun).toBeLessThan(1_000);
    }
  }, 30_000);

  it("are heard by three handles while the server refuses channels, and at once when it no longer does", async () => {
    await create(...range(0, 251));
    const heard = await listen();
    await client.call("ACL", "SETUSER", "default", "resetchannels");
    await killSubscribers();
    await revoke(...range(0, 250));
    const begun = performance.now();
    for (const revocations of heard) await revocations.untilCount(250);
    expect(performance.now() - begun).toBeLessThan(1_000);
    await client.call("ACL", "SETUSER", "default", "allchannels");
    while ((await subscribers()) < 3) await pause(10);
    await revoke("s-250");
    for (const revocations of heard) await revocations.until("s-250");
  }, 30_000);

  it("are heard by three handles after the server was killed, those of before and those of after", async () => {
    await create("before", "between", "after");
    const heard = await listen();
    await revoke("before");
    await server.kill();
    await pause(200);
    await server.start();
    await revoke("between");
    for (const revocations of heard) {
      await revocations.until("before");
      await revocations.until("between");
    }
    await revoke("after");
    const begun = performance.now();
    for (const revocations of heard) await revocations.until("after");
    expect(performance.now() - begun).toBeLessThan(1_000);
  }, 30_000);

  it("are heard where a message was lost, or sent by something that is not Miroir", async () => {
    await create("quiet", "loud");
    const heard = await listen();
    const tag = `{${url.replace(/.*key_prefix=/, "")}}`;
    // Recorded as a revocation is, but no message tells of it.
    const ends = await client.hget(`${tag}:admin_sessions:quiet`, "expires_at");
    const number = await client.incr(`${tag}:admin_sessions:_revoked_last`);
    await client.zadd(`${tag}:admin_sessions:_revoked`, number, `${ends}:quiet`);
    const begun = performance.now();
    for (const revocations of heard) await revocations.until("quiet");
    expect(performance.now() - begun).toBeLessThan(1_000);
    for (const nonsense of ["", ":", "x:y", "7", "1.5:z"]) {
      await client.publish(`${tag}:admin_sessions:_revoked:0`, nonsense);
    }
    await revoke("loud");
    for (const revocations of heard) {
      await revocations.until("loud");
      expect([...new Set(revocations.ids)]).toEqual(["quiet", "loud"]);
    }
  });

  it("are heard where a failover or a flush made the numbers begin anew", async () => {
    await create(...range(0, 20));
    const heard = await listen();
    await revoke(...range(0, 20));
    for (const revocations of heard) await revocations.untilCount(20);
    await client.flushall();
    await create("fresh-0", "fresh-1");
    const killed = killSubscribers();
    await revoke("fresh-0", "fresh-1");
    await killed;
    for (const revocations of heard) {
      await revocations.until("fresh-0");
      await revocations.until("fresh-1");
    }
  });

  it("are heard by a handle whose server stood still and goes on", async () => {
    await create("s", "t");
    const heard = await listen();
    server.signal("SIGSTOP");
    await pause(4_500);
    server.signal("SIGCONT");
    await revoke("s");
    for (const revocations of heard) await revocations.until("s");
    await revoke("t");
    for (const revocations of heard) await revocations.until("t");
  }, 30_000);

  it("reach the handles of their own database only", async () => {
    const elsewhere = await openBackend({ url: url.replace(/(\d)\?/, "$1/5?") }, undefined);
    stores.push(elsewhere);
    await create("s");
    const stranger = await Revocations.of(elsewhere);
    const heard = await Revocations.of(first());
    await revoke("s");
    await heard.until("s");
    await pause(600);
    expect(stranger.ids).toEqual([]);
  });

  it("leave no connection behind once nobody listens", async () => {
    const heard = await listen();
    expect(await subscribers()).toBe(3);
    for (const revocations of heard) await revocations.end();
    while ((await subscribers()) > 0) await pause(10);
    const again = await listen();
    expect(await subscribers()).toBe(3);
    for (const store of stores) await store.close();
    while ((await subscribers()) > 0) await pause(10);
    expect(again.flatMap(({ ids }) => ids)).toEqual([]);
  });

  it("cannot be listened to without a server, and it says so", async () => {
    await server.kill();
    const error = await Revocations.of(first()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ outcome: "certainly-aborted" });
    await server.start();
    await create("s");
    const heard = await Revocations.of(first());
    await revoke("s");
    await heard.until("s");
  }, 30_000);

  it("keep a bounded record, which goes when the sessions have ended", async () => {
    const small = await openBackend({ url }, undefined, { adminSessions: 5 });
    stores.push(small);
    const tag = `{${url.replace(/.*key_prefix=/, "")}}`;
    for (let i = 0; i < 12; i++) {
      const id = adminSessionId(`s-${i}`);
      const adminKeyHash = hashApiKey("key");
      await small.adminSessions.create(
        { id, csrfToken: "t", adminKeyHash, userAgent: null, sourceIp: null },
        400,
      );
      await small.adminSessions.revoke(id);
    }
    expect(await client.zcard(`${tag}:admin_sessions:_revoked`)).toBeLessThanOrEqual(5);
    expect(await client.zcard(`${tag}:admin_sessions:_expiry`)).toBeLessThanOrEqual(5);
    await pause(450);
    const left = await client.keys(`${tag}:admin_sessions*`);
    expect(left).toEqual([`${tag}:admin_sessions:_revoked_last`]);
  });
});
