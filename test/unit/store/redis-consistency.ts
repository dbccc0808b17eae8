import type { Redis } from "ioredis";
import { expect } from "vitest";
import { isFinalStatus, type TaskRow } from "../../../src/store/task-store.js";

type Content = Record<string, string>;

/**
 * Compares everything that finds tasks on Redis with what the rows themselves say, written without the code that
 * keeps it. `tag` begins every key; `rows` are all tasks.
 */
export async function expectConsistentTasks(
  client: Redis,
  tag: string,
  rows: readonly TaskRow[],
): Promise<void> {
  const prefix = `${tag}:tasks:`;
  const expected = expectedKeys(rows);
  const zones = new Map<string, Content>();
  const actual = new Map<string, Content>();
  const uids: string[] = [];
  for (const key of await client.keys(`${prefix}*`)) {
    const name = key.slice(prefix.length);
    if (/^\d+$/.test(name)) uids.push(name);
    else if (name === "_zones" || name.startsWith("_zones:")) zones.set(name, await client.hgetall(key));
    else if (name !== "_rev" && name !== "_next_uid") actual.set(name, await read(client, key));
  }
  expect(uids.toSorted()).toEqual(rows.map((row) => String(row.uid)).toSorted());
  expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected));
  expectZones(zones, rows);
}

async function read(client: Redis, key: string): Promise<Content> {
  if ((await client.type(key)) === "hash") return client.hgetall(key);
  const flat = await client.zrange(key, 0, -1, "WITHSCORES");
  return Object.fromEntries(flat.flatMap((member, i) => (i % 2 === 0 ? [[member, flat[i + 1] ?? ""]] : [])));
}

function expectedKeys(rows: readonly TaskRow[]): Map<string, Content> {
  const keys = new Map<string, Content>();
  const put = (key: string, field: string | number, value: string | number): void => {
    keys.set(key, { ...keys.get(key), [field]: score(value) });
  };
  const add = (key: string, field: string): void => put(key, field, Number(keys.get(key)?.[field] ?? 0) + 1);
  for (const row of rows) {
    const { uid, status } = row;
    const digits = String(uid);
    const ordered = `${"abcdefghijklmnop"[digits.length - 1]}${digits}`;
    const kind = `${status}:${row.type}:${row.indexUid ?? ""}`;
    put("_index", uid, uid);
    put(`_kind:${kind}`, uid, uid);
    add("_counts", kind);
    add("_counts", status);
    put("_enqueued", ordered, row.enqueuedAt);
    if (row.startedAt !== null) put("_started", ordered, row.startedAt);
    if (row.finishedAt !== null) put("_finished", ordered, row.finishedAt);
    if (row.canceledBy !== null) put(`_canceled_by:${row.canceledBy}`, uid, uid);
    for (const nodeTask of row.nodeTasks) {
      const { nodeId, nodeTaskUid } = nodeTask;
      const bucket = `_node:${nodeId}:${Math.floor(nodeTaskUid / 64)}`;
      const owners = keys.get(bucket)?.[nodeTaskUid % 64];
      put(bucket, nodeTaskUid % 64, owners === undefined ? digits : `${owners},${digits}`);
      if (isFinalStatus(nodeTask.status)) continue;
      put(`_open:${nodeId}`, `${ordered}:${nodeTaskUid}:${nodeTask.status}`, nodeTaskUid);
      add("_open_counts", nodeId);
    }
  }
  return keys;
}

/** Scores come back as C prints them; large ones with an exponent. */
function score(value: string | number): string {
  return typeof value === "string" ? value : value >= 1e17 ? value.toExponential() : String(value);
}

function expectZones(zones: ReadonlyMap<string, Content>, rows: readonly TaskRow[]): void {
  const left = new Set(
    [...zones].flatMap(([key, fields]) => Object.keys(fields).map((field) => `${key} ${field}`)),
  );
  const members = new Map<string, TaskRow[]>();
  for (const row of rows) {
    const zone = Math.floor(row.uid / 1_024);
    const group = Math.floor(zone / 64);
    for (const name of [`_zones ${group}`, `_zones:${group} ${zone}`]) {
      members.set(name, [...(members.get(name) ?? []), row]);
    }
  }
  for (const [name, tasks] of members) {
    const [key = "", field = ""] = name.split(" ");
    const [count, ...bounds] = (zones.get(key)?.[field] ?? "").split(",");
    expect(`${name}: ${count}`).toBe(`${name}: ${tasks.length}`);
    for (const [index, time] of (["enqueuedAt", "startedAt", "finishedAt"] as const).entries()) {
      for (const task of tasks) {
        const at = task[time];
        if (at === null) continue;
        // Wider than need be after deletions, never narrower.
        expect(Number(bounds[2 * index] || Number.NaN), name).toBeLessThanOrEqual(at);
        expect(Number(bounds[2 * index + 1] || Number.NaN), name).toBeGreaterThanOrEqual(at);
      }
    }
    left.delete(name);
  }
  expect([...left]).toEqual([]);
}
