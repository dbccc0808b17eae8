/** The documents of a run: few keys in fixed groups, and each field names the write that set it. */
import type { WriteKind } from "./history.js";

/** The indexes of a run, so that several proxies write at once. */
export const INDEXES: readonly string[] = ["left", "right"];
/** Groups of an index's documents, each of which one filter deletes. */
export const GROUPS = 6;
/** Documents of a group. */
const GROUP_SIZE = 4;
/** Fields that partial updates set. */
export const SLOTS = 3;

const KEYS_OF_INDEX = GROUPS * GROUP_SIZE;

/** Every key of an index; no two indexes share one. */
export function keysOfIndex(index: number): readonly string[] {
  return Array.from({ length: KEYS_OF_INDEX }, (_, at) => `k${index * KEYS_OF_INDEX + at}`);
}

/** The group of a key, which every document bears. */
export function groupOf(key: string): number {
  return Number(key.slice(1)) % GROUPS;
}

/** The keys of a group of an index. */
export function keysOfGroup(index: number, group: number): readonly string[] {
  return keysOfIndex(index).filter((key) => groupOf(key) === group);
}

/** A word that only the documents of one write hold. */
export function markerOf(write: number): string {
  return `zq${write.toString(26).replace(/./g, (digit) => "abcdefghijklmnopqrstuvwxyz"[Number.parseInt(digit, 26)] ?? "a")}zq`;
}

/** The document that a write sends for a key. */
export function documentOf(
  kind: "set" | "update",
  key: string,
  write: number,
  slot: number,
): Readonly<Record<string, string | number>> {
  return kind === "set"
    ? { id: key, g: groupOf(key), base: write, text: `${markerOf(write)} common` }
    : { id: key, g: groupOf(key), [`f${slot}`]: write };
}

/** What a key holds: the write that set it, and the write of each partial update since; undefined for no document. */
export interface DocumentState {
  /** Undefined where partial updates made the document. */
  readonly base: number | undefined;
  /** By slot. */
  readonly slots: readonly (number | undefined)[];
}

/** What a key holds after a write, which holds `state` before it. */
export function afterWrite(
  state: DocumentState | undefined,
  write: { readonly id: number; readonly write: WriteKind; readonly slot: number },
): DocumentState | undefined {
  switch (write.write) {
    case "set":
      return { base: write.id, slots: new Array<undefined>(SLOTS).fill(undefined) };
    case "update":
      return {
        base: state?.base,
        slots: Array.from({ length: SLOTS }, (_, slot) =>
          slot === write.slot ? write.id : state?.slots[slot],
        ),
      };
    case "delete":
    case "delete-by-filter":
      return undefined;
  }
}

/** The same text for the same state, and for no other. */
export function stateText(state: DocumentState | undefined): string {
  return state === undefined
    ? "nothing"
    : [state.base ?? "-", ...state.slots.map((slot) => slot ?? "-")].join("/");
}

/** The writes that a state bears. */
export function writesIn(state: DocumentState): readonly number[] {
  return [state.base, ...state.slots].filter((write) => write !== undefined);
}

/**
 * Reads a document as it came from a proxy.
 *
 * @throws Error for anything that no write of a run can have made: a foreign field, a wrong group, a torn document.
 */
export function parseDocument(key: string, text: string): DocumentState {
  const { id, g, base, text: words, ...rest } = JSON.parse(text) as Record<string, unknown>;
  const slots = Array.from({ length: SLOTS }, (_, slot) => {
    const name = `f${slot}`;
    const value = rest[name];
    delete rest[name];
    return optionalWrite(value);
  });
  if (id !== key) throw new Error(`the document of ${key} bears the id ${String(id)}`);
  if (g !== groupOf(key)) throw new Error(`the document of ${key} bears the group ${String(g)}`);
  const foreign = Object.keys(rest);
  if (foreign.length > 0) throw new Error(`the document of ${key} has foreign fields: ${foreign.join(", ")}`);
  const state = { base: optionalWrite(base), slots };
  const expected = state.base === undefined ? undefined : `${markerOf(state.base)} common`;
  if (words !== expected) throw new Error(`the document of ${key} is torn: its text is of another write`);
  return state;
}

function optionalWrite(value: unknown): number | undefined {
  if (value === undefined || typeof value === "number") return value;
  throw new Error(`${JSON.stringify(value)} names no write`);
}
