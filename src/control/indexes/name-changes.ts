import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { errorLink } from "../../meilisearch/errors.js";
import type { TaskErrorRow, TaskRow } from "../../store/task-store.js";

/** One exchange of two names; or, as a rename, the right name for the left index. */
export interface Swap {
  readonly indexes: readonly [left: string, right: string];
  readonly rename: boolean;
}

/** What a task does to names. */
export type NameChange =
  | { readonly kind: "swap"; readonly swaps: readonly Swap[] }
  | {
      readonly kind: "rename";
      readonly uid: string;
      readonly newUid: string;
      readonly primaryKey: string | undefined;
    };

/** The names that a change reads or writes. */
export function namesOf(change: NameChange): readonly string[] {
  return change.kind === "swap"
    ? change.swaps.flatMap(({ indexes }) => indexes)
    : [change.uid, change.newUid];
}

/** The `details` of the change's task, as Meilisearch prints them. */
export function detailsOf(change: NameChange): string {
  return change.kind === "swap"
    ? JSON.stringify({ swaps: change.swaps })
    : JSON.stringify({
        primaryKey: change.primaryKey ?? null,
        oldIndexUid: change.uid,
        newIndexUid: change.newUid,
      });
}

/** What a task does to names, by its recorded details; undefined for a task that changes none. */
export function changeOf({ type, detailsJson, nodeTasks }: TaskRow): NameChange | undefined {
  if (detailsJson === null || nodeTasks.length > 0) return undefined;
  if (type === "indexSwap") {
    return { kind: "swap", swaps: (JSON.parse(detailsJson) as { readonly swaps: readonly Swap[] }).swaps };
  }
  if (type !== "indexUpdate") return undefined;
  const { oldIndexUid, newIndexUid, primaryKey } = JSON.parse(detailsJson) as Record<string, string | null>;
  return typeof oldIndexUid === "string" && typeof newIndexUid === "string"
    ? { kind: "rename", uid: oldIndexUid, newUid: newIndexUid, primaryKey: primaryKey ?? undefined }
    : undefined;
}

/**
 * Changes names in a draft of the topology, all of them or none. As in Meilisearch, a rename stays where only the primary key that
 * came with it cannot be set.
 *
 * @returns why Meilisearch would fail the task; undefined where it succeeds
 */
export function changeNames(
  draft: Topology,
  change: NameChange,
  taskUid: number,
  now: number,
): TaskErrorRow | undefined {
  const indexes = new Map(draft.indexes.map((index) => [index.uid, index]));
  const error =
    change.kind === "swap" ? swap(indexes, change.swaps, taskUid) : rename(indexes, change, taskUid, now);
  draft.indexes.sort((a, b) => (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0));
  return error;
}

function swap(
  indexes: ReadonlyMap<string, Index>,
  swaps: readonly Swap[],
  taskUid: number,
): TaskErrorRow | undefined {
  const missing = new Set<string>();
  const taken: Swap["indexes"][] = [];
  for (const { indexes: names, rename } of swaps) {
    const [left, right] = names;
    if (!indexes.has(left)) missing.add(left);
    if (!rename && !indexes.has(right)) missing.add(right);
    if (rename && indexes.has(right)) taken.push(names);
  }
  if (missing.size > 0) return notFound([...missing].sort());
  if (taken.length > 0) return nameTaken(taken);
  for (const { indexes: names } of swaps) {
    const [left, right] = names;
    const [a, b] = [indexes.get(left), indexes.get(right)];
    if (a !== undefined) named(a, right, taskUid);
    if (b !== undefined) named(b, left, taskUid);
  }
  return undefined;
}

function rename(
  indexes: ReadonlyMap<string, Index>,
  { uid, newUid, primaryKey }: NameChange & { readonly kind: "rename" },
  taskUid: number,
  now: number,
): TaskErrorRow | undefined {
  const index = indexes.get(uid);
  if (index === undefined) return notFound([uid]);
  if (newUid !== uid) {
    if (indexes.has(newUid)) return failure("index_already_exists", `Index \`${newUid}\` already exists.`);
    named(index, newUid, taskUid);
    index.updatedAt = timestampFromMs(now);
  }
  if (primaryKey === undefined || primaryKey === index.primaryKey) return undefined;
  if (index.primaryKey !== undefined) {
    return failure(
      "index_primary_key_already_exists",
      `Index \`${newUid}\`: Index already has a primary key: \`${index.primaryKey}\`.`,
    );
  }
  index.primaryKey = primaryKey;
  return undefined;
}

function named(index: Index, uid: string, taskUid: number): void {
  index.uid = uid;
  index.namedByTask = BigInt(taskUid);
}

function notFound(names: readonly string[]): TaskErrorRow {
  const [only, ...others] = names;
  return failure(
    "index_not_found",
    others.length === 0 ? `Index \`${only}\` not found.` : `Indexes ${quoted(names)} not found.`,
  );
}

function nameTaken(pairs: readonly Swap["indexes"][]): TaskErrorRow {
  const sorted = [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
  const [[left, right] = ["", ""], ...others] = sorted;
  return failure(
    "index_already_exists",
    others.length === 0
      ? `Cannot rename \`${left}\` to \`${right}\` as the index already exists. Hint: You can remove \`${right}\` first and then do your remove.`
      : `The following indexes are being renamed but cannot because their new name conflicts with an already existing index: ${quoted(sorted.map(([, name]) => name))}. Renaming doesn't overwrite the other index name.`,
  );
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}

function failure(code: string, message: string): TaskErrorRow {
  return { message, code, type: "invalid_request", link: errorLink(code) };
}
