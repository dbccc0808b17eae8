import type { Index } from "../../gen/miroir/v1/topology_pb.js";
import { documentDigest } from "../../json/document-digest.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { physicalName } from "../../placement/physical-name.js";
import { idOf, sequenceOf } from "../documents/node-documents.js";
import { documentsOn, QUIET_MS, type VerifyRun } from "./verify-context.js";

/** By node: a text for what it has of a document; empty where it lacks it. */
export type Versions = ReadonlyMap<string, string>;

/** What became of documents that seemed to differ. */
export interface Confirmed {
  readonly different: ReadonlyMap<string, Versions>;
  /** They went on changing for as long as they were looked at. */
  readonly unsettled: ReadonlyMap<string, Versions>;
}

/** Documents that are asked for at once. */
const IDS_AT_ONCE = 500;
/** Looks at a document that keeps changing. */
const MAX_LOOKS = 12;
/** Looks in a row in which a difference has to be the same. */
const SAME_LOOKS = 2;
/** How long a node may take to run what it has accepted. Milliseconds. */
const BARRIER_MS = 30_000;
const POLL_MS = 100;

/** What each of these nodes has of each of these documents. */
export async function versionsOf(
  run: VerifyRun,
  index: Index,
  nodeIds: readonly string[],
  ids: readonly string[],
): Promise<ReadonlyMap<string, Versions>> {
  const versions = new Map(ids.map((id) => [id, new Map(nodeIds.map((nodeId) => [nodeId, ""]))]));
  const primaryKey = index.primaryKey ?? "";
  for (let at = 0; at < ids.length; at += IDS_AT_ONCE) {
    const asked = ids.slice(at, at + IDS_AT_ONCE);
    const query = {
      ids: asked,
      limit: asked.length,
      ...(run.deep ? { retrieveVectors: true } : { fields: [primaryKey, SEQUENCE_FIELD] }),
    };
    await Promise.all(
      nodeIds.map(async (nodeId) => {
        const { documents } = await documentsOn(run, index, nodeId, query);
        for (const document of documents) {
          const id = idOf(document, primaryKey);
          const sequence = sequenceOf(document);
          const version = run.deep ? `${sequence} ${documentDigest(document)}` : `sequence ${sequence}`;
          if (id !== undefined) versions.get(id)?.set(nodeId, version);
        }
      }),
    );
  }
  return versions;
}

/** Whether all nodes have the same. */
export function agree(versions: Versions): boolean {
  return new Set(versions.values()).size <= 1;
}

/**
 * Looks again at documents that seemed to differ, until each is the same on all nodes or has differed in the same way for some looks.
 * Between two looks every node runs what it had accepted, so that a replica that is only behind catches up.
 */
export async function confirmDifferences(
  run: VerifyRun,
  index: Index,
  nodeIds: readonly string[],
  ids: readonly string[],
): Promise<Confirmed> {
  const different = new Map<string, Versions>();
  let open = new Map<string, { readonly versions: Versions; readonly looks: number }>();
  let asked = ids;
  for (let look = 0; look <= MAX_LOOKS && asked.length > 0; look++) {
    if (look > 0) {
      await run.world.timers.sleep(QUIET_MS, run.signal);
      await Promise.all(nodeIds.map((nodeId) => caughtUp(run, index, nodeId)));
    }
    const next: typeof open = new Map();
    for (const [id, versions] of await versionsOf(run, index, nodeIds, asked)) {
      if (agree(versions)) continue;
      const before = open.get(id);
      const looks = before !== undefined && isSame(before.versions, versions) ? before.looks + 1 : 0;
      if (looks >= SAME_LOOKS) different.set(id, versions);
      else next.set(id, { versions, looks });
    }
    open = next;
    asked = [...open.keys()];
  }
  return { different, unsettled: new Map([...open].map(([id, { versions }]) => [id, versions])) };
}

function isSame(a: Versions, b: Versions): boolean {
  return [...a].every(([nodeId, version]) => b.get(nodeId) === version);
}

/** Waits until a node has run every task of the index that it holds now; no longer than it may reasonably take. */
async function caughtUp({ admin, world, signal }: VerifyRun, index: Index, nodeId: string): Promise<void> {
  const indexUids = physicalName(index.instance, index.generation);
  const newest = (await admin(nodeId).tasks({ indexUids, limit: 1 })).results[0]?.uid;
  const until = world.clock.monotonic() + BARRIER_MS;
  while (newest !== undefined && world.clock.monotonic() < until) {
    const open = await admin(nodeId).tasks({
      indexUids,
      statuses: "enqueued,processing",
      reverse: true,
      limit: 1,
    });
    const oldest = open.results[0]?.uid;
    if (oldest === undefined || oldest > newest) return;
    await world.timers.sleep(POLL_MS, signal);
  }
}
