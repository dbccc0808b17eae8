import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { ApiError } from "./errors.js";
import type { JsonObject, JsonValue } from "./exact-json.js";
import type { NodeStore } from "./store.js";
import { parseDate, timestamp, toNanoseconds } from "./time.js";
import * as check from "./validate.js";

/** An API key as stored; its secret is derived, never kept. */
export interface ApiKey {
  readonly uid: string;
  readonly name: string | null;
  readonly description: string | null;
  readonly actions: readonly string[];
  readonly indexes: readonly string[];
  readonly expiresAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** What the bearer of a request may do. */
export interface Access {
  /** Whether an action is allowed, on some index or on the one given. */
  allows(action: string, indexUid?: string): boolean;
  /** The index patterns of the key; `["*"]` without limits. */
  readonly indexes: readonly string[];
}

const ACTIONS = [
  "*",
  "search",
  "documents.*",
  "documents.add",
  "documents.get",
  "documents.delete",
  "indexes.*",
  "indexes.create",
  "indexes.get",
  "indexes.update",
  "indexes.delete",
  "indexes.swap",
  "tasks.*",
  "tasks.cancel",
  "tasks.delete",
  "tasks.get",
  "settings.*",
  "settings.get",
  "settings.update",
  "stats.*",
  "stats.get",
  "metrics.*",
  "metrics.get",
  "dumps.*",
  "dumps.create",
  "snapshots.*",
  "snapshots.create",
  "version",
  "keys.create",
  "keys.get",
  "keys.update",
  "keys.delete",
  "experimental.get",
  "experimental.update",
  "export",
  "network.get",
  "network.update",
  "chatCompletions",
  "chats.*",
  "chats.get",
  "chats.delete",
  "chatsSettings.*",
  "chatsSettings.get",
  "chatsSettings.update",
  "*.get",
  "webhooks.get",
  "webhooks.update",
  "webhooks.delete",
  "webhooks.create",
  "webhooks.*",
  "indexes.compact",
  "fields.post",
  "tasks.compact",
  "dynamicSearchRules.get",
  "dynamicSearchRules.create",
  "dynamicSearchRules.update",
  "dynamicSearchRules.delete",
  "dynamicSearchRules.*",
] as const;

const GLOBAL_ACTIONS =
  /^(?:metrics|dumps|snapshots|version|keys|experimental|export|network|chats|chatsSettings|webhooks|dynamicSearchRules)(?:\.|$)|^tasks\.compact$/;
const READ_ACTIONS = new Set([
  "search",
  "documents.get",
  "export",
  "indexes.get",
  "tasks.get",
  "settings.get",
  "stats.get",
  "metrics.get",
  "version",
  "experimental.get",
  "network.get",
  "chats.get",
  "chatsSettings.get",
  "webhooks.get",
  "fields.post",
  "dynamicSearchRules.get",
]);

const DEFAULT_KEYS = [
  {
    name: "Default Chat API Key",
    description: "Use it to chat and search from the frontend",
    actions: ["chatCompletions", "search"],
  },
  {
    name: "Default Read-Only Admin API Key",
    description:
      "Use it to read information across the whole database. Caution! Do not expose this key on a public frontend",
    actions: ["*.get", "keys.get"],
  },
  {
    name: "Default Admin API Key",
    description:
      "Use it for anything that is not a search operation. Caution! Do not expose it on a public frontend",
    actions: ["*"],
  },
  { name: "Default Search API Key", description: "Use it to search from the frontend", actions: ["search"] },
];

/** The secret of a key: hexadecimal HMAC-SHA256 of its uid under the master key. */
export function deriveKey(masterKey: string, uid: string): string {
  return createHmac("sha256", masterKey).update(uid).digest("hex");
}

/** The API keys of a node and what they allow. */
export class KeyRing {
  readonly #store: NodeStore;
  readonly #masterKey: string | undefined;
  readonly #keys = new Map<string, ApiKey>();

