import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type AliasHistoryEntry,
  type AliasName,
  type AliasRow,
  type AliasTarget,
  aliasName,
  ConflictError,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import {
  awkwardIds,
  byBytes,
  call,
  type Handles,
  id,
  modelTimeout,
  runCommands,
  time,
} from "../random-commands.js";

const single = (indexUid: string): AliasTarget => ({ kind: "single", indexUid });
const multi = (...indexUids: string[]): AliasTarget => ({ kind: "multi", indexUids });

const target: fc.Arbitrary<AliasTarget> = fc.oneof(
  id.map(single),
  fc.uniqueArray(id, { minLength: 1, maxLength: 4 }).map((uids) => multi(...uids)),
);

/** Aliases in memory, written to be obvious. */
class AliasModel {
  readonly rows = new Map<string, AliasRow>();

  constructor(readonly maxHistory: number) {}

  set(name: AliasName, to: AliasTarget, expectedVersion: number, at: number): AliasRow | "conflict" {
    const old = this.rows.get(name);
    if ((old?.version ?? 0) !== expectedVersion) return "conflict";
    if (old !== undefined && old.target.kind !== to.kind) return "conflict";
    const history: AliasHistoryEntry[] = [];
    if (old !== undefined) {
      history.push({ version: old.version, target: old.target, setAt: old.updatedAt }, ...old.history);
    }
    const row = {
      name,
      target: to,
      version: expectedVersion + 1,
      createdAt: old?.createdAt ?? at,
      updatedAt: at,
      history: history.slice(0, this.maxHistory),
    };
    this.rows.set(name, row);
    return row;
  }

  delete(name: AliasName, expectedVersion: number): boolean | "conflict" {
    const old = this.rows.get(name);
    if (old === undefined) return false;
    if (old.version !== expectedVersion) return "conflict";
    return this.rows.delete(name);
  }

  list(after: string | undefined, limit: number): AliasRow[] {
    return [...this.rows.values()]
      .filter(({ name }) => after === undefined || byBytes(name, after) > 0)
      .sort((a, b) => byBytes(a.name, b.name))
      .slice(0, limit);
  }
}

async function orConflict<T>(work: Promise<T>): Promise<T | "conflict"> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ConflictError) return "conflict";
    throw error;
  }
}

const name = fc.constantFrom(...awkwardIds).map(aliasName);
/** Mostly the version that the alias has. */
const off = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 1) },
);

const commands = [
  call("set", fc.tuple(name, target, off, time), async (model: AliasModel, store, args, { fence }) => {
    const [of, to, wrong, at] = args;
    const expectedVersion = Math.max(0, (model.rows.get(of)?.version ?? 0) + wrong);
    const change = { name: of, target: to, expectedVersion, at };
    expect(await orConflict(store.aliases.set(change, fence))).toEqual(
      model.set(of, to, expectedVersion, at),
    );
  }),
  call("flip", fc.tuple(name, id), async (model: AliasModel, store, [of, uid], { fence }) => {
    const expectedVersion = model.rows.get(of)?.version ?? 0;
    const to = model.rows.get(of)?.target.kind === "multi" ? multi(uid) : single(uid);
    const change = { name: of, target: to, expectedVersion, at: 7 };
    expect(await store.aliases.set(change, fence)).toEqual(model.set(of, to, expectedVersion, 7));
  }),
  call("delete", fc.tuple(name, off), async (model: AliasModel, store, [of, wrong], { fence }) => {
    const version = Math.max(0, (model.rows.get(of)?.version ?? 0) + wrong);
    expect(await orConflict(store.aliases.delete(of, version, fence))).toBe(model.delete(of, version));
  }),
  call("get", name, async (model: AliasModel, store, of) => {
    expect(await store.aliases.get(of)).toEqual(model.rows.get(of));
  }),
  call(
    "list",
    fc.tuple(fc.option(name, { nil: undefined }), fc.integer({ min: 1, max: 6 })),
    async (model: AliasModel, store, [after, limit]) => {
      const page = after === undefined ? { limit } : { after, limit };
      expect(await store.aliases.list(page)).toEqual(model.list(after, limit));
    },
  ),
];

