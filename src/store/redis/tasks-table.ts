import { InvalidArgumentError, StoreCorruptError } from "../errors.js";
import type { NodeId, NodeTaskUid, TaskUid } from "../ids.js";
import { checkBatch, checkInteger, checkTaskBatch, maxBatch } from "../limits.js";
import { mergeWholeTask, nodeTaskOfUpdate } from "../merge-task.js";
import type { PruneRule } from "../prune-rule.js";
import { checkFilter, checkNodeTaskUpdates, checkPage, checkTasks } from "../task-checks.js";
import type {
  FencingToken,
  NodeTaskRef,
  NodeTaskUpdate,
  NodeTaskUpdateResult,
  OpenNodeTask,
  TaskFilter,
  TaskPage,
  TaskPageRequest,
  TaskRow,
  TasksTable,
} from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend, transact } from "./commit.js";
import { parseOpenMember, TaskKeys } from "./task-keys.js";
import { TaskListing } from "./task-listing.js";
import { deleteTasks, pruneTasks } from "./task-pruning.js";
import { parseOwners, TaskReader } from "./task-reader.js";
import { TaskUpdates } from "./task-updates.js";

const maxOpenPage = 100_000;

/** Tasks on Redis. */
export class RedisTasksTable implements TasksTable {
  readonly #backend: RedisBackend;
  readonly #keys: TaskKeys;
  readonly #reader: TaskReader;
  readonly #listing: TaskListing;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#keys = new TaskKeys(backend.keys);
    this.#reader = new TaskReader(backend);
    this.#listing = new TaskListing(backend, this.#reader);
  }

  async allocateUids(count: number, fence: FencingToken): Promise<TaskUid> {
    checkInteger(count, 1, maxBatch, "A number of task uids to reserve");
    const { connection, keys } = this.#backend;
    const reply = await connection.run(
      "tasks-allocate",
      [leaseKey(keys, fence.scope), this.#keys.nextUid, this.#keys.index],
      [fence.holder, fence.term, count, Number.MAX_SAFE_INTEGER],
      "durable",
      "reserve task uids",
    );
    const [result, ...rest] = reply as [string, ...string[]];
    if (result === "fenced") throw fencedError(fence, rest);
    if (result === "exhausted") {
      throw new InvalidArgumentError(`There are no ${count} task uids left below 2^53.`);
    }
    return Number(rest[0]) as TaskUid;
  }

  async nextUid(): Promise<TaskUid> {
    const { nextUid, index } = this.#keys;
    const [given, newest] = await this.#backend.connection.read("read the next task uid", (client) =>
      Promise.all([client.get(nextUid), client.zrange(index, -1, -1)]),
    );
    return Math.max(Number(given ?? 0), newest[0] === undefined ? 0 : Number(newest[0]) + 1) as TaskUid;
  }

  async upsert(tasks: readonly TaskRow[], fence: FencingToken): Promise<readonly TaskRow[]> {
    checkTasks(tasks);
    const operation = "record tasks";
    return transact(this.#backend, operation, { fence, script: "tasks-commit" }, async (commit) => {
      const updates = new TaskUpdates(this.#keys);
      const uids = [...new Set(tasks.map((task) => task.uid))];
      updates.read(uids, await this.#reader.stored(operation, uids));
      const merged = tasks.map((task) => {
        const row = mergeWholeTask(updates.get(task.uid), task);
        updates.put(row);
        return row;
      });
      updates.writeTo(commit);
      return merged;
    });
  }

  async get(uid: TaskUid): Promise<TaskRow | undefined> {
    return (await this.#reader.many("read a task", [uid]))[0];
  }

  async getMany(uids: readonly TaskUid[]): Promise<readonly TaskRow[]> {
    checkBatch(uids, "task uids");
    const ascending = [...new Set(uids)].sort((a, b) => a - b);
    return this.#reader.many("read tasks", ascending);
  }

  async list(filter: TaskFilter, page: TaskPageRequest): Promise<TaskPage> {
    checkPage(page);
    checkFilter(filter);
    return this.#listing.list(filter, page);
  }

  async findByNodeTasks(refs: readonly NodeTaskRef[]): Promise<readonly (TaskUid | undefined)[]> {
    checkBatch(refs, "node tasks");
    const owners = await this.#reader.owners("find tasks by node task", refs);
    return owners.map((text) => parseOwners(text).at(-1));
  }

  async findByNodeTask(nodeId: NodeId, nodeTaskUid: NodeTaskUid): Promise<TaskUid | undefined> {
    return (await this.findByNodeTasks([{ nodeId, nodeTaskUid }]))[0];
  }

  async applyNodeTaskUpdates(
    updates: readonly NodeTaskUpdate[],
    fence: FencingToken,
  ): Promise<NodeTaskUpdateResult> {
    checkNodeTaskUpdates(updates);
    const operation = "record what nodes' task logs say";
    return transact(this.#backend, operation, { fence, script: "tasks-commit" }, async (commit) => {
      const work = new TaskUpdates(this.#keys);
      const anonymous = updates.filter((update) => update.taskUid === undefined);
      const owners = await this.#reader.owners(operation, anonymous);
      for (const [index, ref] of anonymous.entries()) work.readOwners(ref, owners[index] ?? "");
      const uids = [
        ...new Set([...updates.flatMap(({ taskUid }) => taskUid ?? []), ...owners.flatMap(parseOwners)]),
      ];
      work.read(uids, await this.#reader.stored(operation, uids));
      const changed = new Set<TaskUid>();
      const unknown: NodeTaskUpdate[] = [];
      for (const update of updates) {
        const uid = update.taskUid ?? work.ownerOf(update);
        const row = uid === undefined ? undefined : work.get(uid);
        if (row === undefined) unknown.push(update);
        else if (work.putNodeTask(row, nodeTaskOfUpdate(update))) changed.add(row.uid);
      }
      work.writeTo(commit);
      const rows = [...changed].sort((a, b) => a - b).flatMap((uid) => work.get(uid) ?? []);
      return { changed: rows, unknown };
    });
  }

  async openNodeTasks(
    nodeId: NodeId,
    page: { after?: NodeTaskUid; limit?: number } = {},
  ): Promise<readonly OpenNodeTask[]> {
    const { after = -1, limit = maxBatch } = page;
    checkInteger(limit, 1, maxOpenPage, "A page's limit");
    const key = this.#keys.open(nodeId);
    const members = await this.#backend.connection.read("list open node tasks", (client) =>
      client.zrange(key, `(${after}`, "+inf", "BYSCORE", "LIMIT", 0, limit),
    );
    return members.map((member) => {
      const open = parseOpenMember(member);
      if (open === undefined) throw new StoreCorruptError(`${key} has the unreadable member "${member}"`);
      return {
        taskUid: open.taskUid as TaskUid,
        nodeId,
        nodeTaskUid: open.nodeTaskUid as NodeTaskUid,
        status: open.status,
      };
    });
  }

  async countOpenNodeTasks(): Promise<ReadonlyMap<NodeId, number>> {
    const counts = await this.#backend.connection.read("count open node tasks", (client) =>
      client.hgetall(this.#keys.openCounts),
    );
    return new Map(Object.entries(counts).map(([node, count]) => [node as NodeId, Number(count)]));
  }

  async countOpen(): Promise<number> {
    const counts = await this.#backend.connection.read("count open tasks", (client) =>
      client.hmget(this.#keys.counts, "enqueued", "processing"),
    );
    return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
  }

  async delete(uids: readonly TaskUid[], fence: FencingToken): Promise<readonly TaskUid[]> {
    checkTaskBatch(uids, "task uids to delete");
    return deleteTasks(this.#backend, this.#reader, [...new Set(uids)], fence);
  }

  /** `Retention.pruneTasks`. */
  prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    return pruneTasks(this.#backend, this.#reader, rule, fence);
  }
}
