import { ConflictError } from "../errors.js";
import type { WorkflowId } from "../ids.js";
import { checkedLimit } from "../limits.js";
import { checkPruneRule, type PruneRule } from "../prune-rule.js";
import { checkWorkflow } from "../row-checks.js";
import type { FencingToken, WorkflowRow, WorkflowsTable } from "../task-store.js";
import { type RedisBackend, transact } from "./commit.js";
import { type FlatRow, presentFields, RowFields } from "./row-fields.js";
import { listRows, readRows } from "./row-reader.js";
import { timeMember, timePrefixLength } from "./time-order.js";

/**
 * Workflows on Redis, each with an entry in `_index`, by creation; in `_open`, by creation, while it runs, and then
 * in `_finished`, by its end.
 */
export class RedisWorkflowsTable implements WorkflowsTable {
  readonly #backend: RedisBackend;
  readonly #index: string;
  readonly #open: string;
  readonly #finished: string;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#index = backend.keys.index("workflows", "index");
    this.#open = backend.keys.index("workflows", "open");
    this.#finished = backend.keys.index("workflows", "finished");
  }

  async get(id: WorkflowId): Promise<WorkflowRow | undefined> {
    const [row] = await readRows(this.#backend, "read a workflow", [this.#row(id)]);
    return row === undefined ? undefined : decode(row);
  }

  async listOpen(): Promise<readonly WorkflowRow[]> {
    const rows = await listRows(this.#backend, "list unfinished workflows", {
      table: "workflows",
      index: this.#open,
      id: timePrefixLength,
    });
    return rows.map(decode);
  }

  async list(
    page: { after?: Pick<WorkflowRow, "createdAt" | "id">; limit?: number } = {},
  ): Promise<readonly WorkflowRow[]> {
    const { after } = page;
    const rows = await listRows(this.#backend, "list workflows", {
      table: "workflows",
      index: this.#index,
      id: timePrefixLength,
      descending: true,
      limit: checkedLimit(page.limit, 100),
      ...(after === undefined ? {} : { after: timeMember(after.createdAt, after.id) }),
    });
    return rows.map(decode);
  }

  async put(row: WorkflowRow, fence: FencingToken): Promise<void> {
    checkWorkflow(row);
    const { id, createdAt, finishedAt } = row;
    const key = this.#row(id);
    await transact(this.#backend, "store a workflow", { fence, durable: true }, async (commit) => {
      const times = await this.#times(id);
      if (times === undefined) {
        commit.expectAbsent(key);
      } else {
        if (times.finishedAt !== null) {
          throw new ConflictError(`Workflow ${id} has finished; start a new one.`);
        }
        const stored = timeMember(times.createdAt, id);
        commit
          .expectField(key, "created_at", String(times.createdAt))
          .expectField(key, "finished_at", undefined)
          .zrem(this.#index, stored)
          .zrem(this.#open, stored);
      }
      commit.del(key).hset(
        key,
        presentFields({
          id,
          kind: row.kind,
          step: row.step,
          state_json: row.stateJson,
          created_at: createdAt,
          updated_at: row.updatedAt,
          finished_at: finishedAt,
        }),
      );
      commit.zadd(this.#index, 0, timeMember(createdAt, id));
      if (finishedAt === null) commit.zadd(this.#open, 0, timeMember(createdAt, id));
      else commit.zadd(this.#finished, 0, timeMember(finishedAt, id));
    });
  }

  /** Deletes finished workflows as `Retention.pruneWorkflows` says. */
  async prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    const limit = checkPruneRule(rule);
    return transact(this.#backend, "prune workflows", { fence, durable: true }, async (commit) => {
      const members = await this.#prunable(rule, limit);
      const ids = members.map((member) => member.slice(timePrefixLength) as WorkflowId);
      for (const [at, row] of (await this.#timesOf(ids)).entries()) {
        const [id, member] = [ids[at], members[at]];
        if (id === undefined || member === undefined) continue;
        commit.zrem(this.#finished, member);
        if (row === undefined) continue;
        // Somebody else who prunes at the same time has taken it: look again.
        const key = this.#row(id);
        commit.expectField(key, "created_at", String(row.createdAt));
        commit.del(key).zrem(this.#index, timeMember(row.createdAt, id));
      }
      return members.length;
    });
  }

  /** Members of `_finished` that a rule lets go, the earliest first. */
  #prunable({ finishedBefore, keepFinished }: PruneRule, limit: number): Promise<string[]> {
    return this.#backend.connection.read("look for finished workflows", async (client) => {
      const [old, excess] = await Promise.all([
        finishedBefore === undefined
          ? 0
          : client.zlexcount(this.#finished, "-", `(${timeMember(finishedBefore, "")}`),
        keepFinished === undefined ? 0 : client.zcard(this.#finished).then((count) => count - keepFinished),
      ]);
      const count = Math.min(limit, Math.max(old, excess));
      return count <= 0 ? [] : client.zrange(this.#finished, 0, count - 1);
    });
  }

  async #times(id: WorkflowId): Promise<Times | undefined> {
    return (await this.#timesOf([id]))[0];
  }

  #timesOf(ids: readonly WorkflowId[]): Promise<(Times | undefined)[]> {
    return this.#backend.connection.read("read workflows' times", (client) =>
      Promise.all(
        ids.map(async (id) => {
          const [createdAt, finishedAt] = await client.hmget(this.#row(id), "created_at", "finished_at");
          if (typeof createdAt !== "string") return undefined;
          const flat = ["created_at", createdAt, ...(finishedAt ? ["finished_at", finishedAt] : [])];
          const fields = new RowFields(flat, `workflow "${id}"`);
          return {
            createdAt: fields.integer("created_at"),
            finishedAt: fields.integerOrNull("finished_at"),
          };
        }),
      ),
    );
  }

  #row(id: WorkflowId): string {
    return this.#backend.keys.row("workflows", id);
  }
}

type Times = Pick<WorkflowRow, "createdAt" | "finishedAt">;

function decode(row: FlatRow): WorkflowRow {
  const fields = new RowFields(row, "a workflow");
  return {
    id: fields.text("id") as WorkflowId,
    kind: fields.text("kind"),
    step: fields.text("step"),
    stateJson: fields.text("state_json"),
    createdAt: fields.integer("created_at"),
    updatedAt: fields.integer("updated_at"),
    finishedAt: fields.integerOrNull("finished_at"),
  };
}
