import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import type { NodeLog } from "./node-log.js";

/**
 * Tells a node's task log from another one under the same address, by its newest known task: a log that lacks it, or has another task
 * in its place, belongs to another database (invariant 13).
 */
export class LogIdentity {
  #newest: { readonly uid: number; readonly enqueuedAt: string } | undefined;

  /** Takes up an identity that {@link toString} gave. */
  restore(text: string): void {
    const match = /^(\d+)@(.+)$/.exec(text);
    this.#newest = match?.[2] === undefined ? undefined : { uid: Number(match[1]), enqueuedAt: match[2] };
  }

  /** A task of the log; the newest one counts. */
  note({ uid, enqueuedAt }: NodeTaskRecord): void {
    if (this.#newest === undefined || uid > this.#newest.uid) this.#newest = { uid, enqueuedAt };
  }

  /** Nothing is known of the log any more. */
  forget(): void {
    this.#newest = undefined;
  }

  /**
   * How the log differs from the one that was known; undefined where it is the same, or none was known.
   *
   * @param accepted the newest task that the node has accepted, by what proxies say; -1 where they have not said anything. A log that
   *   does not reach it went back while nobody followed it.
   */
  async difference(log: NodeLog, accepted: number): Promise<string | undefined> {
    const known = this.#newest;
    if (accepted > (known?.uid ?? -1)) {
      const end = (await log.newest())?.uid ?? -1;
      if (end < accepted) return `its task uids went back to ${end} from ${accepted}, which it had accepted`;
    }
    if (known === undefined) return undefined;
    const found = await log.find(known.uid);
    if (found !== undefined) {
      return found.enqueuedAt === known.enqueuedAt
        ? undefined
        : `its task ${known.uid} is another one than before`;
    }
    const newest = await log.newest();
    if (newest === undefined || newest.uid < known.uid) {
      return `its task uids went back from ${known.uid} to ${newest?.uid ?? "none"}`;
    }
    return (await log.wasPrunedAfter(known.uid)) ? undefined : `its task ${known.uid} is gone`;
  }

  toString(): string {
    return this.#newest === undefined ? "" : `${this.#newest.uid}@${this.#newest.enqueuedAt}`;
  }
}
