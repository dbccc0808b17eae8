import { keptChanges, SECRETS_PREFIX } from "../../settings/embedder-secrets.js";
import type { TopologyView } from "../topology/topology-view.js";

/** The embedders' keys that clients' changes brought to an index, the latest first. */
export function knownSecrets(view: TopologyView, instance: string): readonly unknown[] {
  const kept = view.resources.get(SECRETS_PREFIX + instance);
  if (kept === undefined) return [];
  return keptChanges(kept.json)
    .map(({ embedders }) => embedders)
    .reverse();
}
