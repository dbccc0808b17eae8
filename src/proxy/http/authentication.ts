import type { World } from "../../runtime/world.js";
import type { Action } from "../auth/actions.js";
import type { ApiKey } from "../auth/api-key.js";
import type { AuthFilter } from "../auth/auth-filter.js";
import { KeyRing } from "../auth/key-ring.js";
import type { TopologySource } from "../topology/topology-view.js";
import { apiError, notReady } from "./api-errors.js";

/** Tells who asks, and what they may. */
export interface Authentication {
  /**
   * What a request may touch.
   *
   * @param header its `Authorization`
   * @param indexUid the index in its path
   * @throws MeilisearchError 401 or 403, as Meilisearch answers it; 503 for a key while no topology is known
   */
  authenticate(header: string | undefined, action: Action, indexUid: string | undefined): AuthFilter;
  /** The keys of the topology in use. */
  keyRing(): KeyRing;
}

/** Authentication by master key, by the API keys of the topology, and by tenant tokens made with them. */
export function createAuthentication(
  configuredKey: string | undefined,
  topology: TopologySource,
  { clock }: Pick<World, "clock">,
): Authentication {
  const masterKey = configuredKey === "" ? undefined : configuredKey;
  const none: readonly ApiKey[] = [];
  let keys = none;
  let ring = new KeyRing(masterKey, keys);
  const keyRing = (): KeyRing => {
    const newest = topology.current()?.apiKeys ?? none;
    if (newest !== keys) {
      keys = newest;
      ring = new KeyRing(masterKey, keys, ring);
    }
    return ring;
  };
  return {
    keyRing,
    authenticate(header, action, indexUid) {
      const token = bearerToken(header);
      const decision = keyRing().decide({ action, indexUid, token, now: clock.now() });
      switch (decision.kind) {
        case "granted":
          return decision.filter;
        case "no-token":
          throw missingHeader();
        case "no-master-key":
          throw missingMasterKey();
        case "refused":
          // It may be a key of the topology that has not arrived yet.
          if (topology.current() === undefined) throw notReady();
          throw apiError(403, "invalid_api_key", decision.message, "auth");
      }
    },
  };
}

/** 403 for a key that is good for the route, and not for what the request's body asks. */
export function invalidKey() {
  return apiError(403, "invalid_api_key", "The provided API key is invalid.", "auth");
}

/** 401 where keys are to be managed and no master key is set. */
export function missingMasterKey() {
  return apiError(
    401,
    "missing_master_key",
    "Meilisearch is running without a master key. To access this API endpoint, you must have set a master key at launch.",
    "auth",
  );
}

function bearerToken(header: string | undefined): string | undefined {
  // A header that is no ASCII is none to Meilisearch.
  if (header === undefined || !/^[\t -~]*$/.test(header)) return undefined;
  const space = header.indexOf(" ");
  if ((space === -1 ? header : header.slice(0, space)) !== "Bearer") throw missingHeader();
  if (space === -1) throw invalidKey();
  return header.slice(space + 1);
}

function missingHeader() {
  return apiError(
    401,
    "missing_authorization_header",
    "The Authorization header is missing. It must use the bearer authorization method.",
    "auth",
  );
}
