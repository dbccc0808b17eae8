import type { NodeTaskRow, TaskRow, TaskStatus } from "../task-store.js";
import type { Keyspace } from "./keyspace.js";

/** Consecutive uids whose times are summed up together. */
export const zoneSize = 1_024;
/** Zones that are summed up together once more. */
export const zonesAGroup = 64;
/** Node tasks that share one hash: few enough that Redis keeps it as one packed list. */
const lookupsABucket = 64;

/** The times of a task, by the names of their columns. */
export const taskTimes = ["enqueued", "started", "finished"] as const;
/** One of the times of a task. */
export type TaskTime = (typeof taskTimes)[number];

/** The keys of tasks and of what finds them. docs/reference/redis-keyspace.md says what is in each. */
export class TaskKeys {
  readonly #keys: Keyspace;
  /** Begins the key of every row: `rowkey` of the scripts appends the uid. */
  readonly table: string;
  /** Sorted set of all uids. */
  readonly index: string;
  /** The next uid to give. */
  readonly nextUid: string;
  /** Counts commits: the number that a row's field `rev` has from the commit that wrote it last. */
  readonly rev: string;
  /** Hash of how many tasks there are: by status, and by `status:type:index`. */
  readonly counts: string;
  /** Hash of how many node tasks are open, by node. */
  readonly openCounts: string;
  /** Hash of what groups of zones sum up; {@link zone} has what is in one of them. */
  readonly zones: string;

  constructor(keys: Keyspace) {
    this.#keys = keys;
    this.table = keys.table("tasks");
    this.index = keys.index("tasks", "index");
    this.nextUid = keys.index("tasks", "next_uid");
    this.rev = keys.index("tasks", "rev");
    this.counts = keys.index("tasks", "counts");
    this.openCounts = keys.index("tasks", "open_counts");
    this.zones = keys.index("tasks", "zones");
  }

  /** Hash of one task. */
  row(uid: number): string {
    return this.#keys.row("tasks", uid);
  }

  /** Sorted set of the uids of one kind of tasks, and the field of {@link counts} that counts them. */
  kind({ status, type, indexUid }: Pick<TaskRow, "status" | "type" | "indexUid">): {
    key: string;
    field: string;
  } {
    const key = this.#keys.index("tasks", "kind", status, type, indexUid ?? "");
    return { key, field: key.slice(this.kindPrefix.length) };
  }

  /** What stands before `status:type:index` in the key of a kind. */
  get kindPrefix(): string {
    return `${this.#keys.index("tasks", "kind")}:`;
  }

  /** How an index is written in the fields of {@link counts}. */
  escapedIndex(indexUid: string): string {
    return this.#keys.index("tasks", "kind", indexUid).slice(this.kindPrefix.length);
  }

  /** Sorted set of {@link orderedUid}, by a time. */
  time(time: TaskTime): string {
    return this.#keys.index("tasks", time);
  }

  /** Sorted set of the uids that a task canceled. */
  canceledBy(uid: number): string {
    return this.#keys.index("tasks", "canceled_by", uid);
  }

  /** Hash and field that hold the client tasks of a node task, in ascending order. */
  lookup(nodeId: string, nodeTaskUid: number): { key: string; field: string } {
    const bucket = Math.floor(nodeTaskUid / lookupsABucket);
    return {
      key: this.#keys.index("tasks", "node", nodeId, bucket),
      field: String(nodeTaskUid % lookupsABucket),
    };
  }

  /** Sorted set of a node's open tasks, by the node's uid; members are {@link openMember}s. */
  open(nodeId: string): string {
    return this.#keys.index("tasks", "open", nodeId);
  }

  /** Where a uid's zone is summed up: with others of its group, and the group as a whole. */
  zone(uid: number): readonly { key: string; field: string }[] {
    const zone = Math.floor(uid / zoneSize);
    const group = Math.floor(zone / zonesAGroup);
    return [
      { key: this.zones, field: String(group) },
      { key: this.#keys.index("tasks", "zones", group), field: String(zone) },
    ];
  }
}

/** A uid as text whose order by bytes is that of the numbers: the number of digits comes first, as a letter. */
export function orderedUid(uid: number): string {
  const digits = String(uid);
  return `${String.fromCharCode(96 + digits.length)}${digits}`;
}

/** The uid of {@link orderedUid}. */
export function uidOfOrdered(text: string): number {
  return Number(text.slice(1));
}

/** The member that stands for an open node task. */
export function openMember(
  taskUid: number,
  { nodeTaskUid, status }: Pick<NodeTaskRow, "nodeTaskUid" | "status">,
): string {
  return `${orderedUid(taskUid)}:${nodeTaskUid}:${status}`;
}

/** What {@link openMember} says; undefined for other texts. */
export function parseOpenMember(
  member: string,
): { taskUid: number; nodeTaskUid: number; status: TaskStatus } | undefined {
  const [task = "", node = "", status] = member.split(":");
  if (status !== "enqueued" && status !== "processing") return undefined;
  return { taskUid: uidOfOrdered(task), nodeTaskUid: Number(node), status };
}
