import { ConflictError, InvalidArgumentError, StoreCorruptError } from "./errors.js";
import type { AliasName } from "./ids.js";
import { checkInteger, checkName, checkTime } from "./limits.js";
import type { AliasHistoryEntry, AliasRow, AliasTarget } from "./tables/aliases.js";

/** The indexes of one multi alias at most. */
const maxTargets = 1_000;

/** What `AliasesTable.set` is asked for. */
export interface AliasChange {
  readonly name: AliasName;
  readonly target: AliasTarget;
  readonly expectedVersion: number;
  readonly at: number;
}

/** An alias in columns; times in milliseconds since the Unix epoch. */
export interface AliasRecord {
  name: string;
  kind: string;
  target_uids_json: string;
  version: number;
  created_at: number;
  updated_at: number;
  history_json: string;
}

/** Refuses a change that no alias could take: `InvalidArgumentError`. */
export function checkAliasChange({ name, target, expectedVersion, at }: AliasChange): void {
  checkInteger(expectedVersion, 0, Number.MAX_SAFE_INTEGER - 1, `Alias "${name}": its expected version`);
  checkTime(at, `Alias "${name}": the time of its flip`);
  const uids = uidsOf(target);
  if (uids.length === 0 || uids.length > maxTargets) {
    throw new InvalidArgumentError(
      `Alias "${name}" stands for 1 to ${maxTargets} indexes, not for ${uids.length}.`,
    );
  }
  for (const uid of uids) checkName(uid, `Alias "${name}": the name of an index`);
  if (new Set(uids).size < uids.length) {
    throw new InvalidArgumentError(`Alias "${name}" names an index twice; name each once.`);
  }
}

/**
 * The alias after a change: created, or flipped with its former target put in front of its history, of which
 * `maxHistory` entries stay. Throws `ConflictError` where the stored one is at another version or of another kind.
 */
export function flipAlias(stored: AliasRow | undefined, change: AliasChange, maxHistory: number): AliasRow {
  const { name, target, at } = change;
  checkAliasVersion(name, stored?.version ?? 0, change.expectedVersion);
  if (stored === undefined) {
    return { name, target, version: 1, createdAt: at, updatedAt: at, history: [] };
  }
  if (stored.target.kind !== target.kind) {
    throw new ConflictError(
      `Alias "${name}" is a ${stored.target.kind} one and stays so; delete it and create a ${target.kind} one.`,
    );
  }
  const former: AliasHistoryEntry = {
    version: stored.version,
    target: stored.target,
    setAt: stored.updatedAt,
  };
  return {
    name,
    target,
    version: stored.version + 1,
    createdAt: stored.createdAt,
    updatedAt: at,
    history: [former, ...stored.history].slice(0, maxHistory),
  };
}

/** Throws `ConflictError` where an alias is not at the version that the caller has seen; 0: there is none. */
export function checkAliasVersion(name: AliasName, stored: number, expected: number): void {
  if (stored === expected) return;
  const actual = stored === 0 ? "does not exist" : `is at version ${stored}`;
  const wanted = expected === 0 ? "not to exist" : `version ${expected}`;
  throw new ConflictError(`Alias "${name}" ${actual}; expected was ${wanted}. Read it and decide again.`);
}

/** The columns of an alias. */
export function encodeAlias(row: AliasRow): AliasRecord {
  return {
    name: row.name,
    kind: row.target.kind,
    target_uids_json: JSON.stringify(uidsOf(row.target)),
    version: row.version,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
    history_json: JSON.stringify(
      row.history.map(({ version, target, setAt }) => ({ version, uids: uidsOf(target), set_at: setAt })),
    ),
  };
}

/** The alias of these columns; throws `StoreCorruptError` where they make no sense. */
export function decodeAlias(record: AliasRecord): AliasRow {
  const { name, kind } = record;
  const history = parseArray(record.history_json, name).map((entry): AliasHistoryEntry => {
    const { version, uids, set_at: setAt } = entry as { version?: unknown; uids?: unknown; set_at?: unknown };
    if (!Number.isSafeInteger(version) || !Number.isSafeInteger(setAt) || !Array.isArray(uids)) {
      throw corrupt(name, "an entry of its history makes no sense");
    }
    return { version: Number(version), target: targetOf(name, kind, uids), setAt: Number(setAt) };
  });
  return {
    name: name as AliasName,
    target: targetOf(name, kind, parseArray(record.target_uids_json, name)),
    version: record.version,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
    history,
  };
}

function uidsOf(target: AliasTarget): readonly string[] {
  return target.kind === "single" ? [target.indexUid] : target.indexUids;
}

function targetOf(name: string, kind: string, uids: readonly unknown[]): AliasTarget {
  const indexUids = uids.filter((uid) => typeof uid === "string");
  const [indexUid] = indexUids;
  if (indexUid === undefined || indexUids.length !== uids.length) {
    throw corrupt(name, "what it stands for is not a list of names");
  }
  if (kind === "multi") return { kind, indexUids };
  if (kind === "single" && indexUids.length === 1) return { kind, indexUid };
  throw corrupt(name, `it is of kind "${kind}" and stands for ${indexUids.length} indexes`);
}

function parseArray(json: string, name: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new StoreCorruptError(`a column of alias "${name}" is not JSON`, { cause: error });
  }
  if (!Array.isArray(value) || value.some((entry) => entry === null)) {
    throw corrupt(name, "a column is not a list");
  }
  return value;
}

function corrupt(name: string, problem: string): StoreCorruptError {
  return new StoreCorruptError(`alias "${name}": ${problem}`);
}
