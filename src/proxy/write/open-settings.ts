import type { WriterContext } from "./generation-change.js";
import type { AcceptedNodeTask } from "./index-write.js";
import { nodeOf } from "./node-of.js";

/** Changes of one index remembered at most. */
const MAX_OPEN = 100;
/** Pause between two looks at changes that are open. Milliseconds. */
const PAUSE_MS = 25;
/** How long a change counts as recent. Milliseconds. */
const RECENT_MS = 30_000;
/** Indexes of which it is remembered when they were changed last. */
const MAX_CHANGED = 1_000;

interface Change {
  readonly openedAt: number;
  readonly patch: Readonly<Record<string, unknown>>;
  readonly done: Promise<void>;
}

/** Settings changes that were sent and that the nodes may not have finished. */
export class OpenSettings {
  private readonly byInstance = new Map<string, Set<Change>>();

  /** The latest changes, done or not, the oldest first. */
  private readonly latest = new Map<string, Change[]>();

  constructor(private readonly context: WriterContext) {}

  /** Remembers a client's change until every node is done with it. */
  opened(
    instance: string,
    patch: Readonly<Record<string, unknown>>,
    nodeTasks: readonly AcceptedNodeTask[],
  ): void {
    const change = this.remember(instance, patch, nodeTasks);
    if (change !== undefined) this.noteLatest(instance, change);
  }

  /** Remembers that nodes are sent settings which are committed already. */
  repairing(instance: string, nodeTasks: readonly AcceptedNodeTask[]): void {
    this.remember(instance, {}, nodeTasks);
  }

  private remember(
    instance: string,
    patch: Readonly<Record<string, unknown>>,
    nodeTasks: readonly AcceptedNodeTask[],
  ): Change | undefined {
    const changes = this.byInstance.get(instance) ?? new Set();
    if (changes.size >= MAX_OPEN) return undefined;
    this.byInstance.set(instance, changes);
    const openedAt = this.context.world.clock.monotonic();
    const change: Change = { openedAt, patch, done: this.finished(nodeTasks) };
    changes.add(change);
    const close = () => {
      changes.delete(change);
      if (changes.size === 0 && this.byInstance.get(instance) === changes) this.byInstance.delete(instance);
    };
    change.done.then(close, close);
    return change;
  }

  patches(instance: string): readonly Readonly<Record<string, unknown>>[] {
    return [...(this.byInstance.get(instance) ?? [])].map((change) => change.patch);
  }

  /** Milliseconds since a client's last change of an index was sent; more than any limit where none was of late. */
  quietFor(instance: string): number {
    const last = this.latest.get(instance)?.at(-1);
    return last === undefined
      ? Number.POSITIVE_INFINITY
      : this.context.world.clock.monotonic() - last.openedAt;
  }

  /** Clients' changes of late, the oldest first: the topology may not tell of them yet, though nodes have made them. */
  recentPatches(instance: string): readonly Readonly<Record<string, unknown>>[] {
    const since = this.context.world.clock.monotonic() - RECENT_MS;
    const changes = this.latest.get(instance) ?? [];
    const open = this.byInstance.get(instance);
    return changes
      .filter((change) => change.openedAt >= since || open?.has(change) === true)
      .map(({ patch }) => patch);
  }

  /** Resolves once all changes that are open now are done; undefined where none is. */
  whenDone(instance: string): Promise<unknown> | undefined {
    const changes = this.byInstance.get(instance);
    return changes === undefined ? undefined : Promise.allSettled([...changes].map((change) => change.done));
  }

  private noteLatest(instance: string, change: Change): void {
    const changes = [...(this.latest.get(instance) ?? []), change].slice(-MAX_OPEN);
    this.latest.delete(instance);
    this.latest.set(instance, changes);
    for (const oldest of this.latest.keys()) {
      if (this.latest.size <= MAX_CHANGED) return;
      this.latest.delete(oldest);
    }
  }

  /** Waits until no change of an index is open any more, neither here nor in the topology, for as long as settings are waited for. */
  async settled(instance: string): Promise<void> {
    const { topology, world, config, closed } = this.context;
    const deadline = world.clock.monotonic() + config.settingsWaitMs;
    while (world.clock.monotonic() < deadline) {
      const changing = topology.current()?.byInstance.get(instance)?.settingsChanging === true;
      if (!changing && !this.byInstance.has(instance)) return;
      await world.timers.sleep(PAUSE_MS, closed);
    }
  }

  private async finished(nodeTasks: readonly AcceptedNodeTask[]): Promise<void> {
    const { calls, config, closed } = this.context;
    await Promise.allSettled(
      nodeTasks.map(async ({ nodeId, nodeTaskUid }) => {
        const node = nodeOf(this.context, nodeId);
        if (node !== undefined)
          await calls.waitForTask(node.writeAddress, nodeTaskUid, closed, config.settingsWaitMs);
      }),
    );
  }
}
