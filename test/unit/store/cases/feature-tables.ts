import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  apiKeyHash,
  type CanaryRow,
  canaryId,
  FencedError,
  type FencingToken,
  hashApiKey,
  hasUnpairedSurrogate,
  InvalidArgumentError,
  type RolloverPolicyRow,
  rolloverPolicyName,
  type SearchUiConfigRow,
  StoreCorruptError,
  type TaskStore,
  type TenantRow,
} from "../../../../src/store/task-store.js";
import { type Damage, damage } from "../damage.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";

const time = fc.nat({ max: 4_102_444_800_000 });
const text = fc.string({ unit: "binary", maxLength: 30 }).filter((value) => !hasUnpairedSurrogate(value));
const name = text.filter((value) => value.length > 0);
/** Where the orders of UTF-8 and UTF-16 differ, what keys and indexes escape, and what programs trip over. */
const oddNames = [
  "a",
  "B",
  "é",
  "z:z",
  "z%3Az",
  "_x",
  "__x",
  "\uffee",
  "\u{1f600}",
  "e\u0301",
  "\u0000",
  "a\u0000b",
  "__proto__",
  "0",
  "10",
  "9",
  " ",
  "a\nb",
  "[a",
  "(a",
  "-",
  "+",
];
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

const canary: fc.Arbitrary<CanaryRow> = fc.record({
  id: name.map(canaryId),
  name: text,
  indexUid: name,
  intervalSeconds: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  queryJson: fc.json(),
  assertionsJson: fc.json(),
  enabled: fc.boolean(),
  createdAt: time,
  updatedAt: time,
});
const tenant: fc.Arbitrary<TenantRow> = fc.record({
  apiKeyHash: fc.string().map(hashApiKey),
  tenantId: name,
  groupId: fc.option(fc.nat()),
});
const policy: fc.Arbitrary<RolloverPolicyRow> = fc.record({
  name: name.map(rolloverPolicyName),
  writeAlias: name,
  readAlias: name,
  pattern: text,
  triggersJson: fc.json(),
  retentionJson: fc.json(),
  templateJson: fc.json(),
  enabled: fc.boolean(),
  updatedAt: time,
});
const searchUi: fc.Arbitrary<SearchUiConfigRow> = fc.record({
  indexUid: name,
  configJson: text,
  updatedAt: time,
});

/** A table whose rows have one key, as the cases below see it. */
interface TableCase<Row extends object> {
  readonly rows: fc.Arbitrary<Row>;
  readonly idOf: (row: Row) => string;
  /** The row under another key. */
  readonly rename: (row: Row, id: string) => Row;
  readonly ids: readonly string[];
  /** What is recorded after `row` was put over `old`. */
  readonly replaced: (old: Row, row: Row) => Row;
  /** Rows that are refused, and what is wrong with them. */
  readonly refused: Readonly<Record<string, (row: Row) => object>>;
  readonly get: (store: TaskStore, id: string) => Promise<Row | undefined>;
  readonly list: (store: TaskStore, page?: { after?: string; limit?: number }) => Promise<readonly Row[]>;
  readonly put: (store: TaskStore, row: Row, fence: FencingToken) => Promise<void>;
  readonly delete: (store: TaskStore, id: string, fence: FencingToken) => Promise<boolean>;
  /** Ways to spoil the row of that key. */
  readonly spoil: (id: string) => Readonly<Record<string, Damage>>;
}

const half = "\ud800";
const huge = "x".repeat(16 * 1024 * 1024 + 1);

