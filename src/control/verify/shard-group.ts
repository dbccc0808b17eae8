import { type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";
import { codedShards } from "../copy/shard-codes.js";
import { IdCursor } from "../documents/id-cursor.js";
import { agree, type Confirmed, confirmDifferences, type Versions, versionsOf } from "./document-versions.js";
import { walkTogether } from "./replica-walk.js";
import { documentsOn, type VerifyRun } from "./verify-context.js";
import type { FoundDifference, VerifyEvent } from "./verify-events.js";

/** Shards that the same nodes hold. */
export interface ShardGroup {
  readonly nodeIds: readonly string[];
  readonly shards: readonly number[];
}

/** Ids of one replica in memory at once. */
const WINDOW = 20_000;
/** Whole documents that are compared at once. */
const DEEP_BATCH = 200;
/** Documents of a group that are looked at again; more are only counted. */
const MAX_CANDIDATES = 1_000;
/** Documents of a group that are named. */
const MAX_NAMED = 100;
const PROGRESS_EVERY = 10_000;

/** The shards of an index by the nodes that hold them, of those that may be compared. */
export function shardGroups(index: Index, readable: ReadonlySet<string>): readonly ShardGroup[] {
  const groups = new Map<string, { nodeIds: readonly string[]; shards: number[] }>();
  for (const { shard, nodeIds } of index.placement) {
    const holding = nodeIds.filter((nodeId) => readable.has(nodeId)).sort();
    if (holding.length === 0) continue;
    const group = groups.get(holding.join()) ?? { nodeIds: holding, shards: [] };
    group.shards.push(shard);
    groups.set(holding.join(), group);
  }
  return [...groups.values()];
}

/** Nodes whose replica of an index receives its writes, and so has to hold the same as the others. */
export function membersOf(index: Index): readonly string[] {
  return index.replicas
    .filter(({ state }) => state === ReplicaState.IN_SYNC || state === ReplicaState.SUSPECT)
    .map(({ nodeId }) => nodeId);
}

/**
 * Compares the documents of a group of shards over its replicas, in memory that does not grow with them: ids and sequences, walked
 * side by side, and whole documents where the run is deep.
 */
export async function* compareGroup(
  run: VerifyRun,
  index: Index,
  group: ShardGroup,
): AsyncGenerator<VerifyEvent> {
  const { nodeIds, shards } = group;
  const { primaryKey } = index;
  if (primaryKey === undefined) return;
  const walks = new Map(
    nodeIds.map((nodeId) => [
      nodeId,
      new IdCursor(
        (query) => documentsOn(run, index, nodeId, query),
        { nodeId, physicalName: "", shards: codedShards(index, shards) },
        { primaryKey, filter: undefined, after: "", windowSize: WINDOW },
      ),
    ]),
  );
  const candidates = new Set<string>();
  const misplaced = new Set<string>();
  let more = 0;
  let walked = 0;
  let batch: string[] = [];
  const note = (id: string): void => {
    if (candidates.size < MAX_CANDIDATES || candidates.has(id)) candidates.add(id);
    else more += 1;
  };
  const compareBatch = async (): Promise<void> => {
    const ids = batch;
    batch = [];
    if (!run.deep || nodeIds.length < 2 || ids.length === 0) return;
    for (const [id, versions] of await versionsOf(run, index, nodeIds, ids)) if (!agree(versions)) note(id);
  };
  for await (const { id, nodeIds: having } of walkTogether(walks)) {
    run.signal.throwIfAborted();
    walked += 1;
    if (having.length < nodeIds.length) note(id);
    else batch.push(id);
    if (batch.length >= DEEP_BATCH) await compareBatch();
    if (!shards.includes(run.hasher.shardOf(id, index.shards)) && misplaced.size < MAX_NAMED)
      misplaced.add(id);
    if (walked % PROGRESS_EVERY === 0) {
      yield { kind: "progress", indexUid: index.uid, shardsDone: 0, shards: 0, documents: PROGRESS_EVERY };
    }
  }
  await compareBatch();
  yield {
    kind: "progress",
    indexUid: index.uid,
    shardsDone: shards.length,
    shards: index.shards,
    documents: walked % PROGRESS_EVERY,
  };
  for (const id of misplaced) yield { kind: "difference", difference: misplacedDocument(index, run, id) };
  const confirmed = await confirmDifferences(run, index, nodeIds, [...candidates]);
  for (const difference of differencesOf(run, index, confirmed, more))
    yield { kind: "difference", difference };
}

function* differencesOf(
  run: VerifyRun,
  index: Index,
  { different, unsettled }: Confirmed,
  more: number,
): Generator<FoundDifference> {
  const all = [
    ...[...different].map(([id, versions]) => ({ id, versions, unsettled: false })),
    ...[...unsettled].map(([id, versions]) => ({ id, versions, unsettled: true })),
  ];
  for (const { id, versions, unsettled: isOpen } of all.slice(0, MAX_NAMED)) {
    yield {
      kind: DifferenceKind.DOCUMENT,
      indexUid: index.uid,
      shard: run.hasher.shardOf(id, index.shards),
      documentId: id,
      versions: [...versions].map(([nodeId, version]) => ({ nodeId, version })),
      detail: tellVersions(versions),
      unsettled: isOpen,
      ...oddNode(versions),
    };
  }
  const unnamed = more + Math.max(0, all.length - MAX_NAMED);
  if (unnamed === 0) return;
  yield {
    kind: DifferenceKind.MORE_DOCUMENTS,
    indexUid: index.uid,
    detail: `${unnamed} more documents seem to differ`,
    count: unnamed,
  };
}

function misplacedDocument(index: Index, { hasher }: VerifyRun, id: string): FoundDifference {
  const shard = hasher.shardOf(id, index.shards);
  return {
    kind: DifferenceKind.STRAY_DOCUMENT,
    indexUid: index.uid,
    shard,
    documentId: id,
    detail: `the document belongs to shard ${shard} and is filed under another one`,
  };
}

/** The one node that has something else than all others, where there are three or more. */
function oddNode(versions: Versions): { readonly nodeId?: string } {
  if (versions.size < 3) return {};
  const byVersion = new Map<string, string[]>();
  for (const [nodeId, version] of versions)
    byVersion.set(version, [...(byVersion.get(version) ?? []), nodeId]);
  const alone = [...byVersion.values()].filter((nodeIds) => nodeIds.length === 1);
  const odd = byVersion.size === 2 && alone.length === 1 ? alone[0]?.[0] : undefined;
  return odd === undefined ? {} : { nodeId: odd };
}

function tellVersions(versions: Versions): string {
  const lacking = [...versions].filter(([, version]) => version === "").map(([nodeId]) => nodeId);
  const having = [...versions].filter(([, version]) => version !== "").map(([nodeId]) => nodeId);
  const isDifferent = new Set(having.map((nodeId) => versions.get(nodeId))).size > 1;
  const parts = [
    ...(isDifferent ? [`${having.join(" and ")} have different versions`] : []),
    ...(lacking.length > 0
      ? [`${isDifferent ? "" : `on ${having.join(" and ")}, `}missing on ${lacking.join(" and ")}`]
      : []),
  ];
  return parts.join("; ");
}
