import { create } from "@bufbuild/protobuf";
import type { Task } from "../../gen/miroir/v1/tasks_pb.js";
import { ResourceSchema, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { type KeptChange, keptChanges, SECRETS_PREFIX } from "../../settings/embedder-secrets.js";
import { type TaskStore, taskUid } from "../../store/task-store.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** Whether a resource is the control plane's own, and nothing that clients set. */
export function holdsSecrets(name: string): boolean {
  return name.startsWith(SECRETS_PREFIX);
}

/** Changes with secrets that are kept of one index. */
const MAX_CHANGES = 20;

/**
 * Keeps the API keys of embedders that settings changes bring. Nodes show them masked, and a dump without them could not be restored. They
 * lie among the topology's resources, which `GetTopology` shows without their contents; those of indexes that are gone go with the next
 * change.
 */
export async function keepEmbedderSecrets(topology: TopologyManager, tasks: readonly Task[]): Promise<void> {
  const changes = tasks.filter(
    ({ embedderSecretsJson, instance }) => embedderSecretsJson !== "" && instance !== "",
  );
  if (changes.length === 0) return;
  await topology.change("API keys of embedders", (draft) => {
    for (const { uid, instance, embedderSecretsJson } of changes) {
      const kept = keptOf(draft, instance).filter(({ taskUid }) => taskUid !== Number(uid));
      kept.push({ taskUid: Number(uid), embedders: JSON.parse(embedderSecretsJson) as unknown });
      keep(draft, instance, kept.slice(-MAX_CHANGES));
    }
    draft.resources = draft.resources.filter(
      ({ name }) =>
        !holdsSecrets(name) || findInstance(draft, name.slice(SECRETS_PREFIX.length)) !== undefined,
    );
  });
}

/** The secrets of the changes to an index that were made, the last one first, as `unmaskSecrets` takes them. */
export async function keptSecrets(
  topology: Topology,
  store: TaskStore,
  instance: string,
): Promise<readonly unknown[]> {
  const kept = keptOf(topology, instance);
  const rows = await store.tasks.getMany(kept.map(({ taskUid: uid }) => taskUid(uid)));
  const statuses = new Map(rows.map(({ uid, status }) => [Number(uid), status]));
  return kept
    .filter(({ taskUid: uid }) => {
      const status = statuses.get(uid);
      // One that is no longer known ended long ago.
      return status === undefined || status === "succeeded";
    })
    .map(({ embedders }) => embedders)
    .reverse();
}

function keptOf(topology: Topology, instance: string): KeptChange[] {
  const held = topology.resources.find(({ name }) => name === SECRETS_PREFIX + instance);
  return held === undefined ? [] : [...keptChanges(held.json)];
}

function keep(draft: Topology, instance: string, changes: readonly KeptChange[]): void {
  const name = SECRETS_PREFIX + instance;
  const held = draft.resources.find((resource) => resource.name === name);
  const json = JSON.stringify(changes);
  if (held === undefined) {
    draft.resources = [...draft.resources, create(ResourceSchema, { name, json, version: 1n })].sort(
      (a, b) => (a.name < b.name ? -1 : 1),
    );
    return;
  }
  held.json = json;
  held.version += 1n;
}
