import type { AuthFilter } from "../auth/auth-filter.js";
import type { IndexSwap } from "../write/types.js";
import { apiError, indexUidFault } from "./api-errors.js";
import { invalidKey } from "./authentication.js";
import { asObject, parseJsonBody, unknownField, wrongType } from "./json-values.js";
import { quotedList } from "./query-parameters.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const FIELDS = ["indexes", "rename"] as const;

/** `POST /swap-indexes`. */
export function registerSwapIndexes(routes: RouteTable, services: RouteServices): void {
  const { writes, config } = services;
  routes.on(
    "POST",
    "/swap-indexes",
    "indexes.swap",
    services.writeRouter.handleRead(async (request) => {
      const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
      const swaps = checkedSwaps(readSwaps(parseJsonBody(body)), request.auth);
      // One proxy for each set of names, whoever is asked: two that swap the same indexes do not wait for each other.
      const [indexUid] = swaps.flatMap(({ indexes }) => indexes).sort();
      return { indexUid, body, write: () => writes.swapIndexes(swaps, request.signal) };
    }),
  );
}

interface GivenSwap {
  readonly indexes: readonly string[];
  readonly rename: boolean;
}

function readSwaps(body: unknown): readonly GivenSwap[] {
  if (!Array.isArray(body)) throw wrongType("", "an array", body, "bad_request");
  return body.map((entry: unknown, at) => readSwap(entry, `[${at}]`));
}

function readSwap(entry: unknown, path: string): GivenSwap {
  let indexes: readonly string[] | undefined;
  let rename = false;
  for (const [name, value] of Object.entries(asObject(entry, path))) {
    if (name === "indexes") indexes = readIndexes(value, `${path}.indexes`);
    else if (name === "rename") {
      if (typeof value !== "boolean")
        throw wrongType(`${path}.rename`, "a boolean", value, "invalid_swap_rename");
      rename = value;
    } else throw unknownField(name, FIELDS, path);
  }
  if (indexes === undefined) {
    throw apiError(400, "missing_swap_indexes", `Missing field \`indexes\` inside \`${path}\``);
  }
  return { indexes, rename };
}

function readIndexes(value: unknown, path: string): readonly string[] {
  if (!Array.isArray(value)) throw wrongType(path, "an array", value, "invalid_swap_indexes");
  return value.map((uid: unknown, at) => {
    const place = `${path}[${at}]`;
    if (typeof uid !== "string") throw wrongType(place, "a string", uid, "invalid_swap_indexes");
    const fault = indexUidFault(uid);
    if (fault === undefined) return uid;
    throw apiError(400, "invalid_swap_indexes", `Invalid value at \`${place}\`: ${fault}`);
  });
}

/** Pairs of indexes that the key may touch, none of them named twice. @throws MeilisearchError */
function checkedSwaps(given: readonly GivenSwap[], auth: AuthFilter): readonly IndexSwap[] {
  const swaps = given.map(({ indexes, rename }): IndexSwap => {
    const [left, right, ...more] = indexes;
    if (left === undefined || right === undefined || more.length > 0) {
      const list = `[${indexes.map((uid) => `"${uid}"`).join(", ")}]`;
      throw apiError(
        400,
        "invalid_swap_indexes",
        `Two indexes must be given for each swap. The list \`${list}\` contains ${indexes.length} indexes.`,
      );
    }
    if (!auth.allows(left) || !auth.allows(right)) throw invalidKey();
    return { indexes: [left, right], rename };
  });
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const uid of swaps.flatMap(({ indexes }) => indexes)) {
    if (seen.has(uid)) twice.add(uid);
    seen.add(uid);
  }
  if (twice.size === 0) return swaps;
  const names = quotedList([...twice].sort());
  throw apiError(
    400,
    "invalid_swap_duplicate_index_found",
    `Indexes must be declared only once during a swap. ${names} ${twice.size === 1 ? "was" : "were"} specified several times.`,
  );
}
