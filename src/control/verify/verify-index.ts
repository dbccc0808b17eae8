import type { Index } from "../../gen/miroir/v1/topology_pb.js";
import { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { SHARD_FIELD, shardCode } from "../../placement/injected-fields.js";
import { codedShards } from "../copy/shard-codes.js";
import { idOf } from "../documents/node-documents.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { differenceOnNode, PRIMARY_KEY } from "../settings/replica-settings.js";
import { findInstance } from "../tasks/index-replicas.js";
import { compareGroup, membersOf, shardGroups } from "./shard-group.js";
import { documentsOn, QUIET_MS, type VerifyRun } from "./verify-context.js";
import type { VerifyEvent } from "./verify-events.js";

/** How often an index is looked at anew because its generation changed meanwhile. */
const MAX_RESTARTS = 5;
/** Documents of a node that belong to none of its shards, of which this many are named. */
const MAX_STRAYS = 100;

/** Where the index's replicas are has changed, or one of them cannot be read. */
class UnstableError extends Error {
  override readonly name = "UnstableError";

  constructor(
    readonly nodeId: string,
    options: { readonly cause: Error },
  ) {
    super(`node ${nodeId}: ${options.cause.message}`, options);
  }
}

/** Compares the replicas of one index with each other and with the catalogue. An index that is gone by then differs in nothing. */
export async function* verifyIndex(run: VerifyRun, instance: string): AsyncGenerator<VerifyEvent> {
  const unreadable = new Map<string, Error>();
  for (let restart = 0; ; restart++) {
    const index = findInstance(run.topology.current(), instance);
    if (index === undefined) return;
    try {
      yield* verifyOnce(run, index, new Set(unreadable.keys()));
      for (const [nodeId, error] of unreadable) {
        yield differenceOf(DifferenceKind.UNREADABLE, index, nodeId, error.message);
      }
      return;
    } catch (error) {
      run.signal.throwIfAborted();
      if (!(error instanceof UnstableError)) throw error;
      run.logger.debug({ err: error, index: index.uid }, "an index has to be looked at anew");
      const moved = findInstance(run.topology.current(), instance)?.generation !== index.generation;
      if (!moved && (restart >= MAX_RESTARTS || error.cause instanceof NodeUnavailableError)) {
        unreadable.set(error.nodeId, error);
      }
      if (restart > MAX_RESTARTS + index.replicas.length) throw error;
      await run.world.timers.sleep(QUIET_MS, run.signal);
    }
  }
}

/** Differences are told last, so that an attempt that is broken off has told of none. */
async function* verifyOnce(
  run: VerifyRun,
  index: Index,
  unreadable: ReadonlySet<string>,
): AsyncGenerator<VerifyEvent> {
  const away = awayNodes(run.topology.current());
  const members = membersOf(index).filter((nodeId) => !unreadable.has(nodeId));
  const readable = members.filter((nodeId) => !away.has(nodeId));
  const differences: VerifyEvent[] = members
    .filter((nodeId) => away.has(nodeId))
    .map((nodeId) => differenceOf(DifferenceKind.UNREADABLE, index, nodeId, "the node does not answer"));
  for (const nodeId of readable) {
    differences.push(...(await guarded(nodeId, () => settingsDifferences(run, index, nodeId))));
  }
  for (const group of shardGroups(index, new Set(readable))) {
    const events = compareGroup(run, index, group);
    for (;;) {
      const next = await guarded(group.nodeIds[0] ?? "", () => events.next());
      if (next.done === true) break;
      if (next.value.kind === "difference") differences.push(next.value);
      else yield next.value;
    }
  }
  for (const nodeId of readable) {
    differences.push(...(await guarded(nodeId, () => strayDocuments(run, index, nodeId))));
  }
  yield { kind: "replicas", count: readable.length };
  yield* differences;
}

/** Work on a node, whose failure is told as {@link UnstableError}. */
async function guarded<T>(nodeId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NodeUnavailableError) throw new UnstableError(error.nodeId, { cause: error });
    if (error instanceof MeilisearchError) throw new UnstableError(nodeId, { cause: error });
    throw error;
  }
}

async function settingsDifferences(run: VerifyRun, index: Index, nodeId: string): Promise<VerifyEvent[]> {
  const look = async (): Promise<readonly string[]> => {
    const current = findInstance(run.topology.current(), index.instance) ?? index;
    const members = await differenceOnNode(run.admin(nodeId), current);
    const now = findInstance(run.topology.current(), index.instance);
    // A change that is under way explains what is seen.
    const isStill = now?.settingsVersion === current.settingsVersion && !now.settingsChanging;
    return isStill ? members : [];
  };
  if ((await look()).length === 0) return [];
  await run.world.timers.sleep(2 * QUIET_MS, run.signal);
  return (await look()).map((member) =>
    member === PRIMARY_KEY
      ? differenceOf(DifferenceKind.PRIMARY_KEY, index, nodeId, "the node has another primary key")
      : differenceOf(DifferenceKind.SETTINGS, index, nodeId, `${member} is not as committed`),
  );
}

async function strayDocuments(run: VerifyRun, index: Index, nodeId: string): Promise<VerifyEvent[]> {
  const { primaryKey } = index;
  if (primaryKey === undefined) return [];
  const held = index.placement.filter(({ nodeIds }) => nodeIds.includes(nodeId));
  const shards = codedShards(
    index,
    held.map(({ shard }) => shard),
  );
  const codes = shards.map((shard) => `"${shardCode(shard)}"`).join(", ");
  const look = async () => {
    const { documents, total } = await documentsOn(run, index, nodeId, {
      filter: `${SHARD_FIELD} NOT IN [${codes}]`,
      fields: [primaryKey],
      limit: MAX_STRAYS,
    });
    return { total, ids: documents.flatMap((document) => idOf(document, primaryKey) ?? []) };
  };
  const first = new Set((await look()).ids);
  if (first.size === 0) return [];
  await run.world.timers.sleep(QUIET_MS, run.signal);
  const { total, ids } = await look();
  return ids
    .filter((id) => first.has(id))
    .map((id) => ({
      kind: "difference",
      difference: {
        kind: DifferenceKind.STRAY_DOCUMENT,
        indexUid: index.uid,
        nodeId,
        shard: run.hasher.shardOf(id, index.shards),
        documentId: id,
        detail: `filed under no shard of this node (${total} such ${total === 1 ? "document" : "documents"} there)`,
      },
    }));
}

function differenceOf(kind: DifferenceKind, index: Index, nodeId: string, detail: string): VerifyEvent {
  return { kind: "difference", difference: { kind, indexUid: index.uid, nodeId, detail } };
}
