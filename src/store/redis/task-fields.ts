import { StoreCorruptError } from "../errors.js";
import type { NodeId, NodeTaskUid } from "../ids.js";
import { compareNodeTasks } from "../merge-task.js";
import {
  decodeError,
  decodeStatus,
  decodeTask,
  encodeError,
  encodeTask,
  isNumberArray,
  parseJson,
} from "../task-records.js";
import type { NodeTaskRow, TaskRow } from "../task-store.js";
import { type FlatRow, presentFields, RowFields } from "./row-fields.js";

/**
 * Bytes of the longest value that Redis keeps in a packed hash (`hash-max-listpack-value`): one longer value makes the
 * whole hash several times larger.
 */
const packedLength = 64;
/** Texts longer than this are the larger part of their row however it is kept. */
const maxCutLength = 1_536;

/** The columns that may be long. */
const longColumns = ["details_json", "error_json", "custom_metadata", "documents_by_shard_json"] as const;

/** The fields of a task's hash, without `rev`. */
export type TaskFields = Readonly<Record<string, string>>;

/**
 * The fields of a task: the columns of the SQL table, and `n<uid>:<node>` for each node task. A text of more than 64
 * bytes is cut into several fields, `<name>~1` … behind the first, so that the hash stays a packed list.
 */
export function encodeTaskFields(task: TaskRow): TaskFields {
  const { uid: _, index_uid, ...columns } = encodeTask(task);
  const fields: Record<string, string> = {};
  if (index_uid !== "") fields.index_uid = index_uid;
  for (const [name, value] of Object.entries(presentFields(columns))) fields[name] = String(value);
  for (const name of longColumns) {
    const text = fields[name];
    if (text !== undefined) putText(fields, name, "", text);
  }
  for (const nodeTask of task.nodeTasks) {
    putText(fields, `n${nodeTask.nodeTaskUid}`, `:${nodeTask.nodeId}`, encodeNodeTask(nodeTask));
  }
  return fields;
}

/** A task as it was read. */
export interface StoredTask {
  readonly row: TaskRow;
  /** As they stand in the store, without `rev`. */
  readonly fields: TaskFields;
  readonly rev: string;
}

/** The task of these fields. */
export function decodeTaskFields(uid: number, flat: FlatRow): StoredTask {
  const where = `task ${uid}`;
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) fields[String(flat[i])] = String(flat[i + 1]);
  const nodeTasks: NodeTaskRow[] = [];
  for (const name of Object.keys(fields)) {
    const nodeTask = nodeTaskField.exec(name);
    if (nodeTask !== null) {
      const [, digits = "", node = ""] = nodeTask;
      nodeTasks.push(decodeNodeTask(node, Number(digits), getText(fields, `n${digits}`, `:${node}`) ?? ""));
    }
  }
  const columns = new RowFields(flat, where);
  const row = decodeTask(
    {
      uid,
      index_uid: columns.textOrNull("index_uid") ?? "",
      instance: columns.textOrNull("instance"),
      type: columns.text("type"),
      status: columns.text("status"),
      enqueued_at: columns.integer("enqueued_at"),
      started_at: columns.integerOrNull("started_at"),
      finished_at: columns.integerOrNull("finished_at"),
      canceled_by: columns.integerOrNull("canceled_by"),
      details_json: getText(fields, "details_json", ""),
      error_json: getText(fields, "error_json", ""),
      custom_metadata: getText(fields, "custom_metadata", ""),
      documents_by_shard_json: getText(fields, "documents_by_shard_json", ""),
    },
    nodeTasks.sort(compareNodeTasks),
  );
  const { rev, ...stored } = fields;
  if (rev === undefined) throw new StoreCorruptError(`${where} has no revision`);
  return { row, fields: stored, rev };
}

const nodeTaskField = /^n(\d+):(.*)$/s;

/** `[status, startedAt, finishedAt, shards, error, details]`, without the nulls at its end. */
function encodeNodeTask(nodeTask: NodeTaskRow): string {
  const { status, startedAt, finishedAt, shards, error, detailsJson } = nodeTask;
  const members: unknown[] = [
    status,
    startedAt,
    finishedAt,
    shards.length === 0 ? null : shards,
    encodeError(error),
    detailsJson,
  ];
  while (members.at(-1) === null) members.pop();
  return JSON.stringify(members);
}

function decodeNodeTask(node: string, uid: number, json: string): NodeTaskRow {
  const where = `task ${uid} of ${node}`;
  const members = parseJson(json, where);
  if (!Array.isArray(members)) throw new StoreCorruptError(`${where} is not a list`);
  const [status, startedAt = null, finishedAt = null, shards = null, error = null, detailsJson = null] =
    members as unknown[];
  if (
    typeof status !== "string" ||
    !isTime(startedAt) ||
    !isTime(finishedAt) ||
    !(shards === null || isNumberArray(shards)) ||
    !isText(error) ||
    !isText(detailsJson)
  ) {
    throw new StoreCorruptError(`${where} has unreadable members`);
  }
  return {
    nodeId: node as NodeId,
    nodeTaskUid: uid as NodeTaskUid,
    status: decodeStatus(status, where),
    error: decodeError(error, where),
    shards: shards ?? [],
    detailsJson,
    startedAt,
    finishedAt,
  };
}

function isTime(value: unknown): value is number | null {
  return value === null || Number.isSafeInteger(value);
}

function isText(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function putText(fields: Record<string, string>, name: string, suffix: string, text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= packedLength || bytes > maxCutLength) {
    fields[name + suffix] = text;
    return;
  }
  const pieces = bytes === text.length ? cutAscii(text) : cutCharacters(text);
  for (const [index, piece] of pieces.entries()) fields[fieldOfPiece(name, suffix, index)] = piece;
}

function getText(fields: TaskFields, name: string, suffix: string): string | null {
  let text = fields[name + suffix];
  if (text === undefined) return null;
  for (let index = 1; ; index++) {
    const piece = fields[fieldOfPiece(name, suffix, index)];
    if (piece === undefined) return text;
    text += piece;
  }
}

function fieldOfPiece(name: string, suffix: string, index: number): string {
  return index === 0 ? name + suffix : `${name}~${index}${suffix}`;
}

function cutAscii(text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += packedLength) pieces.push(text.slice(at, at + packedLength));
  return pieces;
}

/** Cuts between characters: each piece is text of its own. */
function cutCharacters(text: string): string[] {
  const pieces: string[] = [];
  let piece = "";
  let length = 0;
  for (const character of text) {
    const bytes = Buffer.byteLength(character);
    if (length + bytes > packedLength) {
      pieces.push(piece);
      piece = "";
      length = 0;
    }
    piece += character;
    length += bytes;
  }
  pieces.push(piece);
  return pieces;
}
