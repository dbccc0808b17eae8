import { execFile } from "node:child_process";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type AdminSessionId,
  type AdminSessionRow,
  type ApiKeyHash,
  adminSessionId,
  apiKeyHash,
  ConflictError,
  FencedError,
  hashApiKey,
  InvalidArgumentError,
  type NewAdminSession,
  StoreClosedError,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { bundleChild } from "../../../support/child-program.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { openBackend } from "../open-backend.js";
import { Revocations } from "../revocations.js";

const minute = 60_000;
const hour = 60 * minute;
const oldKey = hashApiKey("the admin key of before");
const newKey = hashApiKey("the admin key of now");
const byBytes = (one: string, two: string): number => Buffer.compare(Buffer.from(one), Buffer.from(two));

function session(id: string, adminKeyHash: ApiKeyHash = oldKey): NewAdminSession {
  return {
    id: adminSessionId(id),
    csrfToken: `token of ${id}`,
    adminKeyHash,
    userAgent: "Mozilla/5.0",
    sourceIp: "192.0.2.1",
  };
}

const header = fc.option(fc.string({ unit: "binary", maxLength: 40 }));
const anySession: fc.Arbitrary<NewAdminSession> = fc.record(
  {
    id: fc.string({ unit: "binary", minLength: 1, maxLength: 20 }).map(adminSessionId),
    csrfToken: fc.string({ unit: "binary", maxLength: 40 }),
    adminKeyHash: fc.string().map(hashApiKey),
    userAgent: header,
    sourceIp: header,
  },
  { noNullPrototype: true },
);

