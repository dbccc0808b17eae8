import type { TaskUid } from "../ids.js";
import { checkPruneRule, type PruneRule } from "../prune-rule.js";
import { type FencingToken, isFinalStatus, type TaskRow } from "../task-store.js";
import { type RedisBackend, transact } from "./commit.js";
import { TaskChanges } from "./task-changes.js";
import { TaskKeys, uidOfOrdered } from "./task-keys.js";
import type { TaskReader } from "./task-reader.js";

/** Tasks that one step looks at, and deletes at most. */
const step = 250;
const operation = "prune tasks";

/** `Retention.pruneTasks` in bounded steps, each of which the fence and every task that it deletes are checked in. */
export async function pruneTasks(
  backend: RedisBackend,
  reader: TaskReader,
  rule: PruneRule,
  fence: FencingToken,
): Promise<number> {
  const limit = checkPruneRule(rule);
  const { finishedBefore, keepFinished } = rule;
  const pruner = new TaskPruner(backend, reader, fence);
  let pruned = await pruner.prune(finishedBefore === undefined ? 0 : limit, `(${finishedBefore ?? 0}`);
  if (keepFinished !== undefined && pruned < limit) {
    const excess = (await pruner.countFinished()) - keepFinished;
    if (excess > 0) pruned += await pruner.prune(Math.min(excess, limit - pruned), "+inf");
  }
  return pruned;
}

/** `TasksTable.delete`: one step, in which the fence and every task that it deletes are checked. */
export async function deleteTasks(
  backend: RedisBackend,
  reader: TaskReader,
  uids: readonly TaskUid[],
  fence: FencingToken,
): Promise<readonly TaskUid[]> {
  const keys = new TaskKeys(backend.keys);
  const operation = "delete tasks";
  return transact(backend, operation, { fence, script: "tasks-commit" }, async (commit) => {
    const doomed = (await reader.stored(operation, uids)).filter(({ row }) => isSettled(row));
    const changes = new TaskChanges(keys);
    for (const task of doomed) {
      commit.expectField(keys.row(task.row.uid), "rev", task.rev);
      changes.delete(task);
    }
    changes.writeTo(commit);
    return doomed.map(({ row }) => row.uid).sort((a, b) => a - b);
  });
}

class TaskPruner {
  readonly #backend: RedisBackend;
  readonly #keys: TaskKeys;
  readonly #reader: TaskReader;
  readonly #fence: FencingToken;

  constructor(backend: RedisBackend, reader: TaskReader, fence: FencingToken) {
    this.#backend = backend;
    this.#keys = new TaskKeys(backend.keys);
    this.#reader = reader;
    this.#fence = fence;
  }

  async countFinished(): Promise<number> {
    const counts = await this.#backend.connection.read(operation, (client) =>
      client.hmget(this.#keys.counts, "succeeded", "failed", "canceled"),
    );
    return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
  }

  /** Deletes the settled tasks that finished first, up to `limit` of those up to a time; checks the fence at least once. */
  async prune(limit: number, until: string): Promise<number> {
    let pruned = 0;
    // What stays where it is, before what is still to be looked at.
    let kept = 0;
    for (;;) {
      const some = Math.min(step, limit - pruned);
      const looked = await this.#step(some, until, kept);
      pruned += looked.pruned;
      kept += looked.kept;
      if (pruned >= limit || looked.pruned + looked.kept < some) return pruned;
    }
  }

  #step(count: number, until: string, skip: number): Promise<{ pruned: number; kept: number }> {
    const options = { fence: this.#fence, script: "tasks-commit" };
    return transact(this.#backend, operation, options, async (commit) => {
      if (count === 0) return { pruned: 0, kept: 0 };
      const members = await this.#backend.connection.read(operation, (client) =>
        client.zrange(this.#keys.time("finished"), "-inf", until, "BYSCORE", "LIMIT", skip, count),
      );
      const uids = members.map((member) => uidOfOrdered(member) as TaskUid);
      const doomed = (await this.#reader.stored(operation, uids)).filter(({ row }) => isSettled(row));
      const changes = new TaskChanges(this.#keys);
      for (const task of doomed) {
        commit.expectField(this.#keys.row(task.row.uid), "rev", task.rev);
        changes.delete(task);
      }
      changes.writeTo(commit);
      return { pruned: doomed.length, kept: members.length - doomed.length };
    });
  }
}

function isSettled(row: TaskRow): boolean {
  return isFinalStatus(row.status) && row.nodeTasks.every((nodeTask) => isFinalStatus(nodeTask.status));
}
