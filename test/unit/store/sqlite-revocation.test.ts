import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Timers } from "../../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { adminSessionId, hashApiKey, type TaskStore } from "../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";
import { lead } from "./harness.js";
import { Revocations } from "./revocations.js";

describe("revocations of admin sessions on SQLite", () => {
  let directory: string;
  let world: ManualWorld;
  let waiting: number;
  let listening: TaskStore;
  let revoking: TaskStore;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "miroir-revocation-"));
    world = createManualWorld();
    waiting = 0;
    const timers: Timers = {
      sleep: world.timers.sleep,
      after: (delayMs, callback) => {
        waiting++;
        let pending = true;
        const settle = (): void => {
          if (pending) waiting--;
          pending = false;
        };
        const timer = world.timers.after(delayMs, () => {
          settle();
          callback();
        });
        return {
          cancel: () => {
            settle();
            timer.cancel();
          },
        };
      },
    };
    const path = join(directory, "miroir.db");
    listening = await openSqliteTaskStore({ path, clock: world.clock, timers });
    revoking = await openSqliteTaskStore({ path, clock: world.clock });
    for (const id of ["a", "b", "c"]) {
      await revoking.adminSessions.create(
        {
          id: adminSessionId(id),
          csrfToken: "t",
          adminKeyHash: hashApiKey("key"),
          userAgent: null,
          sourceIp: null,
        },
        3_600_000,
      );
    }
  });
  afterEach(async () => {
    await listening.close();
    await revoking.close();
    await rm(directory, { recursive: true, force: true });
  });

  it("are looked for twice a second at least, and only while somebody listens", async () => {
    expect(waiting).toBe(0);
    const heard = await Revocations.of(listening);
    const again = await Revocations.of(listening);
    expect(waiting).toBe(1);
    for (const id of ["a", "b"]) {
      await revoking.adminSessions.revoke(adminSessionId(id));
      expect(heard.ids).not.toContain(id);
      await world.advance(500);
      expect(heard.ids).toContain(id);
    }
    await heard.end();
    expect(waiting).toBe(1);
    await again.end();
    expect(waiting).toBe(0);
    await revoking.adminSessions.revoke(adminSessionId("c"));
    await world.advance(5_000);
    expect(heard.ids).toEqual(["a", "b"]);
    expect(again.ids).toEqual(["a", "b"]);
    const later = await Revocations.of(listening);
    expect(waiting).toBe(1);
    await listening.close();
    expect(waiting).toBe(0);
    expect(later.ids).toEqual([]);
  });

  it("are told of at once, and once, by the handle that makes them", async () => {
    const heard = await Revocations.of(listening);
    await listening.adminSessions.revoke(adminSessionId("a"));
    expect(heard.ids).toEqual(["a"]);
    await revoking.adminSessions.revoke(adminSessionId("b"));
    await listening.adminSessions.revoke(adminSessionId("c"));
    expect(heard.ids).toEqual(["a", "b", "c"]);
    await world.advance(5_000);
    expect(heard.ids).toEqual(["a", "b", "c"]);
  });

  it("are told in their order after all earlier ones are deleted", async () => {
    const heard = await Revocations.of(listening);
    await revoking.adminSessions.revoke(adminSessionId("a"));
    await world.advance(500);
    const fence = await lead(revoking);
    await world.advance(3_600_000);
    await revoking.retention.pruneExpired({}, fence);
    await revoking.adminSessions.create(
      {
        id: adminSessionId("d"),
        csrfToken: "t",
        adminKeyHash: hashApiKey("key"),
        userAgent: null,
        sourceIp: null,
      },
      3_600_000,
    );
    await revoking.adminSessions.revoke(adminSessionId("d"));
    await world.advance(500);
    expect(heard.ids).toEqual(["a", "d"]);
  });
});
