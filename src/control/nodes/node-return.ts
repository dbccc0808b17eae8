import type { Logger } from "pino";
import { createSharedAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import type { AntiEntropy } from "../anti-entropy/anti-entropy.js";
import type { Auditor } from "../audit/auditor.js";
import type { NodeMonitor } from "./node-monitor.js";
import { UNFINISHED } from "./suspicions.js";

/** What {@link NodeReturn} works with. */
export interface NodeReturnOptions {
  readonly world: World;
  readonly logger: Logger;
  readonly auditor: Pick<Auditor, "verify" | "settled" | "takeInterrupted">;
  readonly monitor: () => Pick<NodeMonitor, "suspect" | "clear">;
  readonly antiEntropy: Pick<AntiEntropy, "check">;
  /** Brings a node's experimental features where those of the fleet are. */
  readonly switchFeatures: (nodeId: string) => Promise<void>;
}

/** Milliseconds before shards that could not be compared are compared again. */
const RETRY_MS = 3_000;

/**
 * What happens before a node is read that was away (invariant 13). Its log is compared with the one that was followed before; what it had
 * not finished has to finish; and the shards that this touches are compared with their other replicas, because a node that was killed
 * between the two commits of a batch runs it twice and reports success. Meanwhile the node is suspect.
 */
export class NodeReturn {
  readonly #options: NodeReturnOptions;
  readonly #stop = createSharedAbort();
  readonly #rounds = new Map<string, number>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: NodeReturnOptions) {
    this.#options = options;
  }

  /** Resolves once it is known whether the node is to be suspect, and it is. */
  async onReturn(nodeId: string): Promise<void> {
    const { auditor, logger, monitor, switchFeatures } = this.#options;
    await switchFeatures(nodeId);
    await auditor.verify(nodeId);
    const settled = auditor.settled(nodeId);
    const touched = await auditor.takeInterrupted(nodeId);
    if (settled === undefined && touched.size === 0) return;
    const round = (this.#rounds.get(nodeId) ?? 0) + 1;
    this.#rounds.set(nodeId, round);
    await monitor().suspect(nodeId, UNFINISHED);
    this.#stop.signal.throwIfAborted();
    const work: Promise<unknown> = this.#settle(
      nodeId,
      touched,
      settled,
      () => this.#rounds.get(nodeId) === round,
    )
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        logger.warn({ err: error, node: nodeId }, "could not settle a node that came back");
      })
      .finally(() => this.#running.delete(work));
    this.#running.add(work);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await Promise.all(this.#running);
  }

  async #settle(
    nodeId: string,
    touched: ReadonlyMap<string, readonly number[] | "all">,
    settled: Promise<void> | undefined,
    isLatest: () => boolean,
  ): Promise<void> {
    const { monitor } = this.#options;
    const { signal } = this.#stop;
    await settled;
    // An audit that ends lets everybody go who waits for its tasks.
    signal.throwIfAborted();
    for (const [instance, shards] of touched) {
      await this.#compare(nodeId, instance, shards === "all" ? undefined : shards);
      if (signal.aborted) return;
    }
    // A node that went away once more is settled by its later return.
    if (isLatest()) await monitor().clear(nodeId, UNFINISHED);
  }

  async #compare(nodeId: string, instance: string, asked: readonly number[] | undefined): Promise<void> {
    const { antiEntropy, logger, world } = this.#options;
    const { signal } = this.#stop;
    let shards = asked;
    while (!signal.aborted) {
      const failed: number[] = [];
      const request = {
        instance,
        repair: true,
        doubted: new Set([nodeId]),
        ...(shards === undefined ? {} : { shards }),
      };
      for await (const { shard, error } of antiEntropy.check(request, signal))
        if (error !== "") failed.push(shard);
      if (failed.length === 0) return;
      logger.warn(
        { node: nodeId, instance, shards: failed },
        "shards of a node that came back could not be compared yet",
      );
      shards = failed;
      await world.timers.sleep(RETRY_MS, signal);
    }
  }
}
