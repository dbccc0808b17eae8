import { apiKeyHash, type CanaryId, type RolloverPolicyName } from "./ids.js";
import { checkInteger, checkText, checkTime } from "./limits.js";
import { checkName, type RowFormat, readAtLeast, readFlag } from "./row-format.js";
import type { CanaryRow } from "./tables/canaries.js";
import type { RolloverPolicyRow } from "./tables/rollover-policies.js";
import type { SearchUiConfigRow } from "./tables/search-ui.js";
import type { TenantRow } from "./tables/tenants.js";

/** How canaries are kept. */
export const canaryFormat: RowFormat<CanaryRow> = {
  one: "a canary",
  many: "canaries",
  key: "id",
  columns: [
    "id",
    "name",
    "index_uid",
    "interval_seconds",
    "query_json",
    "assertions_json",
    "enabled",
    "created_at",
    "updated_at",
  ],
  kept: ["created_at"],
  idOf: (row) => row.id,
  check: (row) => {
    checkName(row.id, "A canary's id");
    const what = `Canary ${row.id}`;
    checkText(row.name, `${what}: name`);
    checkName(row.indexUid, `${what}: indexUid`);
    checkInteger(row.intervalSeconds, 1, Number.MAX_SAFE_INTEGER, `${what}: intervalSeconds`);
    checkText(row.queryJson, `${what}: query`);
    checkText(row.assertionsJson, `${what}: assertions`);
    checkTime(row.createdAt, `${what}: createdAt`);
    checkTime(row.updatedAt, `${what}: updatedAt`);
  },
  encode: (row) => ({
    id: row.id,
    name: row.name,
    index_uid: row.indexUid,
    interval_seconds: row.intervalSeconds,
    query_json: row.queryJson,
    assertions_json: row.assertionsJson,
    enabled: row.enabled ? 1 : 0,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  }),
  decode: (columns) => ({
    id: columns.text("id") as CanaryId,
    name: columns.text("name"),
    indexUid: columns.text("index_uid"),
    intervalSeconds: readAtLeast(columns, "interval_seconds", 1),
    queryJson: columns.text("query_json"),
    assertionsJson: columns.text("assertions_json"),
    enabled: readFlag(columns, "enabled"),
    createdAt: columns.integer("created_at"),
    updatedAt: columns.integer("updated_at"),
  }),
};

/** How tenants are kept. */
export const tenantFormat: RowFormat<TenantRow> = {
  one: "a tenant",
  many: "tenants",
  key: "api_key_hash",
  columns: ["api_key_hash", "tenant_id", "group_id"],
  kept: [],
  idOf: (row) => row.apiKeyHash,
  check: (row) => {
    apiKeyHash(row.apiKeyHash);
    checkName(row.tenantId, "A tenant's id");
    if (row.groupId !== null) {
      checkInteger(row.groupId, 0, Number.MAX_SAFE_INTEGER, `Tenant ${row.tenantId}: groupId`);
    }
  },
  encode: (row) => ({ api_key_hash: row.apiKeyHash, tenant_id: row.tenantId, group_id: row.groupId }),
  decode: (columns) => {
    const hash = columns.text("api_key_hash");
    if (!/^[0-9a-f]{64}$/.test(hash)) throw columns.corrupt("api_key_hash", "is not a SHA-256");
    return {
      apiKeyHash: apiKeyHash(hash),
      tenantId: columns.text("tenant_id"),
      groupId: columns.integerOrNull("group_id") === null ? null : readAtLeast(columns, "group_id", 0),
    };
  },
};

/** How rollover policies are kept. */
export const rolloverPolicyFormat: RowFormat<RolloverPolicyRow> = {
  one: "a rollover policy",
  many: "rollover policies",
  key: "name",
  columns: [
    "name",
    "write_alias",
    "read_alias",
    "pattern",
    "triggers_json",
    "retention_json",
    "template_json",
    "enabled",
    "updated_at",
  ],
  kept: [],
  idOf: (row) => row.name,
  check: (row) => {
    checkName(row.name, "A rollover policy's name");
    const what = `Rollover policy ${row.name}`;
    checkName(row.writeAlias, `${what}: writeAlias`);
    checkName(row.readAlias, `${what}: readAlias`);
    checkText(row.pattern, `${what}: pattern`);
    checkText(row.triggersJson, `${what}: triggers`);
    checkText(row.retentionJson, `${what}: retention`);
    checkText(row.templateJson, `${what}: template`);
    checkTime(row.updatedAt, `${what}: updatedAt`);
  },
  encode: (row) => ({
    name: row.name,
    write_alias: row.writeAlias,
    read_alias: row.readAlias,
    pattern: row.pattern,
    triggers_json: row.triggersJson,
    retention_json: row.retentionJson,
    template_json: row.templateJson,
    enabled: row.enabled ? 1 : 0,
    updated_at: row.updatedAt,
  }),
  decode: (columns) => ({
    name: columns.text("name") as RolloverPolicyName,
    writeAlias: columns.text("write_alias"),
    readAlias: columns.text("read_alias"),
    pattern: columns.text("pattern"),
    triggersJson: columns.text("triggers_json"),
    retentionJson: columns.text("retention_json"),
    templateJson: columns.text("template_json"),
    enabled: readFlag(columns, "enabled"),
    updatedAt: columns.integer("updated_at"),
  }),
};

/** How configurations of search pages are kept. */
export const searchUiConfigFormat: RowFormat<SearchUiConfigRow> = {
  one: "a search page's configuration",
  many: "search pages' configurations",
  key: "index_uid",
  columns: ["index_uid", "config_json", "updated_at"],
  kept: [],
  idOf: (row) => row.indexUid,
  check: (row) => {
    checkName(row.indexUid, "A search page's index");
    checkText(row.configJson, `Search page of ${row.indexUid}: configuration`);
    checkTime(row.updatedAt, `Search page of ${row.indexUid}: updatedAt`);
  },
  encode: (row) => ({ index_uid: row.indexUid, config_json: row.configJson, updated_at: row.updatedAt }),
  decode: (columns) => ({
    indexUid: columns.text("index_uid"),
    configJson: columns.text("config_json"),
    updatedAt: columns.integer("updated_at"),
  }),
};
