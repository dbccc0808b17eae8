import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import { formatMoment } from "../../tasks/rfc3339.js";

/** What an operator should know of a fleet, in words: nothing of it keeps the fleet from serving. */
export function fleetWarnings(topology: Topology): readonly string[] {
  return [...versionWarnings(topology), ...absenceWarnings(topology), ...evictionWarnings(topology)];
}

/** The Meilisearch releases that the nodes run, with the nodes of each. */
export function nodeVersions({ nodes }: Topology): ReadonlyMap<string, readonly string[]> {
  const versions = new Map<string, string[]>();
  for (const { id, meilisearchVersion } of nodes) {
    if (meilisearchVersion === "") continue;
    versions.set(meilisearchVersion, [...(versions.get(meilisearchVersion) ?? []), id]);
  }
  return versions;
}

function versionWarnings(topology: Topology): readonly string[] {
  const versions = nodeVersions(topology);
  if (versions.size < 2) return [];
  const told = [...versions].sort().map(([version, ids]) => `${version} on ${ids.join(", ")}`);
  return [
    `nodes run different Meilisearch versions (${told.join("; ")}): replicas of a shard may rank alike documents in another order until all run the same`,
  ];
}

function absenceWarnings({ nodes }: Topology): readonly string[] {
  return nodes
    .filter(({ evicted }) => !evicted)
    .flatMap(({ id, unreachableSince }) =>
      unreachableSince === undefined
        ? []
        : [`${id} has not answered since ${formatMoment(unreachableSince)}`],
    );
}

function evictionWarnings({ nodes }: Topology): readonly string[] {
  return nodes
    .filter(({ evicted }) => evicted)
    .map(({ id }) => `${id} was away for too long; what it held is made anew on others`);
}
