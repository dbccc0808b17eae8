import type { WriterContext } from "./generation-change.js";
import type { AcceptedNodeTask } from "./index-write.js";

/** Changes of one index remembered at most. */
const MAX_OPEN = 100;
/** Indexes of which it is remembered when they were changed last. */
const MAX_CHANGED = 1_000;

interface Change {
  readonly patch: Readonly<Record<string, unknown>>;
  readonly done: Promise<void>;
}

/** Settings changes that were sent and that the nodes may not have finished. */
export class OpenSettings {
  private readonly byInstance = new Map<string, Set<Change>>();

  private readonly changedAt = new Map<string, number>();

  constructor(private readonly context: WriterContext) {}

  /** Remembers a client's change until every node is done with it. */
  opened(
    instance: string,
    patch: Readonly<Record<string, unknown>>,
    nodeTasks: readonly AcceptedNodeTask[],
  ): void {
    this.noteChange(instance);
    this.remember(instance, patch, nodeTasks);
  }

  /** Remembers that nodes are sent settings which are committed already. */
  repairing(instance: string, nodeTasks: readonly AcceptedNodeTask[]): void {
    this.remember(instance, {}, nodeTasks);
  }

  private remember(
    instance: string,
    patch: Readonly<Record<string, unknown>>,
    nodeTasks: readonly AcceptedNodeTask[],
  ): void {
    const changes = this.byInstance.get(instance) ?? new Set();
    if (changes.size >= MAX_OPEN) return;
    this.byInstance.set(instance, changes);
    const change: Change = { patch, done: this.finished(nodeTasks) };
    changes.add(change);
    const close = () => {
      changes.delete(change);
      if (changes.size === 0 && this.byInstance.get(instance) === changes) this.byInstance.delete(instance);
    };
    change.done.then(close, close);
  }

  patches(instance: string): readonly Readonly<Record<string, unknown>>[] {
    return [...(this.byInstance.get(instance) ?? [])].map((change) => change.patch);
  }

  /** Milliseconds since a client's last change of an index was sent; more than any limit where none was of late. */
  quietFor(instance: string): number {
    const at = this.changedAt.get(instance);
    return at === undefined ? Number.POSITIVE_INFINITY : this.context.world.clock.monotonic() - at;
  }

  /** Resolves once all changes that are open now are done; undefined where none is. */
  whenDone(instance: string): Promise<unknown> | undefined {
    const changes = this.byInstance.get(instance);
    return changes === undefined ? undefined : Promise.allSettled([...changes].map((change) => change.done));
  }

  private noteChange(instance: string): void {
    this.changedAt.delete(instance);
    this.changedAt.set(instance, this.context.world.clock.monotonic());
    for (const oldest of this.changedAt.keys()) {
      if (this.changedAt.size <= MAX_CHANGED) return;
      this.changedAt.delete(oldest);
    }
  }

  private async finished(nodeTasks: readonly AcceptedNodeTask[]): Promise<void> {
    const { topology, calls, config, closed } = this.context;
    await Promise.allSettled(
      nodeTasks.map(async ({ nodeId, nodeTaskUid }) => {
        const node = topology.current()?.nodes.get(nodeId);
        if (node !== undefined)
          await calls.waitForTask(node.writeAddress, nodeTaskUid, closed, config.settingsWaitMs);
      }),
    );
  }
}
