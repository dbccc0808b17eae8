import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import { rankWriters } from "../../placement/writer.js";
import { linkAbort } from "../../runtime/abort.js";
import type { IndexView, WriterDirectory, WritingProxy } from "../topology/topology-view.js";
import type { WriterName } from "./generation-change.js";
import type { OpenSettings } from "./open-settings.js";
import { waitForTopology } from "./topology-wait.js";
import type { WriteCore } from "./write-core.js";
import type { WriteGates } from "./write-gates.js";

/** What became of a hand-over: the epoch from which the other proxy writes, or why it does not. */
export type HandOverOutcome = { readonly epoch: Epoch } | { readonly reason: string };

/** Pause between two looks at who should write what. Milliseconds. */
const LOOK_MS = 2_000;
/** How long a proxy has to be there before it is given indexes that others write. Milliseconds. */
const STEADY_MS = 10_000;
/** How long the writes of an index are waited for that goes to another proxy for balance alone; they come before. Milliseconds. */
const BALANCE_PATIENCE_MS = 500;
/** Indexes handed over at once by a proxy that stops. */
const CONCURRENT = 4;
/** How long their writes under way are waited for; there are none by then. Milliseconds. */
const STOP_PATIENCE_MS = 1_000;
/** How long a proxy that stops hands indexes over. Milliseconds. */
const STOP_MS = 5_000;

/**
 * Gives indexes that this proxy writes to others (invariant 7): on request, when it stops, and one by one to proxies that have come since. An
 * index goes between two of its writes, by a generation that its present writer makes for the next one, so nobody waits for a lease or
 * compares logs; writes that come meanwhile wait at the gate with their bodies unread, and then go to the other proxy.
 */
export class HandOvers {
  readonly #since = new Map<string, number>();

  constructor(
    private readonly core: WriteCore,
    private readonly openSettings: OpenSettings,
    private readonly gates: WriteGates,
    private readonly directory: WriterDirectory | undefined,
  ) {}

  /** Makes `successor` the writer of an index, once the writes that have begun are over. */
  async to(instance: string, successor: WriterName, waitMs: number): Promise<HandOverOutcome> {
    const index = this.#own(instance);
    if (index === undefined) return { reason: "this proxy does not write the index" };
    const done = await this.gates.alone(index.uid, waitMs, () => this.#inLane(index, successor));
    return done ?? { reason: "writes to the index are under way" };
  }

  /**
   * Gives all indexes away that can go at once; the others are taken over from this proxy when it is gone. Resolves after a few seconds also where
   * the control plane does not answer: what is under way then goes on until the proxy closes.
   */
  async all(signal: AbortSignal): Promise<void> {
    const over = linkAbort(signal);
    const timer = this.core.context.world.timers.after(STOP_MS, () => over.abort());
    const aborted = new Promise<void>((resolve) => {
      over.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      if (!over.signal.aborted) await Promise.race([this.#giveAll(over.signal), aborted]);
    } finally {
      timer.cancel();
      over.unlink();
    }
  }

  async #giveAll(signal: AbortSignal): Promise<void> {
    const { topology, lease } = this.core.context;
    const others = this.#others();
    const waiting = [...(topology.current()?.indexes.values() ?? [])].filter(
      ({ writer }) => writer?.session === lease.session,
    );
    const next = async (): Promise<void> => {
      for (let index = waiting.pop(); index !== undefined && !signal.aborted; index = waiting.pop()) {
        const [successor] = rankWriters(index.uid, others);
        if (successor !== undefined && this.#isQuiet(index))
          await this.#give(index, successor, STOP_PATIENCE_MS);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, next));
  }

  /** Moves indexes to the proxies that are to write them, one at a time, until the proxy closes. */
  async balance(): Promise<void> {
    const { world, closed } = this.core.context;
    if (this.directory === undefined) return;
    while (!closed.aborted) {
      await world.timers.sleep(LOOK_MS, closed).catch(() => undefined);
      if (closed.aborted) return;
      const move = this.#nextMove();
      if (move !== undefined) await this.#give(move.index, move.to, BALANCE_PATIENCE_MS);
    }
  }

  #nextMove(): { readonly index: IndexView; readonly to: WritingProxy } | undefined {
    const { topology, lease } = this.core.context;
    const steady = this.#steady();
    if (steady === undefined) return undefined;
    for (const index of topology.current()?.indexes.values() ?? []) {
      if (index.writer?.session !== lease.session || !this.#isQuiet(index)) continue;
      const [to] = rankWriters(index.uid, steady);
      if (to !== undefined && to.session !== lease.session) return { index, to };
    }
    return undefined;
  }

  /** Proxies that have been there for a while; undefined where not all are known. */
  #steady(): readonly WritingProxy[] | undefined {
    const { proxies, complete } = this.directory?.writers() ?? { proxies: [], complete: false };
    const now = this.core.context.world.clock.monotonic();
    const sessions = new Set(proxies.map(({ session }) => session));
    for (const session of this.#since.keys()) if (!sessions.has(session)) this.#since.delete(session);
    for (const session of sessions) if (!this.#since.has(session)) this.#since.set(session, now);
    if (!complete) return undefined;
    const { session: own } = this.core.context.lease;
    return proxies.filter(
      ({ session, peerAddress }) =>
        session === own || (peerAddress !== "" && now - (this.#since.get(session) ?? now) >= STEADY_MS),
    );
  }

  #others(): readonly WritingProxy[] {
    const { session: own } = this.core.context.lease;
    const proxies = this.directory?.writers().proxies ?? [];
    return proxies.filter(({ session, peerAddress }) => session !== own && peerAddress !== "");
  }

  /** Whether nothing is under way but writes: no copy, no change of settings, nothing to be settled. */
  #isQuiet(index: IndexView): boolean {
    return (
      index.copy === undefined &&
      !index.settingsChanging &&
      this.openSettings.whenDone(index.instance) === undefined &&
      this.core.knownWriters().get(index.instance)?.blocked() === undefined
    );
  }

  #own(instance: string): IndexView | undefined {
    const { topology, lease } = this.core.context;
    const index = topology.current()?.byInstance.get(instance);
    return index?.writer?.session === lease.session ? index : undefined;
  }

  async #give(index: IndexView, successor: WritingProxy, patienceMs: number): Promise<void> {
    const { logger } = this.core.context;
    const { proxyId, session } = successor;
    try {
      const outcome = await this.to(index.instance, { proxyId, session }, patienceMs);
      if ("reason" in outcome) logger.debug({ index: index.uid, ...outcome }, "an index stays for now");
    } catch (error) {
      logger.warn({ err: error, index: index.uid, proxy: proxyId }, "an index could not be handed over");
    }
  }

  async #inLane({ instance, uid }: IndexView, successor: WriterName): Promise<HandOverOutcome> {
    const { context } = this.core;
    let outcome: HandOverOutcome = { reason: "the index has another name by now" };
    await this.core.background(uid, async () => {
      const index = this.#own(instance);
      if (index?.uid !== uid) return;
      await this.openSettings.settled(instance);
      const writer = this.core.writerOf(instance);
      outcome = { reason: writer.blocked() ?? "a replica did not answer" };
      if (writer.blocked() !== undefined || !(await writer.passOn(successor))) return;
      const view = await waitForTopology(context, (candidate) => {
        const next = candidate.byInstance.get(instance);
        return next === undefined || next.generation > index.generation;
      });
      context.logger.info({ index: uid, instance, proxy: successor.proxyId }, "an index was handed over");
      outcome = { epoch: view.epoch };
    });
    return outcome;
  }
}