const canaries: TableCase<CanaryRow> = {
  rows: canary,
  idOf: (row) => row.id,
  rename: (row, id) => ({ ...row, id: canaryId(id) }),
  ids: oddNames,
  replaced: (old, row) => ({ ...row, createdAt: old.createdAt }),
  refused: {
    "an interval of 0": (row) => ({ ...row, intervalSeconds: 0 }),
    "an interval of half a second": (row) => ({ ...row, intervalSeconds: 0.5 }),
    "a time that is none": (row) => ({ ...row, updatedAt: Number.NaN }),
    "an empty id": (row) => ({ ...row, id: "" }),
    "a long id": (row) => ({ ...row, id: "x".repeat(513) }),
    "half a character": (row) => ({ ...row, name: half }),
    "a huge query": (row) => ({ ...row, queryJson: huge }),
    "no index": (row) => ({ ...row, indexUid: "" }),
  },
  get: (store, id) => store.canaries.get(canaryId(id)),
  list: (store, page) => store.canaries.list(page as { after?: CanaryRow["id"] }),
  put: (store, row, fence) => store.canaries.put(row, fence),
  delete: (store, id, fence) => store.canaries.delete(canaryId(id), fence),
  spoil: (id) => ({
    "a flag": {
      sqlite: `UPDATE canaries SET enabled = 7 WHERE id = '${id}'`,
      redis: [["HSET", `:canaries:${id}`, "enabled", 7]],
    },
    "an interval": {
      sqlite: `UPDATE canaries SET interval_seconds = -1 WHERE id = '${id}'`,
      redis: [["HSET", `:canaries:${id}`, "interval_seconds", "soon"]],
    },
    "a time": {
      sqlite: `UPDATE canaries SET updated_at = 9007199254740993 WHERE id = '${id}'`,
      redis: [["HSET", `:canaries:${id}`, "updated_at", "9007199254740993"]],
    },
  }),
};

const tenants: TableCase<TenantRow> = {
  rows: tenant,
  idOf: (row) => row.apiKeyHash,
  rename: (row, id) => ({ ...row, apiKeyHash: apiKeyHash(id) }),
  ids: oddNames.map(hashApiKey),
  replaced: (_, row) => row,
  refused: {
    "a key that is not hashed": (row) => ({ ...row, apiKeyHash: "secret" }),
    "a group below 0": (row) => ({ ...row, groupId: -1 }),
    "a group that is no integer": (row) => ({ ...row, groupId: 1.5 }),
    "no tenant": (row) => ({ ...row, tenantId: "" }),
    "half a character": (row) => ({ ...row, tenantId: half }),
  },
  get: (store, id) => store.tenants.get(apiKeyHash(id)),
  list: (store, page) => store.tenants.list(page as { after?: TenantRow["apiKeyHash"] }),
  put: (store, row, fence) => store.tenants.put([row], fence),
  delete: (store, id, fence) => store.tenants.delete(apiKeyHash(id), fence),
  spoil: (id) => ({
    "a group": {
      sqlite: `UPDATE tenant_map SET group_id = -5 WHERE api_key_hash = '${id}'`,
      redis: [["HSET", `:tenant_map:${id}`, "group_id", "first"]],
    },
    "a hash": {
      sqlite: `UPDATE tenant_map SET group_id = 9223372036854775807 WHERE api_key_hash = '${id}'`,
      redis: [["HSET", `:tenant_map:${id}`, "api_key_hash", "secret"]],
    },
  }),
};

const policies: TableCase<RolloverPolicyRow> = {
  rows: policy,
  idOf: (row) => row.name,
  rename: (row, id) => ({ ...row, name: rolloverPolicyName(id) }),
  ids: oddNames,
  replaced: (_, row) => row,
  refused: {
    "an empty name": (row) => ({ ...row, name: "" }),
    "no alias": (row) => ({ ...row, readAlias: "" }),
    "a huge template": (row) => ({ ...row, templateJson: huge }),
    "a time that is none": (row) => ({ ...row, updatedAt: 2 ** 53 }),
  },
  get: (store, id) => store.rolloverPolicies.get(rolloverPolicyName(id)),
  list: (store, page) => store.rolloverPolicies.list(page as { after?: RolloverPolicyRow["name"] }),
  put: (store, row, fence) => store.rolloverPolicies.put(row, fence),
  delete: (store, id, fence) => store.rolloverPolicies.delete(rolloverPolicyName(id), fence),
  spoil: (id) => ({
    "a flag": {
      sqlite: `UPDATE rollover_policies SET enabled = -1 WHERE name = '${id}'`,
      redis: [["HDEL", `:rollover_policies:${id}`, "enabled"]],
    },
  }),
};

