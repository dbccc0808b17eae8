import { type Instant, parseInstant } from "../../tasks/rfc3339.js";
import { apiError, featureNotAvailable, indexUidFault } from "./api-errors.js";
import {
  flag,
  invalidValue,
  listOf,
  membersOf,
  nullable,
  object,
  type Reader,
  text,
  unsigned32,
  unsigned64,
} from "./body-schema.js";
import { requireFeature } from "./feature-gate.js";
import { parseJsonBody } from "./json-values.js";
import { text as parameterText, readParameters } from "./query-parameters.js";
import { readJsonBody } from "./request-body.js";
import {
  bodySource,
  parameter,
  type RouteAnswer,
  type RouteRequest,
  type RouteTable,
} from "./route-table.js";
import type { RouteServices } from "./services.js";

const CHANGE_ACTION = "Using the `/dynamic-search-rules` routes";
const DEFAULT_LIMIT = 20;
const CHANGE_PARAMETERS = { customMetadata: { code: "bad_request", read: parameterText } } as const;
const CONDITIONS_CODE = "invalid_dynamic_search_rule_conditions";

interface Time {
  readonly instant: Instant;
  /** As the client wrote it. */
  readonly text: string;
}

const time: Reader<Time> = (value, path, code) => {
  const given = text(value, path, code);
  const instant = parseInstant(given, "that-day");
  if (instant !== undefined && given.includes("T")) return { instant, text: given };
  throw invalidValue(
    path,
    `\`${given}\` is not a valid date. It should follow the RFC 3339 format to represents a date or datetime in the future or specified as a null value. e.g. 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'.\n`,
    code,
  );
};

const indexUid: Reader<string> = (value, path, code) => {
  const uid = text(value, path, code);
  const fault = indexUidFault(uid);
  if (fault !== undefined) throw invalidValue(path, fault, code);
  return uid;
};

const conditionMembers = object({
  time: {
    read: nullable(
      object({ start: { read: nullable(time) }, end: { read: nullable(time) } }, { open: true }),
    ),
  },
  query: {
    read: nullable(object({ isEmpty: { read: nullable(flag) }, words: { read: nullable(text) } })),
  },
});

const conditions: Reader<unknown> = (value, path, code) => {
  const { query, time: span } = conditionMembers(value, path, code);
  if (query?.isEmpty === true && typeof query.words === "string") {
    throw invalidValue(
      `${path}.query`,
      "either `isEmpty` or `words` can be used, not both at once",
      "bad_request",
    );
  }
  const { start, end } = span ?? {};
  if (start && end && isLater(start.instant, end.instant)) {
    throw invalidValue(
      `${path}.time`,
      `\`end\` (\`${printTime(end)}\`) should be later than \`start\` (\`${printTime(start)}\`)`,
      "bad_request",
    );
  }
  return undefined;
};

function isLater(a: Instant, b: Instant): boolean {
  return a.seconds === b.seconds ? a.nanos > b.nanos : a.seconds > b.seconds;
}

/** `2025-11-28 0:00:00.0 +00:00:00`. */
function printTime({ text: given }: Time): string {
  const [, date = "", hour = "", rest = "", fraction = "0", zone = "Z"] =
    /^(.{10})T(\d\d)(:\d\d:\d\d)(?:\.(\d+))?(.*)$/.exec(given) ?? [];
  const offset = zone.toUpperCase() === "Z" ? "+00:00" : zone;
  return `${date} ${Number(hour)}${rest}.${fraction.replace(/0+$/, "") || "0"} ${offset}:00`;
}

const pinMembers = object({ position: { read: unsigned32, required: true } });

/** Pinning is the only action; its type stands beside its members. */
const action: Reader<unknown> = (value, path, code) => {
  const { type, ...members } = membersOf(value, path, code);
  if (type === undefined) throw apiError(400, code, `Missing field \`type\` inside \`${path}\``);
  if (text(type, `${path}.type`, code) !== "pin") throw invalidValue(path, "Incorrect tag value", code);
  return pinMembers(members, path, code);
};

