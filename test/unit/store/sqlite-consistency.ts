import Database from "better-sqlite3";
import { expect } from "vitest";

/** Everything that triggers keep, beside what the rows of `tasks` say: each query gives no row. */
const differences = [
  kept(
    "task_counts",
    "status, type, index_uid, n",
    "status, type, index_uid, count(*)",
    "GROUP BY status, type, index_uid",
  ),
  kept(
    "task_cancel_counts",
    "canceled_by, n",
    "canceled_by, count(*)",
    "WHERE canceled_by IS NOT NULL GROUP BY canceled_by",
  ),
  kept(
    "task_zones",
    "zone, enqueued, started, finished",
    "uid / 1024, count(*), count(started_at), count(finished_at)",
    "GROUP BY uid / 1024",
  ),
  // Wider than need be after deletions, never narrower.
  ...["enqueued", "started", "finished"].map(
    (time) => `SELECT * FROM tasks JOIN task_zones ON zone = uid / 1024
      WHERE ${time}_at IS NOT NULL AND ${time}_at BETWEEN ${time}_min AND ${time}_max IS NOT TRUE`,
  ),
];

/** Compares what the triggers of a SQLite store keep about its tasks with the tasks themselves. */
export function expectConsistentTasks(path: string): void {
  const db = new Database(path, { readonly: true });
  try {
    for (const sql of differences) expect(db.prepare(sql).all(), sql).toEqual([]);
  } finally {
    db.close();
  }
}

function kept(table: string, columns: string, computed: string, rest: string): string {
  const stored = `SELECT ${columns} FROM ${table}`;
  const rows = `SELECT ${computed} FROM tasks ${rest}`;
  return `SELECT * FROM (${stored} EXCEPT ${rows}) UNION ALL SELECT * FROM (${rows} EXCEPT ${stored})`;
}