export function describeAdminSessions(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;
  let other: TaskStore;

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
    other = await harness.open();
  });
  afterEach(() => harness.dispose());

  const create = (id: string, ttlMs = hour, key = oldKey): Promise<AdminSessionRow> =>
    store.adminSessions.create(session(id, key), ttlMs);
  const ids = async (limit?: number): Promise<AdminSessionId[]> =>
    (await other.adminSessions.list(limit)).map((row) => row.id);

  describe("admin sessions", () => {
    it("come back as they were begun, also after a restart, in the order in which they end", async () => {
      let model: AdminSessionRow[] = [];
      await fc.assert(
        fc.asyncProperty(anySession, fc.integer({ min: hour, max: 2 * hour }), async (some, ttlMs) => {
          if (model.some((row) => row.id === some.id)) return;
          const now = harness.clock.now();
          const row = { ...some, createdAt: now, expiresAt: now + ttlMs, revoked: false };
          expect(await store.adminSessions.create(some, ttlMs)).toEqual(row);
          expect(await other.adminSessions.get(some.id)).toEqual(row);
          model.push(row);
          model = model.sort((one, two) => one.expiresAt - two.expiresAt || byBytes(one.id, two.id));
          expect(await other.adminSessions.list()).toEqual(model);
        }),
        { numRuns: 60 },
      );
      await store.close();
      await other.close();
      expect(await (await harness.open()).adminSessions.list()).toEqual(model);
    });

    it("end by the store's clock, and their ids are free again", async () => {
      await create("s", minute);
      harness.clock.advance(minute - 1);
      expect(await other.adminSessions.get(adminSessionId("s"))).toMatchObject({ revoked: false });
      await expect(create("s")).rejects.toBeInstanceOf(ConflictError);
      harness.clock.advance(1);
      expect(await other.adminSessions.get(adminSessionId("s"))).toBeUndefined();
      expect(await ids()).toEqual([]);
      expect(await store.adminSessions.revoke(adminSessionId("s"))).toBe(false);
      expect(await create("s")).toMatchObject({ createdAt: harness.clock.now() });
      expect(await ids()).toEqual(["s"]);
    });

    it("have an id once, even if it is revoked, and no error repeats it", async () => {
      const results = await Promise.allSettled(
        [store, other, store, other].map((handle) => handle.adminSessions.create(session("secret id"), hour)),
      );
      const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
      expect(refused).toHaveLength(3);
      for (const error of refused) {
        expect(error).toBeInstanceOf(ConflictError);
        expect(String(error)).not.toContain("secret id");
      }
      await store.adminSessions.revoke(adminSessionId("secret id"));
      await expect(create("secret id")).rejects.toBeInstanceOf(ConflictError);
    });

    it("are revoked once, stay until they would have ended, and stay revoked after a restart", async () => {
      await create("s");
      await create("t");
      expect(await other.adminSessions.revoke(adminSessionId("s"))).toBe(true);
      expect(await store.adminSessions.revoke(adminSessionId("s"))).toBe(false);
      expect(await store.adminSessions.revoke(adminSessionId("nobody"))).toBe(false);
      expect(await store.adminSessions.get(adminSessionId("s"))).toMatchObject({ revoked: true });
      expect(await store.adminSessions.get(adminSessionId("t"))).toMatchObject({ revoked: false });
      await store.close();
      await other.close();
      other = await harness.open();
      expect((await other.adminSessions.list()).map(({ id, revoked }) => [id, revoked])).toEqual([
        ["s", true],
        ["t", false],
      ]);
      harness.clock.advance(hour);
      expect(await ids()).toEqual([]);
    });

    it("are revoked together when the admin key changes, all but those of the new one", async () => {
      const count = 2_300;
      for (let i = 0; i < count; i++) await create(`old-${i}`);
      for (let i = 0; i < 5; i++) await create(`new-${i}`, hour, newKey);
      await store.adminSessions.revoke(adminSessionId("old-7"));
      expect(await other.adminSessions.revokeOthers(newKey)).toBe(count - 1);
      expect(await store.adminSessions.revokeOthers(newKey)).toBe(0);
      const rows = await store.adminSessions.list(10_000);
      expect(rows).toHaveLength(count + 5);
      for (const row of rows) expect(row.revoked).toBe(row.adminKeyHash === oldKey);
    }, 30_000);

    it("make room for new ones, those that would end first", async () => {
      const small = await harness.open({ adminSessions: 3 });
      for (const [id, ttlMs] of [
        ["a", 4 * hour],
        ["b", hour],
        ["c", 3 * hour],
        ["d", 2 * hour],
        ["e", minute],
        ["f", 5 * hour],
      ] as const) {
        await small.adminSessions.create(session(id), ttlMs);
        expect(await ids()).toContain(id);
        expect((await ids()).length).toBeLessThanOrEqual(3);
      }
      expect(await ids()).toEqual(["c", "a", "f"]);
      expect(await small.adminSessions.get(adminSessionId("b"))).toBeUndefined();
    });

    it("make no room while ended ones can go", async () => {
      const small = await harness.open({ adminSessions: 2 });
      await small.adminSessions.create(session("long"), hour);
      await small.adminSessions.create(session("short"), minute);
      harness.clock.advance(minute);
      await small.adminSessions.create(session("next"), minute);
      expect(await ids()).toEqual(["next", "long"]);
    });

    it("are listed up to a limit", async () => {
      for (let i = 0; i < 1_101; i++) await create(`s-${i}`, hour + (i % 3));
      const all = await ids(10_000);
      expect(all).toHaveLength(1_101);
      expect(new Set(all).size).toBe(1_101);
      expect(await ids()).toEqual(all.slice(0, 1_000));
      expect(await ids(1_050)).toEqual(all.slice(0, 1_050));
      expect(await ids(1)).toEqual(all.slice(0, 1));
      for (const limit of [0, 10_001, 1.5]) {
        await expect(store.adminSessions.list(limit)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    }, 30_000);

    it("can be pruned once they have ended, a batch a call, by the leader only", async () => {
      const fence = await lead(store, "control-1", 10 * hour);
      for (let i = 0; i < 5; i++) await create(`s-${i}`, minute);
      await create("long", hour);
      await store.adminSessions.revoke(adminSessionId("s-1"));
      expect(await store.retention.pruneExpired({}, fence)).toBe(0);
      harness.clock.advance(minute);
      await expect(
        store.retention.pruneExpired({}, { ...fence, term: fence.term + 1 }),
      ).rejects.toBeInstanceOf(FencedError);
      expect(await store.retention.pruneExpired({ limit: 3 }, fence)).toBe(3);
      expect(await store.retention.pruneExpired({ limit: 3 }, fence)).toBe(2);
      expect(await store.retention.pruneExpired({ limit: 3 }, fence)).toBe(0);
      expect(await ids()).toEqual(["long"]);
    });

    it("refuse raw keys, and what is out of range", async () => {
      for (const raw of ["masterKey", "", "F".repeat(64), `${oldKey} `]) {
        expect(() => apiKeyHash(raw)).toThrow(InvalidArgumentError);
        const refused = create("s", hour, raw as ApiKeyHash);
        await expect(refused).rejects.toBeInstanceOf(InvalidArgumentError);
        await expect(refused).rejects.not.toThrow(/masterKey/);
        await expect(store.adminSessions.revokeOthers(raw as ApiKeyHash)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      for (const ttlMs of [0, -1, 0.5, Number.NaN, 11 * 366 * 24 * hour]) {
        await expect(create("s", ttlMs)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      for (const part of [
        { csrfToken: "x".repeat(16_385) },
        { userAgent: "x".repeat(16_385) },
        { sourceIp: "\ud800" },
      ]) {
        const refused = store.adminSessions.create({ ...session("s"), ...part }, hour);
        await expect(refused).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      expect(await ids()).toEqual([]);
    });
  });

  describe("revocations of admin sessions", () => {
    it("are heard in every handle within a second, in order, and not twice by one that was connected", async () => {
      const handles = [store, other, await harness.open(), await harness.open()];
      const heard = await Promise.all(handles.map((handle) => Revocations.of(handle)));
      for (let i = 0; i < 20; i++) await create(`s-${i}`);
      for (let i = 0; i < 20; i++) {
        const id = adminSessionId(`s-${i}`);
        const by = handles[i % handles.length] as TaskStore;
        const begun = performance.now();
        expect(await by.adminSessions.revoke(id)).toBe(true);
        await Promise.all(heard.map((revocations) => revocations.until(id)));
        expect(performance.now() - begun).toBeLessThan(1_000);
      }
      for (const revocations of heard) {
        expect([...new Set(revocations.ids)]).toEqual(Array.from({ length: 20 }, (_, i) => `s-${i}`));
        await revocations.end();
      }
    });

    it("are heard in three handles within a second when another process makes them", async () => {
      const wanted = ["p-0", "p-1", "p-2"];
      for (const id of wanted) await create(id);
      const heard = await Promise.all(
        [store, other, await harness.open()].map((handle) => Revocations.of(handle)),
      );
      const times = heard.map((revocations) =>
        Promise.all(wanted.map((id) => revocations.until(id).then(() => Date.now()))),
      );
      const program = await bundleChild(new URL("../revoking-process.ts", import.meta.url));
      const args = [program, JSON.stringify(harness.spec), String(harness.clock.now()), ...wanted];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      const lines = stdout.trim().split("\n");
      expect(lines.map((line) => line.split(" ")[0])).toEqual(wanted);
      for (const handle of times) {
        for (const [i, time] of (await handle).entries()) {
          expect(time - Number(lines[i]?.split(" ")[1])).toBeLessThan(1_000);
        }
      }
    }, 30_000);

    it("are heard at once in the handle that makes them", async () => {
      await create("s");
      const heard = await Revocations.of(store);
      const again = await Revocations.of(store);
      await store.adminSessions.revoke(adminSessionId("s"));
      await Promise.all([heard.until("s"), again.until("s")]);
      await heard.end();
      await again.end();
    });

    it("are heard when the admin key changes, however many they are", async () => {
      const heard = await Promise.all(
        [store, other, await harness.open()].map((handle) => Revocations.of(handle)),
      );
      const count = 1_500;
      for (let i = 0; i < count; i++) await create(`s-${i}`);
      await store.adminSessions.revokeOthers(newKey);
      for (const revocations of heard) {
        await revocations.untilCount(count);
        await revocations.end();
      }
    }, 30_000);

    it("are told to nobody who has ended listening, nor those from before who has begun", async () => {
      for (const id of ["before", "between", "after", "last"]) await create(id);
      await store.adminSessions.revoke(adminSessionId("before"));
      const first = await Revocations.of(other);
      await store.adminSessions.revoke(adminSessionId("between"));
      await first.until("between");
      await first.end();
      await first.end();
      await store.adminSessions.revoke(adminSessionId("after"));
      const second = await Revocations.of(other);
      await store.adminSessions.revoke(adminSessionId("last"));
      await second.until("last");
      expect([...new Set(first.ids)]).toEqual(["between"]);
      expect([...new Set(second.ids)]).toEqual(["last"]);
      await second.end();
    });

    it("are not heard in vain: what is not revoked is told to nobody", async () => {
      await create("s");
      await create("t");
      const heard = await Revocations.of(other);
      await store.adminSessions.revoke(adminSessionId("nobody"));
      await store.adminSessions.revoke(adminSessionId("s"));
      await store.adminSessions.revoke(adminSessionId("s"));
      await store.adminSessions.revoke(adminSessionId("t"));
      await heard.until("t");
      expect([...new Set(heard.ids)]).toEqual(["s", "t"]);
      await heard.end();
    });

    it("are heard by the store's own time as well", async () => {
      const one = await openBackend(harness.spec, undefined);
      const two = await openBackend(harness.spec, undefined);
      try {
        const heard = await Revocations.of(two);
        await one.adminSessions.create(session("s"), minute);
        await one.adminSessions.revoke(adminSessionId("s"));
        await heard.until("s");
        await one.adminSessions.create(session("brief"), 150);
        const { expiresAt, createdAt } = (await two.adminSessions.get(adminSessionId("brief"))) ?? {
          expiresAt: 0,
          createdAt: 0,
        };
        expect(expiresAt - createdAt).toBe(150);
        await new Promise((resolve) => setTimeout(resolve, 160));
        expect(await two.adminSessions.get(adminSessionId("brief"))).toBeUndefined();
        expect((await two.adminSessions.list()).map((row) => row.id)).toEqual(["s"]);
      } finally {
        await one.close();
        await two.close();
      }
    });

    it("end with the store", async () => {
      const heard = await Revocations.of(other);
      await other.close();
      await create("s");
      await store.adminSessions.revoke(adminSessionId("s"));
      await expect(other.adminSessions.onRevoked(() => undefined)).rejects.toBeInstanceOf(StoreClosedError);
      expect(heard.ids).toEqual([]);
      await heard.end();
    });
  });
}
