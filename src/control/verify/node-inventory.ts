import { ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { parsePhysicalName, physicalName } from "../../placement/physical-name.js";
import { isAway } from "../nodes/away-nodes.js";
import { indexNames } from "../nodes/node-contents.js";
import { PROBE_PREFIX } from "../nodes/same-server.js";
import { QUIET_MS, type VerifyRun } from "./verify-context.js";
import type { FoundDifference } from "./verify-events.js";

/** Indexes that lie on nodes and should not, and such that should and do not; both seen twice, a moment apart. */
export async function verifyInventory(run: VerifyRun): Promise<readonly FoundDifference[]> {
  const first = await look(run);
  if (first.size === 0) return [];
  await run.world.timers.sleep(2 * QUIET_MS, run.signal);
  const second = await look(run);
  return [...second].filter(([key]) => first.has(key)).map(([, difference]) => difference);
}

async function look(run: VerifyRun): Promise<ReadonlyMap<string, FoundDifference>> {
  const found = new Map<string, FoundDifference>();
  for (const node of run.topology.current().nodes) {
    if (isAway(node)) continue;
    const { id } = node;
    for (const difference of await lookAt(run, id)) {
      found.set(`${difference.kind} ${id} ${difference.detail}`, difference);
    }
  }
  return found;
}

async function lookAt(run: VerifyRun, nodeId: string): Promise<readonly FoundDifference[]> {
  let names: ReadonlySet<string>;
  try {
    names = new Set(await indexNames(run.admin(nodeId), run.signal));
  } catch (error) {
    if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
    const detail = `its indexes cannot be listed: ${error.message}`;
    return [{ kind: DifferenceKind.UNREADABLE, indexUid: "", nodeId, detail }];
  }
  const topology = run.topology.current();
  const wanted = namesFor(topology, nodeId);
  const unexpected = [...names]
    .filter((name) => !wanted.has(name) && !name.startsWith(PROBE_PREFIX))
    .map((name) => {
      const instance = parsePhysicalName(name)?.instance;
      const uid = topology.indexes.find((index) => index.instance === instance)?.uid;
      const kind = DifferenceKind.UNEXPECTED_INDEX;
      return { kind, indexUid: uid ?? "", nodeId, detail: `index ${name} has no place on this node` };
    });
  const missing = [...wanted]
    .filter(([name]) => !names.has(name))
    .map(([name, indexUid]) => {
      const kind = DifferenceKind.MISSING_INDEX;
      return { kind, indexUid, nodeId, detail: `the node has no index ${name}` };
    });
  return [...unexpected, ...missing];
}

/** The physical indexes that a node is to have, with their clients' names. */
function namesFor(topology: Topology, nodeId: string): ReadonlyMap<string, string> {
  return new Map(
    topology.indexes.flatMap(({ uid, instance, generation, replicas }) => {
      const state = replicas.find((replica) => replica.nodeId === nodeId)?.state;
      const isThere = state === ReplicaState.IN_SYNC || state === ReplicaState.SUSPECT;
      return isThere ? [[physicalName(instance, generation), uid] as const] : [];
    }),
  );
}
