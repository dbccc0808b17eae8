import { create } from "@bufbuild/protobuf";
import { ApiKeySchema, type ApiKey as ProtoApiKey } from "../../gen/miroir/v1/topology_pb.js";
import { indexPatternFault, isIndexPattern } from "../../meilisearch/index-pattern.js";
import { randomUuid } from "../../runtime/uuid.js";
import { formatInstant, formatMoment, type Instant, parseInstant } from "../../tasks/rfc3339.js";
import { type Action, actionNames, indexScope, isAction } from "../auth/actions.js";
import { type ApiKey, normalizedUuid, uuidFault } from "../auth/api-key.js";
import { currentView } from "../read/indexes.js";
import { apiError } from "./api-errors.js";
import type { Authentication } from "./authentication.js";
import { asked, untilEpoch } from "./control-asks.js";
import { didYouMean } from "./did-you-mean.js";
import { asObject, parseJsonBody, unknownField, wrongType } from "./json-values.js";
import { quotedList, readParameters, unsigned64 } from "./query-parameters.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const PAGE_PARAMETERS = {
  offset: { code: "invalid_api_key_offset", read: unsigned64 },
  limit: { code: "invalid_api_key_limit", read: unsigned64 },
} as const;
const DEFAULT_LIMIT = 20;
const CREATION_FIELDS = ["description", "name", "uid", "actions", "indexes", "expiresAt"] as const;
const UPDATE_FIELDS = ["description", "name"] as const;
const IMMUTABLE: Readonly<Record<string, string>> = {
  uid: "immutable_api_key_uid",
  actions: "immutable_api_key_actions",
  indexes: "immutable_api_key_indexes",
  expiresAt: "immutable_api_key_expires_at",
  createdAt: "immutable_api_key_created_at",
  updatedAt: "immutable_api_key_updated_at",
};

/** Clients' API keys, under Meilisearch's routes. */
export function registerKeys(
  routes: RouteTable,
  { control, topology, world, config }: RouteServices,
  authentication: Authentication,
): void {
  const readBody = async (request: RouteRequest): Promise<unknown> =>
    parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
  const print = (key: ApiKey): object => printKey(key, authentication.keyRing().secretOf(key.uid) ?? "");
  const keyOf = (text: string): ApiKey => {
    const uid = normalizedUuid(text) ?? authentication.keyRing().uidOf(text);
    const key = currentView(topology).apiKeys.find((candidate) => candidate.uid === uid);
    // Named by its uid where the text is one, by what was given otherwise.
    if (key === undefined) throw keyNotFound(normalizedUuid(text) ?? text);
    return key;
  };
  routes.on("GET", "/keys", "keys.get", async (request) => {
    const { offset = 0, limit = DEFAULT_LIMIT } = readParameters(request.query, PAGE_PARAMETERS);
    const keys = [...currentView(topology).apiKeys].sort(newestFirst);
    const results = keys.slice(offset, offset + limit).map(print);
    return { status: 200, body: JSON.stringify({ results, offset, limit, total: keys.length }) };
  });

  routes.on("GET", "/keys/:key", "keys.get", async (request) => ({
    status: 200,
    body: JSON.stringify(print(keyOf(parameter(request, "key")))),
  }));

  routes.on("POST", "/keys", "keys.create", async (request) => {
    const creation = readCreation(await readBody(request), world.clock.now());
    const uid = creation.uid ?? randomUuid(world.random);
    const key = create(ApiKeySchema, { ...creation, uid });
    const answer = await asked(() => control.createKey({ key }, { signal: request.signal }), {
      already_exists: () =>
        apiError(
          409,
          "api_key_already_exists",
          `\`uid\` field value \`${uid}\` is already an existing API key.`,
        ),
    });
    await untilEpoch(topology, answer.epoch, request.signal);
    return { status: 201, body: JSON.stringify(print(keyOf(uid))) };
  });

  routes.on("PATCH", "/keys/:key", "keys.update", async (request) => {
    const change = readUpdate(await readBody(request));
    const { uid } = keyOf(parameter(request, "key"));
    const answer = await asked(() => control.updateKey({ uid, ...change }, { signal: request.signal }), {
      not_found: () => keyNotFound(uid),
    });
    await untilEpoch(topology, answer.epoch, request.signal);
    return { status: 200, body: JSON.stringify(print(keyOf(uid))) };
  });

  routes.on("DELETE", "/keys/:key", "keys.delete", async (request) => {
    const { uid } = keyOf(parameter(request, "key"));
    const answer = await asked(() => control.deleteKey({ uid }, { signal: request.signal }), {
      not_found: () => keyNotFound(uid),
    });
    await untilEpoch(topology, answer.epoch, request.signal);
    return { status: 204 };
  });
}

function printKey(key: ApiKey, secret: string): object {
  return {
    name: key.name,
    description: key.description,
    key: secret,
    uid: key.uid,
    actions: key.actions,
    indexes: key.indexes,
    expiresAt: key.expiresAt === null ? null : formatInstant(key.expiresAt),
    createdAt: formatMoment(key.createdAt),
    updatedAt: formatMoment(key.updatedAt),
  };
}

function newestFirst(a: ApiKey, b: ApiKey): number {
  const [first, second] = [a.createdAt, b.createdAt];
  if (first.seconds !== second.seconds) return first.seconds > second.seconds ? -1 : 1;
  return second.nanos - first.nanos;
}

