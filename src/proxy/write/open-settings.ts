import type { WriterContext } from "./generation-change.js";
import type { AcceptedNodeTask } from "./index-write.js";

/** Changes of one index remembered at most. */
const MAX_OPEN = 100;

interface Change {
  readonly patch: Readonly<Record<string, unknown>>;
  readonly done: Promise<void>;
}

/** Settings changes that were sent and that the nodes may not have finished. */
export class OpenSettings {
  private readonly byInstance = new Map<string, Set<Change>>();

  constructor(private readonly context: WriterContext) {}

  /** Remembers a change until every node is done with it. */
  opened(
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

  /** Resolves once all changes that are open now are done; undefined where none is. */
  whenDone(instance: string): Promise<unknown> | undefined {
    const changes = this.byInstance.get(instance);
    return changes === undefined ? undefined : Promise.allSettled([...changes].map((change) => change.done));
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
