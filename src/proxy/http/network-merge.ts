import { compareUtf8 } from "../../merge/text-order.js";
import { apiError } from "./api-errors.js";
import { urlFault } from "./url-fault.js";

/** A network as Meilisearch prints it, members in its order. */
export interface Network {
  readonly self: string | null;
  readonly remotes: Readonly<Record<string, Remote>>;
  readonly shards: Readonly<Record<string, Shard>>;
  readonly leader: null;
  readonly version: string;
}

interface Remote {
  readonly url: string;
  readonly searchApiKey: string | null;
  readonly writeApiKey: string | null;
  readonly status: "available";
}

interface Shard {
  readonly remotes: readonly string[];
}

/** A change as clients ask for it: absent leaves as it is, null takes away. */
export interface NetworkChange {
  readonly self?: string | null;
  readonly leader?: string | null;
  readonly remotes?: ReadonlyMap<string, RemoteChange | null> | null;
  readonly shards?: ReadonlyMap<string, ShardChange | null> | null;
}

interface RemoteChange {
  readonly url?: string | null;
  readonly searchApiKey?: string | null;
  readonly writeApiKey?: string | null;
}

interface ShardChange {
  readonly remotes?: readonly string[] | null;
  readonly addRemotes?: readonly string[] | null;
  readonly removeRemotes?: readonly string[] | null;
}

/** What is before the first change. */
export const NO_NETWORK: Network = {
  self: null,
  remotes: {},
  shards: {},
  leader: null,
  version: "00000000-0000-0000-0000-000000000000",
};

/**
 * The network after a change. Shards that no remote owns are left out.
 *
 * @throws MeilisearchError for a remote without a URL that can be one
 */
export function mergeNetwork(network: Network, change: NetworkChange, version: string): Network {
  const shards = mergeShards(network.shards, change.shards);
  const remotes = mergeRemotes(network.remotes, change.remotes, shards);
  for (const [name, owners] of shards) if (owners.size === 0) shards.delete(name);
  return {
    self: change.self === undefined ? network.self : change.self,
    remotes: sorted(remotes),
    shards: sorted(
      new Map([...shards].map(([name, owners]) => [name, { remotes: [...owners].sort(compareUtf8) }])),
    ),
    leader: null,
    version,
  };
}

function mergeShards(held: Network["shards"], change: NetworkChange["shards"]): Map<string, Set<string>> {
  if (change === null) return new Map();
  const shards = new Map(Object.entries(held).map(([name, { remotes }]) => [name, new Set(remotes)]));
  for (const [name, asked] of change ?? []) {
    if (asked === null) {
      shards.delete(name);
      continue;
    }
    const owners = new Set(asked.remotes ?? shards.get(name));
    for (const remote of asked.addRemotes ?? []) owners.add(remote);
    for (const remote of asked.removeRemotes ?? []) owners.delete(remote);
    shards.set(name, owners);
  }
  return shards;
}

/** Takes remotes that go out of `shards` too. */
function mergeRemotes(
  held: Network["remotes"],
  change: NetworkChange["remotes"],
  shards: ReadonlyMap<string, Set<string>>,
): Map<string, Remote> {
  if (change === null) return new Map();
  const remotes = new Map(Object.entries(held));
  for (const [name, asked] of [...(change ?? [])].sort(([a], [b]) => compareUtf8(a, b))) {
    if (asked !== null) {
      remotes.set(name, mergeRemote(name, remotes.get(name), asked));
      continue;
    }
    remotes.delete(name);
    for (const owners of shards.values()) owners.delete(name);
  }
  return remotes;
}

function mergeRemote(name: string, held: Remote | undefined, asked: RemoteChange): Remote {
  const { url = held?.url ?? null, searchApiKey, writeApiKey } = asked;
  if (url === null) {
    if (held === undefined)
      throw apiError(400, "missing_network_url", `Missing field \`.remotes.${name}.url\``);
    throw apiError(400, "invalid_network_url", `Field \`.remotes.${name}.url\` cannot be set to \`null\``);
  }
  const fault = asked.url === undefined ? undefined : urlFault(url);
  if (fault !== undefined) {
    throw apiError(400, "invalid_network_url", `Invalid \`.remotes.${name}.url\` (\`${url}\`): ${fault}`);
  }
  return {
    url,
    searchApiKey: searchApiKey === undefined ? (held?.searchApiKey ?? null) : searchApiKey,
    writeApiKey: writeApiKey === undefined ? (held?.writeApiKey ?? null) : writeApiKey,
    status: "available",
  };
}

function sorted<T>(members: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...members].sort(([a], [b]) => compareUtf8(a, b)));
}
