/** What a write is about. */
export interface Touch {
  readonly shards: readonly number[] | "all";
  /** The keys of its documents, as text; undefined where it may touch every key of the shards. */
  readonly keys: readonly string[] | undefined;
  /** Whether what becomes of the documents does not depend on what they were: they are replaced or deleted. */
  readonly overwrites: boolean;
  /** Nodes that are still being filled do not get it. */
  readonly passesBy: boolean;
}

/** A write that a node has finished. */
export interface FinishedWrite {
  readonly sequence: number;
  readonly touch: Touch;
  /** Whether another node has not finished it. */
  isOpenOn(nodeId: string): boolean;
}

/** A write that some node has not finished. */
interface OpenWrite {
  readonly sequence: number;
  readonly touch: Touch;
  /** By node: its task that is not finished; undefined until it is known which nodes took the write. */
  tasks: Map<string, number> | undefined;
}

/** Keys of unfinished writes that are remembered; a write beyond that counts as one that touches every key. */
const MAX_KEYS = 500_000;

/** The writes of an index that nodes have not finished, in the order of its lane. Pure. */
export class LaneWrites {
  readonly #open = new Map<number, OpenWrite>();
  #keys = 0;
  #last = 0;

  constructor(private readonly maxKeys: number = MAX_KEYS) {}

  /** The place of the last write that was sent; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** A write is about to be sent. Gives what it is taken to touch. */
  begin(sequence: number, touch: Touch): Touch {
    const known = touch.keys !== undefined && this.#keys + touch.keys.length <= this.maxKeys;
    const kept: Touch = known ? touch : { ...touch, keys: undefined };
    this.#last = Math.max(this.#last, sequence);
    this.#open.set(sequence, { sequence, touch: kept, tasks: undefined });
    this.#keys += kept.keys?.length ?? 0;
    return kept;
  }

  /** The nodes' tasks for a write; none where no node has any of it. */
  settle(sequence: number, tasks: ReadonlyMap<string, number>): void {
    const write = this.#open.get(sequence);
    if (write === undefined) return;
    write.tasks = new Map(tasks);
    this.#forgetFinished(write);
  }

  /** A node is done with a task: gives the write, where the task is one of an open write. */
  finish(nodeId: string, nodeTaskUid: number): FinishedWrite | undefined {
    for (const write of this.#open.values()) {
      const { sequence, touch, tasks } = write;
      if (tasks?.get(nodeId) !== nodeTaskUid) continue;
      tasks.delete(nodeId);
      this.#forgetFinished(write);
      return { sequence, touch, isOpenOn: (other) => tasks.has(other) };
    }
    return undefined;
  }

  /** A node's tasks that are not finished, in their order. */
  tasksOn(nodeId: string): readonly number[] {
    const tasks: number[] = [];
    for (const write of this.#open.values()) {
      const uid = write.tasks?.get(nodeId);
      if (uid !== undefined) tasks.push(uid);
    }
    return tasks;
  }

  /** Nodes that have not finished some write. */
  nodes(): ReadonlySet<string> {
    return new Set([...this.#open.values()].flatMap(({ tasks }) => [...(tasks?.keys() ?? [])]));
  }

  /** The place up to which a node has finished every write. */
  horizon(nodeId: string): number {
    for (const { sequence, tasks } of this.#open.values()) {
      if (tasks === undefined || tasks.has(nodeId)) return sequence - 1;
    }
    return this.#last;
  }

  #forgetFinished({ sequence, touch, tasks }: OpenWrite): void {
    if (tasks === undefined || tasks.size > 0) return;
    this.#open.delete(sequence);
    this.#keys -= touch.keys?.length ?? 0;
  }
}
