import { removeMembers, replaceMember, setMember } from "../../json/edit.js";
import { findMember } from "../../json/members.js";
import { featureNotAvailable, notUnderstood } from "../http/api-errors.js";
import type { Network } from "../http/network-merge.js";
import type { TopologyView } from "../topology/topology-view.js";
import { insideQuery } from "./multi-search-errors.js";
import type { MultiSearchQuery } from "./multi-search-query.js";

/** The queries of a federated search, told apart by the server of the experimental network that is to answer them. */
export interface PlacedInNetwork {
  /** This server's own name in the network, where a query asks for a server by name; undefined where none does. */
  readonly self: string | undefined;
  /** The first thing that Miroir does not do; a node may have more to say against the queries. */
  readonly fault: unknown;
  /** The body for nodes to judge, which hold no network: without the names of servers that the network knows. */
  readonly judged: Buffer;
}

/** Where a query goes. */
type Place = { readonly kind: "plain" } | { readonly kind: "self" } | Refused;

/** Not served here. */
interface Refused {
  readonly kind: "refused";
  readonly error: unknown;
  /** Whether nodes would take its server for unknown, which it is not. */
  readonly isRegistered: boolean;
}

/**
 * Finds the server for each query of a federated search. A query for this server by its own name is answered as any other; Miroir asks no
 * other server.
 *
 * @param original the body as the client sent it
 */
export function placeInNetwork(
  view: TopologyView,
  queries: readonly MultiSearchQuery[],
  original: Buffer,
): PlacedInNetwork {
  if (queries.every(({ network }) => network === undefined)) {
    return { self: undefined, fault: undefined, judged: original };
  }
  const network = networkOf(view);
  const places = queries.map((query) => placeOf(view, network, query));
  const refused = places.findIndex(({ kind }) => kind === "refused");
  const first = places[refused];
  return {
    self: places.some(({ kind }) => kind === "self") ? (network?.self ?? undefined) : undefined,
    fault: first?.kind === "refused" ? insideQuery(refused, first.error) : undefined,
    judged: withoutKnownRemotes(original, queries, places),
  };
}

/** 400: the query is for other servers. */
export function otherServersNotAsked(): unknown {
  return featureNotAvailable(
    "A search on other servers of the network",
    "Search them one by one, or add their documents to this fleet.",
  );
}

/** The name under which the network is kept among the topology's resources. */
export const NETWORK_RESOURCE = "network";

function networkOf(view: TopologyView): Network | undefined {
  const json = view.resources.get(NETWORK_RESOURCE)?.json;
  return json === undefined ? undefined : (JSON.parse(json) as Network);
}

function placeOf(
  view: TopologyView,
  network: Network | undefined,
  { network: asked }: MultiSearchQuery,
): Place {
  if (asked === undefined) return { kind: "plain" };
  const { remote, useNetwork, hasPosition } = asked;
  const isOn = view.experimentalFeatures.has("network");
  const isContradiction = remote !== undefined && useNetwork === true;
  // Nodes have the feature as the fleet has it, and so say what is wrong without a network too.
  if (!isOn || isContradiction) return { kind: "refused", error: notUnderstood(), isRegistered: false };
  const self = network?.self ?? undefined;
  const names = Object.keys(network?.remotes ?? {});
  const isRegistered = remote !== undefined && (remote === self || names.includes(remote));
  if (hasPosition) return { kind: "refused", error: positionNotTaken(), isRegistered };
  if (useNetwork === true) {
    const isAlone = self !== undefined && names.length === 1 && names[0] === self;
    return isAlone ? { kind: "self" } : { kind: "refused", error: otherServersNotAsked(), isRegistered };
  }
  if (remote === undefined) return { kind: "plain" };
  if (remote === self) return { kind: "self" };
  return { kind: "refused", error: isRegistered ? otherServersNotAsked() : notUnderstood(), isRegistered };
}

function positionNotTaken(): unknown {
  return featureNotAvailable(
    "`federationOptions.queryPosition`",
    "Servers of a network send it to each other, and a fleet answers clients alone.",
  );
}

function withoutKnownRemotes(
  original: Buffer,
  queries: readonly MultiSearchQuery[],
  places: readonly Place[],
): Buffer {
  const texts = queries.map(({ text }, at) => {
    const place = places[at];
    const isKnown = place?.kind === "self" || (place?.kind === "refused" && place.isRegistered);
    const options = isKnown ? findMember(text, "federationOptions") : undefined;
    if (options === undefined || queries[at]?.network?.remote === undefined) return text.toString("utf8");
    const value = text.subarray(options.valueStart, options.valueEnd);
    const kept = removeMembers(value, (key) => key === "remote");
    return replaceMember(text, "federationOptions", kept).toString("utf8");
  });
  return setMember(original, "queries", `[${texts.join(",")}]`);
}
