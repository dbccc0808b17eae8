import type { Dump } from "../../dumps/dump-reader.js";
import { type ProxyApi, ProxyRefusalError } from "../proxy-api.js";

/** What became of the dump's keys. */
export interface RestoredKeys {
  readonly created: number;
  /** Were there already, under the same uid. */
  readonly present: number;
  /** Have expired, so that no server takes them any more. */
  readonly expired: number;
  /** Default keys that the new fleet had made, in place of which the dump's are there now. */
  readonly replaced: number;
}

type Key = Readonly<Record<string, unknown>>;

const PAGE = 1_000;
const NO_KEYS = { leftOut: "the fleet has no master key" } as const;
const DEFAULT_KEY = /^Default .* API Key$/;

/**
 * Creates the dump's API keys under their uids, in the order of the dump, so that they are listed in the order that they had. Under the same master
 * key they have the same secrets.
 *
 * @param replaceDefaults takes the place of the default keys that the fleet made when it was new
 * @returns why there are none, where the fleet has no master key
 */
export async function restoreKeys(
  api: ProxyApi,
  dump: Dump,
  now: number,
  replaceDefaults: boolean,
): Promise<RestoredKeys | { readonly leftOut: string }> {
  let held: readonly Key[];
  try {
    ({ results: held } = await api.call<{ results: readonly Key[] }>("GET", `/keys?limit=${PAGE}`));
  } catch (error) {
    if (error instanceof ProxyRefusalError && error.code === "missing_master_key") return NO_KEYS;
    throw error;
  }
  const dumped = await dump.keys();
  const uids = new Set(held.map(({ uid }) => uid));
  let [created, present, expired, replaced] = [0, 0, 0, 0];
  for (const { uid, name, description, actions, indexes, expiresAt } of dumped) {
    if (uids.has(uid)) present += 1;
    else if (typeof expiresAt === "string" && Date.parse(expiresAt) <= now) expired += 1;
    else {
      await createKey(api, { uid, name, description, actions, indexes, expiresAt });
      created += 1;
    }
  }
  const wanted = new Set(dumped.map(({ uid }) => uid));
  for (const key of replaceDefaults ? held : []) {
    const isTwin = dumped.some(({ name, actions }) => name === key.name && sameText(actions, key.actions));
    if (wanted.has(key.uid) || !DEFAULT_KEY.test(String(key.name)) || !isTwin) continue;
    await api.call("DELETE", `/keys/${String(key.uid)}`);
    replaced += 1;
  }
  return { created, present, expired, replaced };
}

/** A repeated request finds the key that the first one made. */
async function createKey(api: ProxyApi, key: Key): Promise<void> {
  try {
    await api.call("POST", "/keys", key);
  } catch (error) {
    if (!(error instanceof ProxyRefusalError && error.code === "api_key_already_exists")) throw error;
  }
}

function sameText(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
