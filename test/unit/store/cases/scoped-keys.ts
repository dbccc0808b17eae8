import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConflictError,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type ProxySession,
  proxySession,
  type ScopedKeyRow,
  type ScopedKeyUid,
  scopedKeyUid,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type ManualClock, type StoreFactory, type StoreHarness } from "../harness.js";

const minute = 60_000;
const a = proxySession("proxy-a");
const b = proxySession("proxy-b");
const c = proxySession("proxy-c");
const uid = (generation: number, indexUid = "movies"): ScopedKeyUid =>
  scopedKeyUid(`${indexUid}-${generation}`);
const byBytes = (one: string, two: string): number => Buffer.compare(Buffer.from(one), Buffer.from(two));

/** The contract in its plainest form. */
class KeysModel {
  readonly rows = new Map<string, ScopedKeyRow>();
  readonly #seen = new Map<string, Map<ProxySession, { generation: number; until: number }>>();

  publish(row: ScopedKeyRow): ScopedKeyRow | "refused" {
    const stored = this.rows.get(row.indexUid);
    if ((stored?.generation ?? 0) !== row.generation - 1) return "refused";
    if (stored !== undefined && stored.previous !== null) return "refused";
    const next = { ...row, previous: stored?.primary ?? null };
    this.rows.set(row.indexUid, next);
    return next;
  }

  observe(indexUid: string, proxy: ProxySession, generation: number, until: number, now: number): void {
    const seen = this.#live(indexUid, now);
    const before = seen.get(proxy) ?? { generation: 0, until: 0 };
    seen.set(proxy, {
      generation: Math.max(before.generation, generation),
      until: Math.max(before.until, until),
    });
    this.#seen.set(indexUid, seen);
  }

