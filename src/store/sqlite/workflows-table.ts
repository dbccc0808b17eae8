import { ConflictError } from "../errors.js";
import type { WorkflowId } from "../ids.js";
import { checkedLimit } from "../limits.js";
import type { PruneRule } from "../prune-rule.js";
import { checkWorkflow } from "../row-checks.js";
import type { FencingToken, WorkflowRow, WorkflowsTable } from "../task-store.js";
import type { Connection } from "./connection.js";
import { FinishedRows } from "./finished-rows.js";

interface WorkflowRecord {
  id: string;
  kind: string;
  step: string;
  state_json: string;
  created_at: number;
  updated_at: number;
  finished_at: number | null;
}

/** Workflows on SQLite. `durable` commits through to the disk, since steps rely on what was stored. */
export class SqliteWorkflowsTable implements WorkflowsTable {
  readonly #durable: Connection;
  readonly #select;
  readonly #selectOpen;
  readonly #selectNewest;
  readonly #selectAfter;
  readonly #upsert;
  readonly #history;

  constructor(durable: Connection) {
    this.#durable = durable;
    this.#select = durable.prepare<[string], WorkflowRecord>("SELECT * FROM workflows WHERE id = ?");
    this.#selectOpen = durable.prepare<[], WorkflowRecord>(
      "SELECT * FROM workflows WHERE finished_at IS NULL ORDER BY created_at, id",
    );
    this.#selectNewest = durable.prepare<[number], WorkflowRecord>(
      "SELECT * FROM workflows ORDER BY created_at DESC, id DESC LIMIT ?",
    );
    this.#selectAfter = durable.prepare<[number, string, number], WorkflowRecord>(
      "SELECT * FROM workflows WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?",
    );
    this.#upsert = durable.prepare<[WorkflowRecord]>(
      `INSERT INTO workflows (id, kind, step, state_json, created_at, updated_at, finished_at)
       VALUES (:id, :kind, :step, :state_json, :created_at, :updated_at, :finished_at)
       ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, step = excluded.step,
         state_json = excluded.state_json, created_at = excluded.created_at,
         updated_at = excluded.updated_at, finished_at = excluded.finished_at
       WHERE finished_at IS NULL`,
    );
    this.#history = new FinishedRows(durable, {
      table: "workflows",
      key: "id",
      order: "finished_at, id",
      operation: "prune workflows",
    });
  }

  async get(id: WorkflowId): Promise<WorkflowRow | undefined> {
    const record = this.#durable.read("read a workflow", () => this.#select.get(id));
    return record === undefined ? undefined : decode(record);
  }

  async listOpen(): Promise<readonly WorkflowRow[]> {
    return this.#durable.read("list unfinished workflows", () => this.#selectOpen.all()).map(decode);
  }

  async list(
    page: { after?: Pick<WorkflowRow, "createdAt" | "id">; limit?: number } = {},
  ): Promise<readonly WorkflowRow[]> {
    const { after } = page;
    const limit = checkedLimit(page.limit, 100);
    return this.#durable
      .read("list workflows", () =>
        after === undefined
          ? this.#selectNewest.all(limit)
          : this.#selectAfter.all(after.createdAt, after.id, limit),
      )
      .map(decode);
  }

  async put(row: WorkflowRow, fence: FencingToken): Promise<void> {
    checkWorkflow(row);
    this.#durable.fencedWrite("store a workflow", fence, () => {
      const { changes } = this.#upsert.run({
        id: row.id,
        kind: row.kind,
        step: row.step,
        state_json: row.stateJson,
        created_at: row.createdAt,
        updated_at: row.updatedAt,
        finished_at: row.finishedAt,
      });
      if (changes === 0) throw new ConflictError(`Workflow ${row.id} has finished; start a new one.`);
    });
  }

  /** Deletes finished workflows as `Retention.pruneWorkflows` says. */
  prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    return this.#history.prune(rule, fence);
  }
}

function decode(record: WorkflowRecord): WorkflowRow {
  return {
    id: record.id as WorkflowId,
    kind: record.kind,
    step: record.step,
    stateJson: record.state_json,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
    finishedAt: record.finished_at,
  };
}