  /** Reads the stored keys; a new store gets Meilisearch's four default ones. */
  constructor(store: NodeStore, masterKey: string | undefined) {
    this.#store = store;
    this.#masterKey = masterKey;
    for (const { uid, json } of store.keys()) this.#keys.set(uid, JSON.parse(json) as ApiKey);
    if (masterKey === undefined || store.meta("defaultKeys") !== undefined) return;
    for (const defaults of DEFAULT_KEYS) {
      const now = timestamp();
      this.#save({
        ...defaults,
        uid: randomUUID(),
        indexes: ["*"],
        expiresAt: null,
        createdAt: now,
        updatedAt: now,
      });
    }
    store.setMeta("defaultKeys", "created");
  }

  /**
   * What the bearer of `header` (an `Authorization` header) may do.
   *
   * @throws ApiError `missing_authorization_header`, or `invalid_api_key` where it may not do `action`.
   */
  authorize(header: string | undefined, action: string): Access {
    const all: Access = { allows: () => true, indexes: ["*"] };
    const keysAction = action.startsWith("keys.");
    if (this.#masterKey === undefined) {
      if (!keysAction) return all;
      throw new ApiError(
        "missing_master_key",
        "Meilisearch is running without a master key. To access this API endpoint, you must have set a master key at launch.",
      );
    }
    const token =
      /^Bearer\s+(.*)$/.exec(header ?? "")?.[1]?.trim() ?? (header === undefined ? undefined : "");
    if (token === undefined) {
      throw new ApiError(
        "missing_authorization_header",
        "The Authorization header is missing. It must use the bearer authorization method.",
      );
    }
    if (sameSecret(token, this.#masterKey)) return all;
    const key = this.#bySecret(token);
    const access = key === undefined ? undefined : accessOf(key);
    if (access?.allows(action) !== true) throw invalidKey();
    return access;
  }

  list(): ApiKey[] {
    return [...this.#keys.values()].sort((a, b) =>
      toNanoseconds(a.createdAt) < toNanoseconds(b.createdAt) ? 1 : -1,
    );
  }

  /** Finds a key by uid or secret. */
  get(uidOrSecret: string): ApiKey {
    const key = this.#keys.get(uidOrSecret) ?? this.#bySecret(uidOrSecret);
    if (key === undefined) throw new ApiError("api_key_not_found", `API key \`${uidOrSecret}\` not found.`);
    return key;
  }

  create(body: JsonValue): ApiKey {
    const key = readKey(body);
    if (this.#keys.has(key.uid)) {
      throw new ApiError(
        "api_key_already_exists",
        `\`uid\` field value \`${key.uid}\` is already an existing API key.`,
      );
    }
    this.#save(key);
    return key;
  }

  update(uidOrSecret: string, body: JsonValue): ApiKey {
    const key = this.get(uidOrSecret);
    const object = check.asObject(body, { path: "", code: "bad_request" });
    for (const name of Object.keys(object)) {
      if (name === "name" || name === "description") continue;
      const immutable = ["actions", "createdAt", "expiresAt", "indexes", "key", "uid", "updatedAt"].includes(
        name,
      );
      const code = immutable
        ? `immutable_api_key_${name.replace(/[A-Z]/g, (l) => `_${l.toLowerCase()}`)}`
        : "bad_request";
      throw new ApiError(
        code,
        `${immutable ? "Immutable" : "Unknown"} field \`${name}\`: expected one of \`description\`, \`name\``,
      );
    }
    const next = { ...key, ...readNames(object), updatedAt: timestamp() };
    this.#save(next);
    return next;
  }

  delete(uidOrSecret: string): void {
    const key = this.get(uidOrSecret);
    this.#keys.delete(key.uid);
    this.#store.deleteKey(key.uid);
  }

  view(key: ApiKey): JsonObject {
    return {
      name: key.name,
      description: key.description,
      key: deriveKey(this.#masterKey ?? "", key.uid),
      uid: key.uid,
      actions: [...key.actions],
      indexes: [...key.indexes],
      expiresAt: key.expiresAt,
      createdAt: key.createdAt,
      updatedAt: key.updatedAt,
    };
  }

  #bySecret(secret: string): ApiKey | undefined {
    const masterKey = this.#masterKey;
    if (masterKey === undefined) return undefined;
    return [...this.#keys.values()].find((key) => sameSecret(secret, deriveKey(masterKey, key.uid)));
  }

  #save(key: ApiKey): void {
    this.#keys.set(key.uid, key);
    this.#store.putKey(key.uid, JSON.stringify(key));
  }
}

function sameSecret(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** The error for a key that is unknown, expired or may not do what was asked. */
export function invalidKey(): ApiError {
  return new ApiError("invalid_api_key", "The provided API key is invalid.");
}

function accessOf(key: ApiKey): Access {
  const expired = key.expiresAt !== null && toNanoseconds(key.expiresAt) <= BigInt(Date.now()) * 1_000_000n;
  return {
    indexes: key.indexes,
    allows: (action, indexUid) =>
      !expired &&
      key.actions.some((granted) => grants(granted, action)) &&
      (indexUid === undefined || matchesIndex(key.indexes, indexUid)),
  };
}

function grants(granted: string, action: string): boolean {
  if (granted === action) return true;
  if (granted === "*") return !action.startsWith("keys.");
  if (granted === "*.get") return READ_ACTIONS.has(action);
  return granted.endsWith(".*") && action.startsWith(granted.slice(0, -1));
}

/** Whether an index is covered by patterns such as `movies` or `m*`. */
export function matchesIndex(patterns: readonly string[], indexUid: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? indexUid.startsWith(pattern.slice(0, -1)) : pattern === indexUid,
  );
}

function readNames(object: JsonObject): { name?: string | null; description?: string | null } {
  const read = (member: string) => {
    const value = object[member];
    if (value === undefined) return {};
    const place = { path: `.${member}`, code: `invalid_api_key_${member}` };
    return { [member]: value === null ? null : check.asString(value, place) };
  };
  return { ...read("name"), ...read("description") };
}

function readKey(body: JsonValue): ApiKey {
  const object = check.asObject(body, { path: "", code: "bad_request" });
  const known = ["description", "name", "uid", "actions", "indexes", "expiresAt"];
  check.refuseUnknown(object, known, { path: "", code: "bad_request" });
  const need = (name: string) => {
    const value = object[name];
    if (value !== undefined) return value;
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    throw new ApiError(`missing_api_key_${snake}`, `Missing field \`${name}\``);
  };
  const actionsAt = { path: ".actions", code: "invalid_api_key_actions" };
  const actions = check
    .asArray(need("actions"), actionsAt)
    .map((action, i) => check.asOneOf(action, ACTIONS, check.below(actionsAt, i)));
  const indexesAt = { path: ".indexes", code: "invalid_api_key_indexes" };
  const indexes = check.asStrings(need("indexes"), indexesAt);
  for (const [i, pattern] of indexes.entries()) {
    if (/^[A-Za-z0-9_-]*\*?$/.test(pattern) && pattern !== "") continue;
    throw check.invalidValue(
      `\`${pattern}\` is not a valid index uid pattern. Index uid patterns can be an integer or a string containing only alphanumeric characters, hyphens (-), underscores (_), and optionally end with a star (*).`,
      check.below(indexesAt, i),
    );
  }
  const expiresAt = readExpiry(need("expiresAt"));
  const global = indexes.includes("*") ? undefined : actions.find((action) => GLOBAL_ACTIONS.test(action));
  if (global !== undefined) {
    throw new ApiError(
      "index_scoped_api_key_with_global_action",
      `cannot create index-scoped API key with global action \`"${global}"\`\n  - Hint: remove action \`"${global}"\` from the action list, or remove \`indexes\` to make the key global`,
    );
  }
  const uid = object.uid === undefined || object.uid === null ? randomUUID() : readUid(object.uid);
  const now = timestamp();
  return {
    name: null,
    description: null,
    ...readNames(object),
    uid,
    actions,
    indexes,
    expiresAt,
    createdAt: now,
    updatedAt: now,
  };
}

function readUid(value: JsonValue): string {
  const place = { path: ".uid", code: "invalid_api_key_uid" };
  const text = check.asString(value, place);
  if (/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  const at = [...text].findIndex((char) => !/[0-9a-f-]/i.test(char));
  throw check.invalidValue(
    at >= 0
      ? `invalid character: found \`${text[at]}\` at ${at}`
      : `invalid length: expected length 32 for simple format, found ${text.length}`,
    place,
  );
}

function readExpiry(value: JsonValue): string | null {
  if (value === null) return null;
  const place = { path: ".expiresAt", code: "invalid_api_key_expires_at" };
  const text = check.asString(value, place);
  const date = parseDate(text);
  if (date === undefined || date.nanoseconds <= BigInt(Date.now()) * 1_000_000n) {
    throw check.invalidValue(
      `\`${text}\` is not a valid date. It should follow the RFC 3339 format to represents a date or datetime in the future or specified as a null value. e.g. 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'.\n`,
      place,
    );
  }
  return `${new Date(Number(date.nanoseconds / 1_000_000n)).toISOString().replace(/\.000Z$/, "Z")}`;
}