  observations(indexUid: string, now: number): Map<ProxySession, number> {
    return new Map(
      [...this.#live(indexUid, now)]
        .map(([proxy, { generation }]) => [proxy, generation] as const)
        .sort(([one], [two]) => byBytes(one, two)),
    );
  }

  retire(indexUid: string, generation: number, live: readonly ProxySession[], now: number) {
    const row = this.rows.get(indexUid);
    if (row === undefined || row.generation !== generation || row.previous === null) {
      return { kind: "nothing-to-retire" };
    }
    const seen = this.observations(indexUid, now);
    const proxies = [...new Set([...live, ...seen.keys()])]
      .filter((proxy) => (seen.get(proxy) ?? 0) < generation)
      .sort(byBytes);
    if (proxies.length > 0) return { kind: "waiting", proxies };
    this.rows.set(indexUid, { ...row, previous: null });
    return { kind: "retired", uid: row.previous };
  }

  delete(indexUid: string): boolean {
    this.#seen.delete(indexUid);
    return this.rows.delete(indexUid);
  }

  #live(indexUid: string, now: number) {
    return new Map([...(this.#seen.get(indexUid) ?? [])].filter(([, { until }]) => until > now));
  }
}

interface Real {
  readonly stores: readonly TaskStore[];
  readonly fence: FencingToken;
  readonly clock: ManualClock;
  /** Sets this run's indexes apart. */
  readonly run: number;
}

type Command = fc.AsyncCommand<KeysModel, Real>;

let executed = 0;

function command(
  name: string,
  args: unknown[],
  run: (model: KeysModel, keys: TaskStore["scopedKeys"], real: Real) => Promise<void>,
): Command {
  return {
    check: () => true,
    run: (model, real) => {
      executed++;
      const { scopedKeys } = real.stores[executed % real.stores.length] as TaskStore;
      return run(model, scopedKeys, real);
    },
    toString: () => `${name}(${fc.stringify(args).slice(1, -1)})`,
  };
}

const index = fc.constantFrom("movies", "_books:1");
const proxy = fc.constantFrom(a, b, c);
const named = ({ run }: Real, indexUid: string): string => `${indexUid}/${run}`;
/** The present generation, or one near it. */
const offset = fc.constantFrom(0, 0, 0, 0, -1, 1);

const commands: fc.Arbitrary<Command>[] = [
  fc.tuple(index, offset).map(([indexUid, off]) =>
    command("publish", [indexUid, off], async (model, keys, real) => {
      const name = named(real, indexUid);
      const expectedGeneration = Math.max(0, (model.rows.get(name)?.generation ?? 0) + off);
      const generation = expectedGeneration + 1;
      const change = { indexUid: name, uid: uid(executed), expectedGeneration, at: real.clock.now() };
      const row = model.publish({
        indexUid: name,
        generation,
        primary: change.uid,
        previous: null,
        rotatedAt: change.at,
      });
      if (row === "refused") {
        await expect(keys.publish(change, real.fence)).rejects.toBeInstanceOf(ConflictError);
      } else {
        expect(await keys.publish(change, real.fence)).toEqual(row);
      }
    }),
  ),
  ...[0, 1].map(() =>
    fc.tuple(index, proxy, offset, fc.constantFrom(minute, 3 * minute)).map(([indexUid, who, off, ttlMs]) =>
      command("observe", [indexUid, who, off, ttlMs], async (model, keys, real) => {
        const name = named(real, indexUid);
        const generation = Math.max(1, (model.rows.get(name)?.generation ?? 0) + off);
        const now = real.clock.now();
        model.observe(name, who, generation, now + ttlMs, now);
        const observation = { indexUid: name, proxy: who, generation };
        await (ttlMs === minute ? keys.observe(observation) : keys.observe(observation, ttlMs));
      }),
    ),
  ),
  ...[0, 1].map(() =>
    fc.tuple(index, offset, fc.uniqueArray(proxy, { maxLength: 2 })).map(([indexUid, off, liveProxies]) =>
      command("retire", [indexUid, off, liveProxies], async (model, keys, real) => {
        const name = named(real, indexUid);
        const generation = Math.max(1, (model.rows.get(name)?.generation ?? 0) + off);
        expect(await keys.retire({ indexUid: name, generation, liveProxies }, real.fence)).toEqual(
          model.retire(name, generation, liveProxies, real.clock.now()),
        );
      }),
    ),
  ),
  index.map((indexUid) =>
    command("read", [indexUid], async (model, keys, real) => {
      const name = named(real, indexUid);
      expect(await keys.get(name)).toEqual(model.rows.get(name));
      const observed = await keys.observations(name);
      expect([...observed]).toEqual([...model.observations(name, real.clock.now())]);
      const mine = (await keys.list()).filter((row) => row.indexUid.endsWith(`/${real.run}`));
      expect(mine).toEqual([...model.rows.values()].sort((x, y) => byBytes(x.indexUid, y.indexUid)));
    }),
  ),
  fc.constantFrom(1, minute - 1, minute, 2 * minute).map((ms) =>
    command("wait", [ms], async (_model, _keys, { clock }) => {
      clock.advance(ms);
    }),
  ),
  fc.tuple(index, fc.nat({ max: 4 })).map(([indexUid, rare]) =>
    command("delete", [indexUid, rare], async (model, keys, real) => {
      if (rare > 0) return;
      const name = named(real, indexUid);
      expect(await keys.delete(name, real.fence)).toBe(model.delete(name));
    }),
  ),
];

export function describeScopedKeys(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;
  let other: TaskStore;
  let fence: FencingToken;

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
    other = await harness.open();
    fence = await lead(store);
  });
  afterEach(() => harness.dispose());

  const publish = (generation: number, indexUid = "movies"): Promise<ScopedKeyRow> =>
    store.scopedKeys.publish(
      { indexUid, uid: uid(generation, indexUid), expectedGeneration: generation - 1, at: generation },
      fence,
    );
  const observe = (who: ProxySession, generation: number, ttlMs?: number): Promise<void> =>
    other.scopedKeys.observe({ indexUid: "movies", proxy: who, generation }, ttlMs);
  const retire = (generation: number, ...liveProxies: ProxySession[]) =>
    store.scopedKeys.retire({ indexUid: "movies", generation, liveProxies }, fence);

  describe("scoped keys", () => {
    it("rotate in two phases: published, observed by all, the old one retired", async () => {
      const first = { indexUid: "movies", generation: 1, primary: uid(1), previous: null, rotatedAt: 1 };
      expect(await publish(1)).toEqual(first);
      expect(await other.scopedKeys.get("movies")).toEqual(first);
      expect(await retire(1, a)).toEqual({ kind: "nothing-to-retire" });
      await observe(a, 1);
      const second = { ...first, generation: 2, primary: uid(2), previous: uid(1), rotatedAt: 2 };
      expect(await publish(2)).toEqual(second);
      expect(await retire(2, a, b)).toEqual({ kind: "waiting", proxies: [a, b] });
      await observe(a, 2);
      expect(await retire(2, a, b)).toEqual({ kind: "waiting", proxies: [b] });
      await observe(b, 2);
      expect(await retire(1, a, b)).toEqual({ kind: "nothing-to-retire" });
      expect(await retire(3, a, b)).toEqual({ kind: "nothing-to-retire" });
      expect(await retire(2, a, b)).toEqual({ kind: "retired", uid: uid(1) });
      expect(await retire(2, a, b)).toEqual({ kind: "nothing-to-retire" });
      expect(await other.scopedKeys.get("movies")).toEqual({ ...second, previous: null });
    });

    it("wait for proxies that are not listed as live but were seen at an older key", async () => {
      await publish(1);
      await observe(c, 1);
      await publish(2);
      expect(await retire(2)).toEqual({ kind: "waiting", proxies: [c] });
      expect(await retire(2, c)).toEqual({ kind: "waiting", proxies: [c] });
      harness.clock.advance(minute);
      expect(await retire(2, c)).toEqual({ kind: "waiting", proxies: [c] });
      expect(await retire(2)).toEqual({ kind: "retired", uid: uid(1) });
    });

    it("list the proxies waited for once, in the order of their bytes", async () => {
      await publish(1);
      const names = ["\u{1f600}", "\uffee", "z", "é", "a", "B"].map(proxySession);
      for (const name of names) await observe(name, 1);
      await publish(2);
      const ordered = [...names].sort(byBytes);
      expect(await retire(2, ...names, ...names)).toEqual({ kind: "waiting", proxies: ordered });
      expect([...(await store.scopedKeys.observations("movies")).keys()]).toEqual(ordered);
    });

    it("forget observations after their time, and never take them back before", async () => {
      await observe(a, 5, 3 * minute);
      await observe(a, 4);
      await observe(b, 1);
      expect(await store.scopedKeys.observations("movies")).toEqual(
        new Map([
          [a, 5],
          [b, 1],
        ]),
      );
      harness.clock.advance(minute);
      expect(await store.scopedKeys.observations("movies")).toEqual(new Map([[a, 5]]));
      harness.clock.advance(2 * minute - 1);
      expect(await store.scopedKeys.observations("movies")).toEqual(new Map([[a, 5]]));
      harness.clock.advance(1);
      expect(await store.scopedKeys.observations("movies")).toEqual(new Map());
      await observe(a, 1);
      expect(await store.scopedKeys.observations("movies")).toEqual(new Map([[a, 1]]));
    });

    it("are not published from another generation, with a key to retire, or twice", async () => {
      await expect(publish(2)).rejects.toBeInstanceOf(ConflictError);
      await publish(1);
      await expect(publish(1)).rejects.toBeInstanceOf(ConflictError);
      await expect(publish(3)).rejects.toBeInstanceOf(ConflictError);
      const same = { indexUid: "movies", uid: uid(1), expectedGeneration: 1, at: 2 };
      await expect(store.scopedKeys.publish(same, fence)).rejects.toBeInstanceOf(InvalidArgumentError);
      await publish(2);
      await expect(publish(3)).rejects.toBeInstanceOf(ConflictError);
      expect(await store.scopedKeys.get("movies")).toMatchObject({ generation: 2, previous: uid(1) });
    });

    it("are published by one of many at once", async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? store : other).scopedKeys.publish(
            { indexUid: "movies", uid: uid(i), expectedGeneration: 0, at: i },
            fence,
          ),
        ),
      );
      const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(won).toHaveLength(1);
      for (const result of results) {
        if (result.status === "rejected") expect(result.reason).toBeInstanceOf(ConflictError);
      }
      expect(await store.scopedKeys.get("movies")).toEqual(won[0]);
    });

    it("are never retired past an observation that came before", async () => {
      await publish(1);
      for (let generation = 2; generation <= 30; generation++) {
        await publish(generation);
        // Forgets those that were late before.
        harness.clock.advance(minute);
        await observe(a, generation);
        const late = proxySession(`late-${generation}`);
        const [, retirement] = await Promise.all([
          observe(late, generation - 1),
          retire(generation, a),
        ] as const);
        // Whichever came first: with the observation before it, the key stays.
        if (retirement.kind === "waiting") {
          expect(retirement.proxies).toEqual([late]);
          await observe(late, generation);
          expect(await retire(generation, a)).toMatchObject({ kind: "retired" });
        } else {
          expect(retirement.kind).toBe("retired");
          await observe(late, generation);
        }
      }
    });

    it("are deleted with their observations, and begin again", async () => {
      await publish(1);
      await observe(a, 1);
      expect(await store.scopedKeys.delete("books", fence)).toBe(false);
      expect(await store.scopedKeys.delete("movies", fence)).toBe(true);
      expect(await store.scopedKeys.delete("movies", fence)).toBe(false);
      expect(await other.scopedKeys.get("movies")).toBeUndefined();
      expect(await other.scopedKeys.list()).toEqual([]);
      expect(await other.scopedKeys.observations("movies")).toEqual(new Map());
      expect(await publish(1)).toMatchObject({ generation: 1, previous: null });
    });

    it("come back as they were published, also after a restart, and are listed in the order of their bytes", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 12 }), { maxLength: 8 }),
          fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
          fc.nat({ max: 4_102_444_800_000 }),
          async (names, key, at) => {
            const rows: ScopedKeyRow[] = [];
            for (const indexUid of names) {
              const change = { indexUid, uid: scopedKeyUid(key), expectedGeneration: 0, at };
              rows.push(await store.scopedKeys.publish(change, fence));
              expect(await other.scopedKeys.get(indexUid)).toEqual(rows.at(-1));
            }
            expect(await other.scopedKeys.list()).toEqual(
              rows.sort((one, two) => byBytes(one.indexUid, two.indexUid)),
            );
            for (const indexUid of names) await store.scopedKeys.delete(indexUid, fence);
          },
        ),
        { numRuns: 40 },
      );
      await publish(1);
      await publish(2);
      await observe(a, 1);
      const before = await store.scopedKeys.list();
      await store.close();
      await other.close();
      const reopened = await harness.open();
      expect(await reopened.scopedKeys.list()).toEqual(before);
      expect(await reopened.scopedKeys.observations("movies")).toEqual(new Map([[a, 1]]));
    });

    it("are listed whole beyond a thousand", async () => {
      const names = Array.from({ length: 1_205 }, (_, i) => `index-${i}`);
      for (const name of names) await publish(1, name);
      expect((await other.scopedKeys.list()).map((row) => row.indexUid)).toEqual(names.sort(byBytes));
    }, 30_000);

    it("refuse the writes of a former leader, and store nothing of them", async () => {
      await publish(1);
      await publish(2);
      const former = fence;
      harness.clock.advance(10_000);
      fence = await lead(other, "control-2");
      const before = await store.scopedKeys.get("movies");
      const change = { indexUid: "movies", uid: uid(9), expectedGeneration: 2, at: 9 };
      for (const write of [
        () => store.scopedKeys.publish(change, former),
        () => store.scopedKeys.publish({ ...change, expectedGeneration: 0 }, former),
        () => store.scopedKeys.retire({ indexUid: "movies", generation: 2, liveProxies: [] }, former),
        () => store.scopedKeys.retire({ indexUid: "movies", generation: 7, liveProxies: [] }, former),
        () => store.scopedKeys.delete("movies", former),
        () => store.scopedKeys.delete("books", former),
        () => store.retention.pruneExpired({}, former),
      ]) {
        await expect(write()).rejects.toBeInstanceOf(FencedError);
      }
      expect(await store.scopedKeys.get("movies")).toEqual(before);
      expect(await retire(2)).toEqual({ kind: "retired", uid: uid(1) });
    });

    it("have their observations pruned", async () => {
      fence = { ...fence, term: (await lead(store, fence.holder, 10 * minute)).term };
      for (const who of [a, b, c]) await observe(who, 1);
      await observe(c, 1, 5 * minute);
      expect(await store.retention.pruneExpired({}, fence)).toBe(0);
      harness.clock.advance(minute);
      await store.retention.pruneExpired({ limit: 1 }, fence);
      await store.retention.pruneExpired({}, fence);
      expect(await store.retention.pruneExpired({}, fence)).toBe(0);
      expect(await store.scopedKeys.observations("movies")).toEqual(new Map([[c, 1]]));
    });

    it("refuse what is out of range", async () => {
      const change = { indexUid: "movies", uid: uid(1), expectedGeneration: 0, at: 1 };
      const observation = { indexUid: "movies", proxy: a, generation: 1 };
      const request = { indexUid: "movies", generation: 1, liveProxies: [] };
      const { scopedKeys } = store;
      for (const call of [
        () => scopedKeys.publish({ ...change, indexUid: "" }, fence),
        () => scopedKeys.publish({ ...change, indexUid: "x".repeat(513) }, fence),
        () => scopedKeys.publish({ ...change, expectedGeneration: -1 }, fence),
        () => scopedKeys.publish({ ...change, expectedGeneration: 0.5 }, fence),
        () => scopedKeys.publish({ ...change, at: Number.NaN }, fence),
        () => scopedKeys.observe({ ...observation, generation: 0 }),
        () => scopedKeys.observe({ ...observation, generation: 2 ** 53 }),
        () => scopedKeys.observe({ ...observation, indexUid: "\udc00" }),
        () => scopedKeys.observe(observation, 0),
        () => scopedKeys.observe(observation, Number.POSITIVE_INFINITY),
        () => scopedKeys.retire({ ...request, generation: 0 }, fence),
        () => scopedKeys.retire({ ...request, liveProxies: Array<ProxySession>(10_001).fill(a) }, fence),
        () => scopedKeys.get(""),
        () => scopedKeys.delete("", fence),
      ]) {
        await expect(call()).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      expect(await store.scopedKeys.list()).toEqual([]);
    });

    it("do what a plain model does, in any order of calls through two handles", async () => {
      executed = 0;
      let runs = 0;
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 120, size: "max" }), (sequence) =>
          fc.asyncModelRun(
            () => ({
              model: new KeysModel(),
              real: { stores: [store, other], fence, clock: harness.clock, run: runs++ },
            }),
            sequence,
          ),
        ),
        { numRuns: 50 },
      );
      expect(executed).toBeGreaterThanOrEqual(2_000);
    }, 60_000);
  });
}