export function describeAliases(factory: StoreFactory): void {
  describe("aliases", () => {
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

    const set = (of: string, to: AliasTarget, expectedVersion: number, at = 1) =>
      store.aliases.set({ name: aliasName(of), target: to, expectedVersion, at }, fence);

    it("come back as they were set, also from a reopened store", async () => {
      const rows = new Map<string, AliasRow>();
      await fc.assert(
        fc.asyncProperty(id, target, time, async (of, to, at) => {
          const expectedVersion = rows.get(of)?.version ?? 0;
          const kind = rows.get(of)?.target.kind ?? to.kind;
          if (kind !== to.kind) return;
          const row = await set(of, to, expectedVersion, at);
          rows.set(of, row);
          expect(row).toMatchObject({ name: of, target: to, version: expectedVersion + 1, updatedAt: at });
          expect(await other.aliases.get(aliasName(of))).toEqual(row);
          expect(await other.aliases.list()).toContainEqual(row);
        }),
        { numRuns: 60 },
      );
      await store.close();
      const reopened = await harness.open();
      const inOrder = [...rows.values()].sort((a, b) => byBytes(a.name, b.name));
      expect(await reopened.aliases.list()).toEqual(inOrder);
    });

    it("remember what they stood for, newest first, up to a limit", async () => {
      const small = await harness.open({ aliasHistory: 2 });
      const a = aliasName("a");
      for (let n = 0; n < 5; n++) {
        await small.aliases.set({ name: a, target: single(`i${n}`), expectedVersion: n, at: 10 * n }, fence);
      }
      expect(await other.aliases.get(a)).toEqual({
        name: a,
        target: single("i4"),
        version: 5,
        createdAt: 0,
        updatedAt: 40,
        history: [
          { version: 4, target: single("i3"), setAt: 30 },
          { version: 3, target: single("i2"), setAt: 20 },
        ],
      });
      await set("b", single("i0"), 0);
      for (let n = 1; n <= 12; n++) await set("b", single(`i${n}`), n);
      expect((await other.aliases.get(aliasName("b")))?.history).toHaveLength(10);
    });

    it("are flipped by one of two callers who saw the same version", async () => {
      for (let version = 0; version < 20; version++) {
        const flips = await Promise.allSettled(
          [store, other].map((handle, n) =>
            handle.aliases.set(
              { name: aliasName("a"), target: single(`i${n}`), expectedVersion: version, at: 1 },
              fence,
            ),
          ),
        );
        const won = flips.findIndex(({ status }) => status === "fulfilled");
        expect(flips.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
        const lost = flips.find((flip) => flip.status === "rejected");
        expect(lost?.reason).toBeInstanceOf(ConflictError);
        expect(lost?.reason).toMatchObject({ outcome: "certainly-aborted" });
        expect(await other.aliases.get(aliasName("a"))).toMatchObject({
          version: version + 1,
          target: single(`i${won}`),
        });
      }
    });

    it("never change their kind", async () => {
      await set("s", single("i"), 0);
      await set("m", multi("i", "j"), 0);
      await expect(set("s", multi("i"), 1)).rejects.toBeInstanceOf(ConflictError);
      await expect(set("m", single("i"), 1)).rejects.toBeInstanceOf(ConflictError);
      expect((await other.aliases.list()).map(({ version }) => version)).toEqual([1, 1]);
    });

    it("take up to 1,000 indexes, each once", async () => {
      const uids = Array.from({ length: 1_001 }, (_, n) => `index-${n}`);
      await expect(set("a", multi(...uids), 0)).rejects.toBeInstanceOf(InvalidArgumentError);
      const most = multi(...uids.slice(1));
      expect(await set("a", most, 0)).toMatchObject({ target: most });
      expect(await other.aliases.get(aliasName("a"))).toMatchObject({ target: most });
    });

    it.each<[string, AliasTarget, number, number]>([
      ["no index", multi(), 0, 1],
      ["an index twice", multi("i", "j", "i"), 0, 1],
      ["an index without a name", single(""), 0, 1],
      ["an index with a long name", single("x".repeat(513)), 0, 1],
      ["half of a surrogate pair", multi("i", "\uD83D"), 0, 1],
      ["a version below 0", single("i"), -1, 1],
      ["half a version", single("i"), 0.5, 1],
      ["half a millisecond", single("i"), 0, 1.5],
      ["no time", single("i"), 0, Number.NaN],
    ])("refuse %s", async (_, to, version, at) => {
      const refusal = await set("a", to, version, at).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(InvalidArgumentError);
      expect(refusal).toMatchObject({ outcome: "certainly-aborted" });
      expect(await store.aliases.list()).toEqual([]);
    });

    it("are listed in pages, of 1 to 10,000", async () => {
      for (const of of awkwardIds) await set(of, single("i"), 0);
      const names = awkwardIds.toSorted(byBytes);
      const seen: string[] = [];
      for (;;) {
        const after = seen.at(-1);
        const page = await other.aliases.list({
          limit: 4,
          ...(after === undefined ? {} : { after: aliasName(after) }),
        });
        if (page.length === 0) break;
        seen.push(...page.map((row) => row.name));
      }
      expect(seen).toEqual(names);
      // A page goes on behind an alias that is no longer there.
      await store.aliases.delete(aliasName(":"), 1, fence);
      const rest = await other.aliases.list({ after: aliasName(":") });
      expect(rest.map((row) => row.name)).toEqual(names.slice(names.indexOf(":") + 1));
      for (const limit of [0, -1, 1.5, 10_001, Number.NaN]) {
        await expect(store.aliases.list({ limit })).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    });

    it("begin anew once deleted", async () => {
      await set("a", single("i"), 0);
      await set("a", single("j"), 1);
      await expect(store.aliases.delete(aliasName("a"), 1, fence)).rejects.toBeInstanceOf(ConflictError);
      expect(await store.aliases.delete(aliasName("a"), 2, fence)).toBe(true);
      expect(await store.aliases.delete(aliasName("a"), 2, fence)).toBe(false);
      expect(await other.aliases.get(aliasName("a"))).toBeUndefined();
      expect(await set("a", multi("k"), 0, 9)).toMatchObject({ version: 1, createdAt: 9, history: [] });
    });

    it("are not changed by a former leader, whatever it asks for", async () => {
      await set("a", single("i"), 0);
      harness.clock.advance(10_000);
      const current = await lead(other, "control-2");
      await expect(set("a", single("j"), 1)).rejects.toBeInstanceOf(FencedError);
      // Its wrong version is not what it hears of.
      await expect(set("a", single("j"), 7)).rejects.toBeInstanceOf(FencedError);
      await expect(set("b", single("j"), 0)).rejects.toBeInstanceOf(FencedError);
      for (const version of [1, 7]) {
        await expect(store.aliases.delete(aliasName("a"), version, fence)).rejects.toBeInstanceOf(
          FencedError,
        );
      }
      await expect(store.aliases.delete(aliasName("none"), 1, fence)).rejects.toBeInstanceOf(FencedError);
      expect(await other.aliases.list()).toMatchObject([{ name: "a", version: 1, target: single("i") }]);
      expect(await other.aliases.delete(aliasName("a"), 1, current)).toBe(true);
    });

    it("answer any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      const stores = [await harness.open({ aliasHistory: 3 }), await harness.open({ aliasHistory: 3 })];
      const [first, second] = stores;
      if (first === undefined || second === undefined) throw new Error("no store");
      const real: Handles = { stores: [first, second], fence, clock: harness.clock };
      await runCommands(commands, real, async () => {
        for (const row of await store.aliases.list())
          await store.aliases.delete(row.name, row.version, fence);
        return new AliasModel(3);
      });
    });
  });
}
