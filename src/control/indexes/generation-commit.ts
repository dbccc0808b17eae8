import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { CommitGenerationRequest } from "../../gen/miroir/v1/indexes_pb.js";
import {
  type Epoch,
  type Index,
  ReplicaState,
  ShardCopyStep,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import { CopyRefusedError } from "../copy/copy-refusal.js";
import { beginCopy, dropCopy, markStale, targetsOf } from "../copy/copy-steps.js";
import { inSyncNodes } from "../copy/shard-roles.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { LeaseHeldError } from "../topology/write-leases.js";

/** What {@link commitGeneration} works with. */
export interface GenerationCommitOptions {
  readonly topology: TopologyManager;
  readonly logger: Logger;
  /**
   * Does something that relies on a session having no write lease; rejects where it may hold one. Every session is taken to have none unless
   * given.
   */
  readonly withoutLease?: (<T>(session: string, work: () => Promise<T>) => Promise<T>) | undefined;
}

/**
 * Records the generation, the writer and the stale replicas of an index, and with them the step of a copy that goes with a new name:
 * all in one epoch. Doing it again has no further effect.
 *
 * @throws ConnectError and CopyRefusedError, with nothing changed
 */
export async function commitGeneration(
  options: GenerationCommitOptions,
  request: CommitGenerationRequest,
): Promise<{ index: Index; epoch: Epoch }> {
  const { topology, logger } = options;
  const former = findInstance(topology.current(), request.instance)?.writer?.session;
  const { instance, expectedGeneration, newGeneration, writer, reason } = request;
  const stale = new Set(request.staleNodeIds);
  const isClaim = newGeneration === expectedGeneration && writer !== undefined && stale.size === 0;
  if (newGeneration <= expectedGeneration && (!isClaim || request.copyId !== "")) {
    throw new ConnectError("new_generation must be above expected_generation", Code.InvalidArgument);
  }
  const change = (draft: Topology) => {
    const index = findInstance(draft, instance);
    if (index === undefined) throw new ConnectError(`no index has the instance ${instance}`, Code.NotFound);
    if (isCommitted(index, request, stale)) return;
    if (index.writer?.session !== former) {
      throw new ConnectError(`index ${index.uid} has just got another writer`, Code.Aborted);
    }
    if (index.generation !== expectedGeneration) {
      const message = `index ${index.uid} is at generation ${index.generation}, not ${expectedGeneration}`;
      throw new ConnectError(message, Code.Aborted);
    }
    if (isClaim && index.writer !== undefined) {
      throw new ConnectError(
        `index ${index.uid} has a writer already; only a new generation can replace it`,
        Code.Aborted,
      );
    }
    refuseLastCopies(index, stale);
    markStale(index, stale);
    if (request.copyId !== "") takeStep(index, request, stale, awayNodes(draft));
    index.generation = newGeneration;
    if (writer !== undefined) index.writer = writer;
  };
  const make = () => topology.change(reason === "" ? "a new generation" : reason, change);
  const next = await takenFrom(options, former, request, make);
  const index = findInstance(next, instance);
  if (index === undefined) throw new ConnectError(`no index has the instance ${instance}`, Code.NotFound);
  if (next.epoch === undefined) throw new ConnectError("the topology has no epoch", Code.Internal);
  logger.info(
    { index: index.uid, generation: String(index.generation), stale: [...stale], reason },
    "index has a new generation",
  );
  return { index, epoch: next.epoch };
}

/** Makes a change by another session than the writer's only while that one has no lease, and gets none. */
async function takenFrom(
  { withoutLease }: GenerationCommitOptions,
  former: string | undefined,
  { session }: CommitGenerationRequest,
  make: () => Promise<Topology>,
): Promise<Topology> {
  const isOwn = former === undefined || session === "" || session === former;
  if (isOwn || withoutLease === undefined) return make();
  try {
    return await withoutLease(former, make);
  } catch (error) {
    if (!(error instanceof LeaseHeldError)) throw error;
    const message = `the writer of the index is alive, or may be: ${error.message}`;
    throw new ConnectError(message, Code.FailedPrecondition, undefined, undefined, error);
  }
}

/** Whether this very commit has taken place already. */
function isCommitted(index: Index, request: CommitGenerationRequest, stale: ReadonlySet<string>): boolean {
  return (
    index.generation === request.newGeneration &&
    (request.writer === undefined || index.writer?.session === request.writer.session) &&
    (request.copyId === "" || (index.copy?.id === request.copyId && index.copy.step === request.copyStep)) &&
    index.replicas.every((replica) => !stale.has(replica.nodeId) || replica.state === ReplicaState.STALE)
  );
}

/** Only these two steps of a copy need a new name: before nodes get shards that they did not hold, and before they lose some. */
function takeStep(
  index: Index,
  { copyId, copyStep }: CommitGenerationRequest,
  stale: ReadonlySet<string>,
  away: ReadonlySet<string>,
): void {
  if (copyStep === ShardCopyStep.COPYING) {
    const lost = targetsOf(index.copy).find((id) => stale.has(id));
    if (lost !== undefined) {
      throw new CopyRefusedError("target", `copy ${copyId} cannot begin: its target ${lost} is stale`);
    }
    beginCopy(index, copyId);
  } else if (copyStep === ShardCopyStep.DROPPING) dropCopy(index, copyId, away);
  else throw new ConnectError("copy_step takes no new generation", Code.InvalidArgument);
}

/** A shard keeps a copy in sync that serves, or one that is leaving and can be taken back. */
function refuseLastCopies(index: Index, stale: ReadonlySet<string>): void {
  const inSync = inSyncNodes(index);
  const remains = (id: string) => inSync.has(id) && !stale.has(id);
  const lost = index.placement.filter(
    ({ nodeIds, leavingNodeIds }) =>
      nodeIds.some((id) => inSync.has(id)) && !nodeIds.some(remains) && !leavingNodeIds.some(remains),
  );
  if (lost.length === 0) return;
  const shards = lost.slice(0, 10).map(({ shard }) => shard);
  throw new ConnectError(
    `index ${index.uid} would lose the last in-sync copy of ${lost.length} shards (${shards.join(", ")}${lost.length > 10 ? ", …" : ""})`,
    Code.FailedPrecondition,
  );
}
