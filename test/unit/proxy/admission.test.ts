import { beforeEach, describe, expect, it } from "vitest";
import { overloaded } from "../../../src/proxy/http/api-errors.js";
import { type Admission, type AdmissionLimits, createAdmission } from "../../../src/proxy/read/admission.js";
import { createSharedAbort } from "../../../src/runtime/abort.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

const { signal } = createSharedAbort();
let world: ManualWorld;

beforeEach(() => {
  world = createManualWorld();
});

const admit = (limits: Partial<AdmissionLimits>): Admission =>
  createAdmission(
    world,
    { maxRunning: 1, maxWaiting: 100, waitMs: 5_000, overloadWaitMs: 500, ...limits },
    overloaded,
  );

/** Work that ends when it is told to. */
class Jobs {
  readonly started: number[] = [];
  readonly refused: number[] = [];
  private readonly ends: (() => void)[] = [];

  constructor(private readonly admission: Admission) {}

  submit(id: number): Promise<void> {
    const work = (): Promise<void> => {
      this.started.push(id);
      return new Promise((resolve) => this.ends.push(resolve));
    };
    return this.admission.run(signal, work).catch((error: { status?: number }) => {
      expect(error).toMatchObject({ status: 503, retryAfterSeconds: 1, body: { code: "miroir_overloaded" } });
      this.refused.push(id);
    });
  }

  async endOldest(): Promise<void> {
    this.ends.shift()?.();
    await world.advance(0);
  }
}

describe("admission", () => {
  it("runs some, queues some in order, and turns the rest away", async () => {
    const admission = admit({ maxRunning: 2, maxWaiting: 2 });
    const jobs = new Jobs(admission);
    for (const id of [1, 2, 3, 4, 5]) void jobs.submit(id);
    await world.advance(0);
    expect([jobs.started, jobs.refused, admission.isBusy]).toEqual([[1, 2], [5], true]);
    for (let done = 0; done < 4; done++) await jobs.endOldest();
    expect(jobs.started).toEqual([1, 2, 3, 4]);
    expect({ running: admission.running, waiting: admission.waiting }).toEqual({ running: 0, waiting: 0 });
  });

  it("gives the place of a waiter that went away to the next one", async () => {
    const admission = admit({ maxWaiting: 1 });
    let end = (): void => {};
    const first = admission.run(signal, () => new Promise<void>((resolve) => (end = resolve)));
    const gone = new AbortController();
    const waiting = admission.run(gone.signal, async () => "never");
    gone.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    const next = admission.run(signal, async () => "next");
    end();
    await first;
    expect(await next).toBe("next");
  });

  it("frees the place of work that fails", async () => {
    const admission = admit({ maxWaiting: 0 });
    await expect(
      admission.run(signal, async () => {
        throw new Error("broken");
      }),
    ).rejects.toThrow("broken");
    expect(await admission.run(signal, async () => "again")).toBe("again");
  });
});

describe("a queue that grows", () => {
  it("is worked off in order where it was a burst", async () => {
    const jobs = new Jobs(admit({}));
    for (let id = 0; id < 20; id++) void jobs.submit(id);
    for (let done = 0; done < 20; done++) {
      await world.advance(200);
      await jobs.endOldest();
    }
    expect(jobs.started).toEqual(Array.from({ length: 20 }, (_, id) => id));
    expect(jobs.refused).toEqual([]);
  });

  it("lets nothing wait for longer than it may, whether or not anything ends", async () => {
    const jobs = new Jobs(admit({}));
    for (let id = 0; id < 5; id++) void jobs.submit(id);
    await world.advance(4_900);
    expect(jobs.refused).toEqual([]);
    await world.advance(700);
    expect(jobs.refused).toEqual([1, 2, 3, 4]);
  });

  it("serves the newest, soon, and turns the rest away, where more comes than can be done", async () => {
    const jobs = new Jobs(admit({}));
    const waits = new Map<number, number>();
    let id = 0;
    for (let passed = 0; passed < 20_000; passed += 100) {
      // Two come, one can be done.
      for (const _ of [1, 2]) {
        const mine = id++;
        waits.set(mine, world.clock.monotonic());
        void jobs.submit(mine);
      }
      const before = jobs.started.length;
      await world.advance(100);
      await jobs.endOldest();
      for (const started of jobs.started.slice(before)) {
        waits.set(started, world.clock.monotonic() - (waits.get(started) ?? 0));
      }
    }
    expect(jobs.started.length).toBeGreaterThan(195);
    const late = jobs.started.slice(100).map((started) => waits.get(started) ?? 0);
    expect(Math.max(...late)).toBeLessThanOrEqual(600);
  });

  it("is first come, first served again once it was empty", async () => {
    const jobs = new Jobs(admit({}));
    for (let passed = 0; passed < 6_000; passed += 100) {
      void jobs.submit(-passed);
      void jobs.submit(-passed);
      await world.advance(100);
      await jobs.endOldest();
    }
    for (let done = 0; done < 60; done++) await jobs.endOldest();
    const before = jobs.started.length;
    for (const later of [1, 2, 3, 4]) void jobs.submit(later);
    for (let done = 0; done < 4; done++) await jobs.endOldest();
    expect(jobs.started.slice(before)).toEqual([1, 2, 3, 4]);
  });
});
