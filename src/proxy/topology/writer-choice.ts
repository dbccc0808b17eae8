import { rankWriters } from "../../placement/writer.js";
import type {
  IndexView,
  WriteLease,
  WriterDirectory,
  WritingProxies,
  WritingProxy,
} from "./topology-view.js";

/** Who writes an index. */
export type IndexWriterChoice =
  | { readonly kind: "self" }
  | { readonly kind: "peer"; readonly proxy: WritingProxy }
  /** The recorded writer may be alive, but is not known yet, or nobody holds a lease. */
  | { readonly kind: "unknown"; readonly reason: string };

/** What {@link WriterChoice} goes by. */
export type WriterChoiceSources = Pick<WriteLease, "session" | "proxyId" | "state"> & {
  /** The other proxies; without it this one is alone. */
  readonly directory?: WriterDirectory | undefined;
};

/**
 * Chooses the writer of each index among the proxies that hold write leases: the recorded one as long as it may be alive, else
 * whoever comes first in rendezvous hashing of the index's name. Two proxies that know different holders for a moment can choose differently:
 * that costs an attempt, not safety, which rests on invariant 7.
 */
export class WriterChoice {
  readonly #sources: WriterChoiceSources;

  constructor(sources: WriterChoiceSources) {
    this.#sources = sources;
  }

  /** The writer of an index of the topology, or of one that is not there yet. */
  of(index: Pick<IndexView, "uid" | "writer">): IndexWriterChoice {
    const { session } = this.#sources;
    if (index.writer?.session === session) return { kind: "self" };
    const { proxies, complete } = this.#writers();
    const recorded = proxies.find((proxy) => proxy.session === index.writer?.session);
    if (recorded !== undefined) return { kind: "peer", proxy: recorded };
    if (index.writer !== undefined && !complete) {
      return {
        kind: "unknown",
        reason: `whether proxy ${index.writer.proxyId}, which writes the index, is alive is not known yet`,
      };
    }
    return this.preferred(index.uid, proxies);
  }

  /** Whether this proxy is the one to work on an index: its recorded writer, or the one to take it over. */
  isOwn(index: Pick<IndexView, "uid" | "writer">): boolean {
    return this.of(index).kind === "self";
  }

  /** Who is to write an index of that name where nobody does yet. */
  preferred(indexUid: string, proxies: readonly WritingProxy[] = this.#writers().proxies): IndexWriterChoice {
    const [first] = rankWriters(indexUid, proxies);
    if (first === undefined) {
      const state = this.#sources.state();
      return {
        kind: "unknown",
        reason: state.kind === "none" ? state.reason : "no proxy holds a write lease",
      };
    }
    return first.session === this.#sources.session ? { kind: "self" } : { kind: "peer", proxy: first };
  }

  /** Proxy and session to record as the writer of an index that is to be made. */
  firstWriter(indexUid: string): { readonly proxyId: string; readonly session: string } {
    const choice = this.preferred(indexUid);
    const { proxyId, session } = choice.kind === "peer" ? choice.proxy : this.#sources;
    return { proxyId, session };
  }

  #writers(): WritingProxies {
    const { directory, proxyId, session } = this.#sources;
    return (
      directory?.writers() ?? {
        proxies: [{ proxyId, session, peerAddress: "", peerKey: "" }],
        complete: true,
      }
    );
  }
}
