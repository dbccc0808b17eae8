import type { FieldsRequest } from "../read/fields.js";
import { isPlainInteger } from "../read/search-query.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `POST /indexes/{uid}/fields`. */
export function registerFields(routes: RouteTable, { fields, config }: RouteServices): void {
  routes.on("POST", "/indexes/:indexUid/fields", "fields.post", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const original = { method: "POST", path: "/fields", body } as const;
    const asked = fieldsRequestOf(parseJsonBody(body), body);
    const answer = await fields.list(parameter(request, "indexUid"), asked, original, request.signal);
    return { status: 200, ...answer };
  });
}

const DEFAULT_LIMIT = 20;

/** Undefined where a member that Miroir reads is not as it has to be: a node then says what is wrong. */
function fieldsRequestOf(body: unknown, text: Buffer): FieldsRequest | undefined {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return undefined;
  const { offset, limit, filter, ...rest } = body as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries({ offset, limit })) {
    if (value !== undefined && (typeof value !== "number" || !isPlainInteger(text, name))) return undefined;
  }
  const page = {
    offset: typeof offset === "number" ? offset : 0,
    limit: typeof limit === "number" ? limit : DEFAULT_LIMIT,
  };
  if (filter === undefined || filter === null) return { page: { ...page, displayed: null }, rest };
  if (typeof filter !== "object" || Array.isArray(filter)) return undefined;
  const { displayed, ...others } = filter as Readonly<Record<string, unknown>>;
  if (displayed === undefined || displayed === null || typeof displayed === "boolean") {
    return { page: { ...page, displayed: displayed ?? null }, rest: { ...rest, filter: others } };
  }
  return undefined;
}