const searchPages: TableCase<SearchUiConfigRow> = {
  rows: searchUi,
  idOf: (row) => row.indexUid,
  rename: (row, id) => ({ ...row, indexUid: id }),
  ids: oddNames,
  replaced: (_, row) => row,
  refused: {
    "no index": (row) => ({ ...row, indexUid: "" }),
    "half a character in its index": (row) => ({ ...row, indexUid: half }),
    "a long index": (row) => ({ ...row, indexUid: "x".repeat(513) }),
    "a huge configuration": (row) => ({ ...row, configJson: huge }),
  },
  get: (store, id) => store.searchUiConfig.get(id),
  list: (store, page) => store.searchUiConfig.list(page),
  put: (store, row, fence) => store.searchUiConfig.put(row, fence),
  delete: (store, id, fence) => store.searchUiConfig.delete(id, fence),
  spoil: (id) => ({
    "a time": {
      sqlite: `UPDATE search_ui_config SET updated_at = -9223372036854775808 WHERE index_uid = '${id}'`,
      redis: [["HSET", `:search_ui_config:${id}`, "updated_at", ""]],
    },
    "its type": {
      sqlite: `UPDATE search_ui_config SET updated_at = 9007199254740992 WHERE index_uid = '${id}'`,
      redis: [
        ["DEL", `:search_ui_config:${id}`],
        ["SET", `:search_ui_config:${id}`, "x"],
      ],
    },
  }),
};