const readRule = object({
  description: { read: nullable(text), code: "invalid_dynamic_search_rule_description" },
  precedence: { read: nullable(unsigned64), code: "invalid_dynamic_search_rule_priority" },
  active: { read: nullable(flag), code: "invalid_dynamic_search_rule_active" },
  conditions: { read: nullable(conditions), code: CONDITIONS_CODE },
  actions: {
    read: nullable(
      listOf(
        object({
          selector: {
            read: object({ indexUid: { read: nullable(indexUid) }, id: { read: text, required: true } }),
            required: true,
          },
          action: { read: action, required: true },
        }),
      ),
    ),
    code: "invalid_dynamic_search_rule_actions",
  },
});

const readListing = object({
  offset: { read: unsigned64, code: "invalid_dynamic_search_rule_offset" },
  limit: { read: unsigned64, code: "invalid_dynamic_search_rule_limit" },
  filter: {
    read: nullable(
      object({
        query: { read: nullable(text), code: "invalid_dynamic_search_rule_filter_query" },
        active: { read: nullable(flag), code: "invalid_dynamic_search_rule_filter_active" },
      }),
    ),
    code: "invalid_dynamic_search_rule_filter",
  },
});

/**
 * Meilisearch's experimental rules for searches. A rule pins documents to places of the whole list of hits, and which rules apply is
 * decided by a search of the rules themselves, inside a node; so there are none, and none can be made.
 */
export function registerSearchRules(routes: RouteTable, { topology, config }: RouteServices): void {
  const gate = (action: string): void => requireFeature(topology, "dynamicSearchRules", action);
  const readBody = async (request: RouteRequest): Promise<unknown> =>
    parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
  /** A uid that no rule can have names no route. */
  const withUid =
    (handle: (request: RouteRequest, uid: string) => Promise<RouteAnswer>) =>
    async (request: RouteRequest): Promise<RouteAnswer> => {
      const uid = parameter(request, "ruleUid");
      const fault = indexUidFault(uid);
      return fault === undefined
        ? handle(request, uid)
        : { status: 404, body: fault, contentType: "text/plain; charset=utf-8" };
    };

  routes.on("POST", "/dynamic-search-rules", "dynamicSearchRules.get", async (request) => {
    const { offset = 0, limit = DEFAULT_LIMIT } = readListing(await readBody(request), "", "bad_request");
    gate("Calling the `POST /dynamic-search-rules` route");
    return { status: 200, body: JSON.stringify({ results: [], offset, limit, total: 0 }) };
  });

  routes.on(
    "GET",
    "/dynamic-search-rules/:ruleUid",
    "dynamicSearchRules.get",
    withUid(async (_request, uid) => {
      gate("Calling the `GET /dynamic-search-rules/{:ruleUid}` route");
      throw apiError(404, "dynamic_search_rule_not_found", `Dynamic search rule \`${uid}\` not found.`);
    }),
  );

  routes.on(
    "PATCH",
    "/dynamic-search-rules/:ruleUid",
    "dynamicSearchRules.update",
    withUid(async (request) => {
      readParameters(request.query, CHANGE_PARAMETERS);
      readRule(await readBody(request), "", "bad_request");
      gate(CHANGE_ACTION);
      throw notAvailable("PATCH /dynamic-search-rules/{ruleUid}");
    }),
  );

  const remove = withUid(async () => {
    gate(CHANGE_ACTION);
    throw notAvailable("DELETE /dynamic-search-rules/{ruleUid}");
  });
  routes.on("DELETE", "/dynamic-search-rules/:ruleUid", "dynamicSearchRules.delete", async (request) => {
    // Here parameters come before the uid.
    readParameters(request.query, CHANGE_PARAMETERS);
    return remove(request);
  });

  routes.on("DELETE", "/dynamic-search-rules", "dynamicSearchRules.delete", async (request) => {
    readParameters(request.query, CHANGE_PARAMETERS);
    gate(CHANGE_ACTION);
    throw notAvailable("DELETE /dynamic-search-rules");
  });
}

function notAvailable(route: string) {
  return featureNotAvailable(
    `\`${route}\``,
    "Rules pin documents to places of the whole list of hits, which no node has. Sort, or rank by an attribute, instead.",
  );
}
