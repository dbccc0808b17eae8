import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { AdvanceCopyRequest, CopyService } from "../../gen/miroir/v1/copies_pb.js";
import { type Epoch, type Index, ShardCopyStep, type Writer } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { CopyProgressBook } from "./copy-progress.js";
import { cleanCopy, endCopy, stepName, switchCopy } from "./copy-steps.js";

/** What {@link createCopyService} works with. */
export interface CopyServiceOptions {
  readonly topology: TopologyManager;
  readonly progress: CopyProgressBook;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Resolves when the connected proxies know an epoch, or cannot be waited for any longer (invariant 2). */
  readonly acknowledged?: (epoch: Epoch) => Promise<void>;
}

/** The steps that change no generation, each from where it may be taken. */
const STEPS: ReadonlyMap<ShardCopyStep, (index: Index, copyId: string, away: ReadonlySet<string>) => void> =
  new Map([
    [ShardCopyStep.SWITCHED, switchCopy],
    [ShardCopyStep.CLEANING, cleanCopy],
    [ShardCopyStep.UNSPECIFIED, endCopy],
  ]);

/** Serves the writers that carry copies out: their steps are checked and recorded, their reports remembered. */
export function createCopyService(options: CopyServiceOptions): ServiceImpl<typeof CopyService> {
  const { topology, progress, clock } = options;
  return {
    advanceCopy: (request) => advance(options, request),
    async reportCopy({ instance, copyId, progress: report, writer }) {
      const index = findInstance(topology.current(), instance);
      // What a former writer still tells is of no interest.
      if (report !== undefined && index?.copy?.id === copyId && isWriter(index, writer))
        progress.report(copyId, report, clock.now());
      return {};
    },
  };
}

async function advance(
  { topology, logger, acknowledged }: CopyServiceOptions,
  request: AdvanceCopyRequest,
): Promise<{ index?: Index; epoch: Epoch }> {
  const { instance, copyId, nextStep, waitForProxies } = request;
  const step = STEPS.get(nextStep);
  if (step === undefined) {
    throw new ConnectError(
      `a copy becomes ${stepName(nextStep)} together with a new generation`,
      Code.InvalidArgument,
    );
  }
  const next = await topology.change(`copy ${copyId}: ${stepName(nextStep)}`, (draft) => {
    const index = findInstance(draft, instance);
    if (index === undefined || isTaken(index, request)) return;
    refuseOthers(index, request);
    step(index, copyId, awayNodes(draft));
  });
  const { epoch } = next;
  if (epoch === undefined) throw new ConnectError("the topology has no epoch", Code.Internal);
  const index = findInstance(next, instance);
  logger.info({ index: index?.uid, copy: copyId, step: stepName(nextStep) }, "a copy has taken a step");
  if (waitForProxies) await acknowledged?.(epoch);
  return index === undefined ? { epoch } : { index, epoch };
}

/** Whether this very step was taken before. */
function isTaken({ copy }: Index, { copyId, nextStep }: AdvanceCopyRequest): boolean {
  const held = copy?.id === copyId ? copy.step : ShardCopyStep.UNSPECIFIED;
  return held === nextStep;
}

function refuseOthers(index: Index, request: AdvanceCopyRequest): void {
  const { copyId, expectedGeneration, expectedStep, writer } = request;
  const held = index.copy?.id === copyId ? index.copy.step : ShardCopyStep.UNSPECIFIED;
  const refuse = (what: string): never => {
    throw new ConnectError(`copy ${copyId} of index ${index.uid}: ${what}`, Code.Aborted);
  };
  if (held !== expectedStep) refuse(`it is ${stepName(held)}, not ${stepName(expectedStep)}`);
  if (index.generation !== expectedGeneration)
    refuse(`the index is at generation ${index.generation}, not ${expectedGeneration}`);
  if (!isWriter(index, writer)) refuse("the caller is not the index's writer");
}

function isWriter(index: Index, writer: Writer | undefined): boolean {
  return writer !== undefined && index.writer?.session === writer.session;
}