type Creation = Pick<ProtoApiKey, "actions" | "indexes"> &
  Partial<Pick<ProtoApiKey, "uid" | "name" | "description">> & { readonly expiresAt?: Instant };

function readCreation(body: unknown, now: number): Creation {
  const given = asObject(body);
  let uid: string | undefined;
  let name: string | undefined;
  let description: string | undefined;
  let actions: Action[] | undefined;
  let indexes: string[] | undefined;
  let expiresAt: Instant | null | undefined;
  for (const [member, value] of Object.entries(given)) {
    switch (member) {
      case "description":
        description = optionalText(value, ".description", "invalid_api_key_description");
        break;
      case "name":
        name = optionalText(value, ".name", "invalid_api_key_name");
        break;
      case "uid":
        uid = readUid(value);
        break;
      case "actions":
        actions = readList(value, ".actions", "invalid_api_key_actions", readAction);
        break;
      case "indexes":
        indexes = readList(value, ".indexes", "invalid_api_key_indexes", readPattern);
        break;
      case "expiresAt":
        expiresAt = readExpiry(value, now);
        break;
      default:
        throw unknownField(member, CREATION_FIELDS);
    }
  }
  if (actions === undefined) throw missingField("actions", "missing_api_key_actions");
  if (indexes === undefined) throw missingField("indexes", "missing_api_key_indexes");
  if (expiresAt === undefined) throw missingField("expiresAt", "missing_api_key_expires_at");
  refuseGlobalActions(actions, indexes);
  return {
    actions,
    indexes,
    ...(uid === undefined ? {} : { uid }),
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(expiresAt === null ? {} : { expiresAt }),
  };
}

function refuseGlobalActions(actions: readonly Action[], indexes: readonly string[]): void {
  if (indexes.length === 0 || indexes.includes("*")) return;
  const global = actions.find((action) => indexScope(action) === "global");
  if (global === undefined) return;
  const quoted = JSON.stringify(global);
  throw apiError(
    400,
    "index_scoped_api_key_with_global_action",
    `cannot create index-scoped API key with global action \`${quoted}\`\n  - Hint: remove action \`${quoted}\` from the action list, or remove \`indexes\` to make the key global`,
  );
}

interface Change {
  readonly name?: { readonly value?: string };
  readonly description?: { readonly value?: string };
}

function readUpdate(body: unknown): Change {
  const change: { name?: { value?: string }; description?: { value?: string } } = {};
  for (const [member, value] of Object.entries(asObject(body))) {
    if (member === "name" || member === "description") {
      const text = optionalText(value, `.${member}`, `invalid_api_key_${member}`);
      change[member] = text === undefined ? {} : { value: text };
    } else if (Object.hasOwn(IMMUTABLE, member)) {
      throw apiError(
        400,
        IMMUTABLE[member] ?? "bad_request",
        `Immutable field \`${member}\`: expected one of ${quotedList(UPDATE_FIELDS)}`,
      );
    } else throw unknownField(member, UPDATE_FIELDS);
  }
  return change;
}

function optionalText(value: unknown, path: string, code: string): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "string") throw wrongType(path, "a string", value, code);
  return value;
}

function readUid(value: unknown): string {
  const code = "invalid_api_key_uid";
  if (typeof value !== "string") throw wrongType(".uid", "a string", value, code);
  const uid = normalizedUuid(value);
  if (uid === undefined) throw apiError(400, code, `Invalid value at \`.uid\`: ${uuidFault(value)}`);
  return uid;
}

function readList<T>(
  value: unknown,
  path: string,
  code: string,
  read: (entry: string, path: string, code: string) => T,
): T[] {
  if (!Array.isArray(value)) throw wrongType(path, "an array", value, code);
  return value.map((entry: unknown, position) => {
    const place = `${path}[${position}]`;
    if (typeof entry !== "string") throw wrongType(place, "a string", entry, code);
    return read(entry, place, code);
  });
}

function readAction(text: string, path: string, code: string): Action {
  if (isAction(text)) return text;
  throw apiError(
    400,
    code,
    `Unknown value \`${text}\` at \`${path}\`: ${didYouMean(text, actionNames)}expected one of ${quotedList(actionNames)}`,
  );
}

function readPattern(text: string, path: string, code: string): string {
  if (isIndexPattern(text)) return text;
  throw apiError(400, code, `Invalid value at \`${path}\`: ${indexPatternFault(text)}`);
}

/** A time to come; RFC 3339, or the same without a zone, or a date alone: UTC then. */
function readExpiry(value: unknown, now: number): Instant | null {
  const code = "invalid_api_key_expires_at";
  if (value === null) return null;
  if (typeof value !== "string") throw wrongType(".expiresAt", "a string", value, code);
  const withZone = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}$/.test(value)
    ? `${value.replace(" ", "T")}Z`
    : value;
  const instant = parseInstant(withZone, "that-day");
  if (instant === undefined || Number(instant.seconds) * 1_000 + instant.nanos / 1e6 <= now) {
    throw apiError(
      400,
      code,
      `Invalid value at \`.expiresAt\`: \`${value}\` is not a valid date. It should follow the RFC 3339 format to represents a date or datetime in the future or specified as a null value. e.g. 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'.\n`,
    );
  }
  return instant;
}

function missingField(name: string, code: string) {
  return apiError(400, code, `Missing field \`${name}\``);
}

function keyNotFound(named: string) {
  return apiError(404, "api_key_not_found", `API key \`${named}\` not found.`);
}
