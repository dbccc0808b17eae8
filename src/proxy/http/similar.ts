import { findMember } from "../../json/members.js";
import type { JsonValue, SearchParameters } from "../../merge/index.js";
import type { SimilarParameters } from "../../merge/similar.js";
import { primaryKeyText } from "../../placement/shard.js";
import { withTenantFilter } from "../auth/tenant-filter.js";
import { isPlainInteger } from "../read/search-query.js";
import type { SimilarRequest } from "../read/similar.js";
import { asObject, parseJsonBody } from "./json-values.js";
import { splitCommaSeparated } from "./query-parameters.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `GET` and `POST /indexes/{uid}/similar`. */
export function registerSimilar(routes: RouteTable, { similar, config }: RouteServices): void {
  routes.on("POST", "/indexes/:indexUid/similar", "search", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const asked = narrowed(request, askedInBody(parseJsonBody(body), body));
    const original = { method: "POST", path: "/similar", body } as const;
    const answer = await similar.similar(parameter(request, "indexUid"), asked, original, request.signal);
    return { status: 200, ...answer };
  });

  routes.on("GET", "/indexes/:indexUid/similar", "search", async (request) => {
    const asked = narrowed(request, askedInQuery(request.query));
    const path = `/similar${request.query === "" ? "" : `?${request.query}`}`;
    const original = { method: "GET", path } as const;
    const answer = await similar.similar(parameter(request, "indexUid"), asked, original, request.signal);
    return { status: 200, ...answer };
  });
}

type Asked = Pick<SimilarRequest, "parameters" | "id">;

/** The request as its tenant token allows it. */
function narrowed(request: RouteRequest, asked: Asked | undefined): SimilarRequest | undefined {
  if (asked === undefined) return undefined;
  const { parameters, id } = asked;
  const indexUid = parameter(request, "indexUid");
  const { filter } = withTenantFilter(
    { filter: parameters.filter },
    request.auth,
    indexUid,
  ) as SearchParameters;
  return {
    id,
    parameters: filter === undefined ? parameters : { ...parameters, filter },
    documentFilter: request.auth.searchRules(indexUid)?.filter as JsonValue | undefined,
  };
}

/** What Meilisearch takes for an id of a document. */
const DOCUMENT_ID = /^[A-Za-z0-9_-]{1,511}$/;

/** Undefined where something is not as it has to be: a node then says what. */
function askedInBody(body: unknown, text: Buffer): Asked | undefined {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return undefined;
  const { id: _id, ...parameters } = asObject(body);
  for (const [name, value] of Object.entries(parameters)) {
    const accepts = Object.hasOwn(MEMBERS, name) ? MEMBERS[name] : undefined;
    if (accepts === undefined || !accepts(value)) return undefined;
  }
  if ((["offset", "limit"] as const).some((name) => name in parameters && !isPlainInteger(text, name))) {
    return undefined;
  }
  const member = findMember(text, "id");
  const id = member && primaryKeyText(text.subarray(member.valueStart, member.valueEnd));
  if (id === undefined || !DOCUMENT_ID.test(id) || parameters.embedder === undefined) return undefined;
  return { id, parameters: parameters as unknown as SimilarParameters };
}

const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isNumber = (value: unknown): boolean => typeof value === "number";

const MEMBERS: Readonly<Record<string, (value: unknown) => boolean>> = {
  embedder: (value) => typeof value === "string",
  offset: isNumber,
  limit: isNumber,
  filter: () => true,
  attributesToRetrieve: (value) =>
    value === null || (Array.isArray(value) && value.every((name) => typeof name === "string")),
  retrieveVectors: isBoolean,
  showRankingScore: isBoolean,
  showRankingScoreDetails: isBoolean,
  showPerformanceDetails: isBoolean,
  rankingScoreThreshold: (value) => value === null || isScore(value),
};

function isScore(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function askedInQuery(query: string): Asked | undefined {
  const parameters: Record<string, JsonValue> = {};
  let id: string | undefined;
  for (const [name, text] of new Map(new URLSearchParams(query))) {
    if (name === "id") {
      id = text;
      continue;
    }
    const read = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
    const value = read?.(text);
    if (value === undefined) return undefined;
    parameters[name] = value;
  }
  if (id === undefined || !DOCUMENT_ID.test(id) || parameters.embedder === undefined) return undefined;
  return { id, parameters: parameters as unknown as SimilarParameters };
}

type Reader = (text: string) => JsonValue | undefined;

const size: Reader = (text) => (/^\+?[0-9]{1,19}$/.test(text) ? Number(text) : undefined);
const boolean: Reader = (text) => (text === "true" ? true : text === "false" ? false : undefined);

const READERS: Readonly<Record<string, Reader>> = {
  embedder: (text) => text,
  offset: size,
  limit: size,
  attributesToRetrieve: splitCommaSeparated,
  retrieveVectors: boolean,
  showRankingScore: boolean,
  showRankingScoreDetails: boolean,
  showPerformanceDetails: boolean,
  rankingScoreThreshold: (text) => (text !== "" && isScore(Number(text)) ? Number(text) : undefined),
  // A filter that reads as JSON is that JSON; anything else is one expression.
  filter: (text) => {
    try {
      return JSON.parse(text) as JsonValue;
    } catch {
      return text;
    }
  },
};