export function describeFeatureTables(factory: StoreFactory): void {
  describeTable("canaries", canaries, factory);
  describeTable("tenants", tenants, factory);
  describeTable("rollover policies", policies, factory);
  describeTable("configurations of search pages", searchPages, factory);

  describe("many tenants", () => {
    it("are put in one call, up to ten thousand, and paged through", { timeout: 60_000 }, async () => {
      const harness = await factory();
      try {
        const store = await harness.open();
        const fence = await lead(store);
        const rows = Array.from({ length: 10_000 }, (_, index) => ({
          apiKeyHash: hashApiKey(`key ${index}`),
          tenantId: `tenant ${index % 100}`,
          groupId: index % 3 === 0 ? null : index % 3,
        }));
        await store.tenants.put(rows, fence);
        const sorted = rows.toSorted((a, b) => byBytes(a.apiKeyHash, b.apiKeyHash));
        expect(await store.tenants.list()).toEqual(sorted.slice(0, 1_000));
        expect(await store.tenants.list({ limit: 10_000 })).toEqual(sorted);
        const after = sorted[4_321]?.apiKeyHash ?? hashApiKey("");
        expect(await store.tenants.list({ after, limit: 2_500 })).toEqual(sorted.slice(4_322, 6_822));
        await expect(store.tenants.put([...rows, ...rows.slice(0, 1)], fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
        // Of two for one key the later one stays; one that is refused takes the others along.
        const [first, second] = rows as [TenantRow, TenantRow];
        await store.tenants.put([first, { ...first, groupId: 9 }], fence);
        expect(await store.tenants.get(first.apiKeyHash)).toEqual({ ...first, groupId: 9 });
        await expect(
          store.tenants.put(
            [
              { ...second, groupId: 8 },
              { ...second, groupId: -8 },
            ],
            fence,
          ),
        ).rejects.toBeInstanceOf(InvalidArgumentError);
        expect(await store.tenants.get(second.apiKeyHash)).toEqual(second);
        await store.tenants.put([], fence);
      } finally {
        await harness.dispose();
      }
    });
  });
}

function describeTable<Row extends object>(name: string, table: TableCase<Row>, factory: StoreFactory): void {
  describe(name, () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let other: TaskStore;
    let fence: FencingToken;
    let sample: Row;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      other = await harness.open();
      fence = await lead(store);
      sample = table.rename(fc.sample(table.rows, { seed: 7, numRuns: 1 })[0] as Row, table.ids[0] ?? "");
    });
    afterEach(() => harness.dispose());

    it("come back as the last ones put, in the order of their bytes, also after a restart", async () => {
      const model = new Map<string, Row>();
      const row = fc
        .tuple(table.rows, fc.option(fc.constantFrom(...table.ids)))
        .map(([drawn, id]) => (id === null ? drawn : table.rename(drawn, id)));
      const step = fc.record({ row, isDeletion: fc.nat({ max: 4 }).map((n) => n === 0) });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
          for (const { row, isDeletion } of steps) {
            const id = table.idOf(row);
            const old = model.get(id);
            if (isDeletion) {
              expect(await table.delete(either(model.size), id, fence)).toBe(model.delete(id));
            } else {
              await table.put(either(model.size), row, fence);
              model.set(id, old === undefined ? row : table.replaced(old, row));
            }
            expect(await table.get(other, id)).toEqual(model.get(id));
          }
          expect(await table.list(other, { limit: 10_000 })).toEqual(inOrder(model));
        }),
        { numRuns: 40 },
      );
      for (const id of table.ids) {
        await table.put(store, table.rename(sample, id), fence);
        const old = model.get(id);
        const now = table.rename(sample, id);
        model.set(id, old === undefined ? now : table.replaced(old, now));
      }
      await store.close();
      const again = await harness.open();
      expect(await table.list(again, { limit: 10_000 })).toEqual(inOrder(model));
      for (const [id, row] of model) expect(await table.get(again, id)).toEqual(row);
    });

    it("are listed page by page", async () => {
      for (const id of table.ids) await table.put(store, table.rename(sample, id), fence);
      const sorted = table.ids.toSorted(byBytes);
      const pages: string[] = [];
      for (let after: string | undefined; ; after = pages.at(-1)) {
        const page = await table.list(other, { limit: 3, ...(after === undefined ? {} : { after }) });
        expect(page.length).toBe(Math.min(3, sorted.length - pages.length));
        if (page.length === 0) break;
        pages.push(...page.map(table.idOf));
      }
      expect(pages).toEqual(sorted);
      for (const limit of [0, -1, 10_001, 1.5]) {
        await expect(table.list(store, { limit })).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    });

    it("are gone once deleted, and not there before", async () => {
      const id = table.idOf(sample);
      expect(await table.get(store, id)).toBeUndefined();
      expect(await table.delete(store, id, fence)).toBe(false);
      await table.put(store, sample, fence);
      expect(await table.delete(other, id, fence)).toBe(true);
      expect(await table.delete(store, id, fence)).toBe(false);
      expect(await table.list(store)).toEqual([]);
      await table.put(store, sample, fence);
      expect(await table.get(other, id)).toEqual(sample);
    });

    it("are refused where no store could give them back", async () => {
      for (const [what, spoil] of Object.entries(table.refused)) {
        const refusal = await Promise.resolve()
          .then(() => table.put(store, spoil(sample) as Row, fence))
          .catch((error: unknown) => error);
        expect(refusal, what).toBeInstanceOf(InvalidArgumentError);
      }
      expect(await table.list(store)).toEqual([]);
    });

    it("are not written by a former leader", async () => {
      await table.put(store, sample, fence);
      harness.clock.advance(60_000);
      const next = await lead(other, "control-2");
      const id = table.idOf(sample);
      const changed = table.rename(fc.sample(table.rows, { seed: 8, numRuns: 1 })[0] as Row, id);
      await expect(table.put(store, changed, fence)).rejects.toBeInstanceOf(FencedError);
      await expect(table.delete(store, id, fence)).rejects.toBeInstanceOf(FencedError);
      const [, absent = ""] = table.ids;
      await expect(table.delete(store, absent, fence)).rejects.toBeInstanceOf(FencedError);
      expect(await table.list(other)).toEqual([sample]);
      await table.put(other, changed, next);
    });

    it("are reported, not guessed, where something else has written them", async () => {
      const id = table.idOf(sample);
      for (const [what, how] of Object.entries(table.spoil(id))) {
        await table.put(store, sample, fence).catch(() => undefined);
        await damage(harness.spec, how);
        await expect(table.get(store, id), what).rejects.toBeInstanceOf(StoreCorruptError);
        await expect(table.list(store), what).rejects.toBeInstanceOf(StoreCorruptError);
        await table.delete(store, id, fence).catch(() => undefined);
      }
    });

    function either(turn: number): TaskStore {
      return turn % 2 === 0 ? store : other;
    }

    function inOrder(model: ReadonlyMap<string, Row>): Row[] {
      return [...model.keys()].toSorted(byBytes).map((id) => model.get(id) as Row);
    }
  });
}
