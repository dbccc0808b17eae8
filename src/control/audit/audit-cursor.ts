import { nodeTaskUid } from "../../store/task-store.js";
import type { NodeAuditOptions } from "./audit-options.js";
import { LogIdentity } from "./log-identity.js";

const SAVE_INTERVAL_MS = 1_000;

/**
 * How far one node's task log is accounted for, stored so that another leader goes on from there. Everything below the frontier is final
 * and accounted for; the stored frontier may lag behind.
 */
export class AuditCursor {
  /** What tells the log from another one. */
  readonly identity = new LogIdentity();
  readonly #options: Pick<NodeAuditOptions, "nodeId" | "store" | "fence" | "world">;
  #frontier = 0;
  #highest = -1;
  #lastSave = Number.NEGATIVE_INFINITY;
  #savedFrontier = -1;
  #savedIdentity = "";

  constructor(options: Pick<NodeAuditOptions, "nodeId" | "store" | "fence" | "world">) {
    this.#options = options;
  }

  /** The lowest uid that is not accounted for for certain. */
  get frontier(): number {
    return this.#frontier;
  }

  /** The highest uid that was seen to be final; -1 before the first. */
  get highest(): number {
    return this.#highest;
  }

  /** Takes up what is stored; false where nothing is. */
  async load(): Promise<boolean> {
    const stored = await this.#options.store.nodeCursors.get(this.#options.nodeId);
    if (stored === undefined) return false;
    this.#frontier = stored.frontierUid === null ? 0 : stored.frontierUid + 1;
    this.#highest = stored.lastSeenUid ?? -1;
    this.identity.restore(stored.identity);
    return true;
  }

  /** Takes all tasks below a uid for accounted for, and none from it on. */
  beginAt(frontier: number): void {
    this.#frontier = frontier;
    this.#highest = frontier - 1;
  }

  /** Moves the frontier up. */
  advanceTo(frontier: number): void {
    this.#frontier = frontier;
  }

  /** Notes that a task is final. */
  saw(uid: number): void {
    this.#highest = Math.max(this.#highest, uid);
  }

  /** Whether a second has passed since the last {@link save}; `now` is on the monotonic clock. */
  isSaveDue(now: number): boolean {
    return now - this.#lastSave >= SAVE_INTERVAL_MS;
  }

  /** Stores frontier and identity, where either has changed. Rejects with the store's error. */
  async save(): Promise<void> {
    const { store, nodeId, world, fence } = this.#options;
    this.#lastSave = world.clock.monotonic();
    const frontier = this.#frontier;
    const identity = this.identity.toString();
    if (this.#savedFrontier === frontier && this.#savedIdentity === identity) return;
    const row = {
      nodeId,
      frontierUid: frontier === 0 ? null : nodeTaskUid(frontier - 1),
      lastSeenUid: this.#highest < 0 ? null : nodeTaskUid(this.#highest),
      identity,
      updatedAt: world.clock.now(),
    };
    await store.nodeCursors.put([row], fence());
    this.#savedFrontier = frontier;
    this.#savedIdentity = identity;
  }
}
