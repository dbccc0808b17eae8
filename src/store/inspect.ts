import type { OpenTaskStoreOptions } from "./open-task-store.js";
import type { Lease, TransferTable } from "./task-store.js";

/** Which version of the schema a store has, beside the one that this program brings. */
export type SchemaState =
  /** There is nothing at the location, or nothing of Miroir's. */
  | { readonly kind: "absent" }
  | { readonly kind: "current"; readonly version: number }
  /** `pending` names the steps that opening the store would take. */
  | {
      readonly kind: "behind";
      readonly version: number;
      readonly known: number;
      readonly pending: readonly string[];
    }
  /** The store is not one that this program may open; `reason` says why and what to do. */
  | { readonly kind: "refused"; readonly reason: string };

/** What a look at a store found. Nothing was written. */
export interface StoreInspection {
  readonly backend: "sqlite" | "redis";
  /** Without user, password and parameters. */
  readonly location: string;
  /** The software that keeps it, such as `SQLite 3.53.0`; undefined where that could not be asked. */
  readonly software: string | undefined;
  readonly schema: SchemaState;
  /** Bytes of the files on SQLite, of the whole server's memory on Redis; undefined where that could not be asked. */
  readonly bytes: number | undefined;
  /** Live rows by table, of the tables that there are; undefined where the schema is absent or refused. */
  readonly rows: Readonly<Partial<Record<TransferTable, number>>> | undefined;
  /** Who holds, or held last, the leader lease; `live` by the store's clock. */
  readonly leader: (Lease & { readonly live: boolean }) | undefined;
  /** Settings of the backend that put data at risk, and what could not be found out. */
  readonly warnings: readonly string[];
}

/** Something in a store that should not be so. */
export type StoreFinding =
  /** The backend's own check of its file failed; `detail` is what it says. */
  | { readonly kind: "damaged-file"; readonly detail: string }
  /** A row cannot be read. */
  | { readonly kind: "unreadable-row"; readonly table: string; readonly id: string; readonly detail: string }
  /** A row belongs to another one that is not there. */
  | { readonly kind: "orphan"; readonly table: string; readonly id: string; readonly parent: string }
  /** A number that is kept beside the rows is not what counting them gives. */
  | {
      readonly kind: "wrong-count";
      readonly table: string;
      readonly of: string;
      readonly recorded: number;
      readonly counted: number;
    }
  /** An index names a row that is not there, or does not belong there. */
  | { readonly kind: "stray-index-entry"; readonly index: string; readonly id: string }
  /** A row is missing from an index in which it belongs. */
  | { readonly kind: "missing-index-entry"; readonly index: string; readonly id: string };

/** How far a check has come: `done` of `total` rows or steps of one part. */
export interface CheckProgress {
  readonly part: string;
  readonly done: number;
  readonly total: number;
}

/** What a check found. */
export interface StoreCheck {
  /** At most {@link maxFindings}. */
  readonly findings: readonly StoreFinding[];
  /** Whether there were more. */
  readonly truncated: boolean;
  /** Rows and entries that were looked at. */
  readonly examined: number;
}

/** Findings that one check gives at most. */
export const maxFindings = 1_000;

/** Collects findings up to the limit. */
export class FindingList {
  readonly #findings: StoreFinding[] = [];
  #truncated = false;
  #examined = 0;

  /** Counts what was looked at. */
  examined(rows: number): void {
    this.#examined += rows;
  }

  add(finding: StoreFinding): void {
    if (this.#findings.length < maxFindings) this.#findings.push(finding);
    else this.#truncated = true;
  }

  result(): StoreCheck {
    return { findings: this.#findings, truncated: this.#truncated, examined: this.#examined };
  }
}

/** Says a finding in one line. */
export function describeFinding(finding: StoreFinding): string {
  switch (finding.kind) {
    case "damaged-file":
      return `the file is damaged: ${finding.detail}`;
    case "unreadable-row":
      return `${finding.table}: row ${finding.id} cannot be read: ${finding.detail}`;
    case "orphan":
      return `${finding.table}: row ${finding.id} belongs to a row of ${finding.parent} that is not there`;
    case "wrong-count":
      return `${finding.table}: ${finding.recorded} recorded as the number of ${finding.of}, there are ${finding.counted}`;
    case "stray-index-entry":
      return `${finding.index} has an entry for ${finding.id}, which does not belong there`;
    case "missing-index-entry":
      return `${finding.index} has no entry for ${finding.id}, which belongs there`;
  }
}

/**
 * Looks at a store without opening it as one: nothing is created, brought up to date or locked. Rejects with
 * `StoreUnavailableError` where the backend does not answer.
 */
export async function inspectStore(
  options: Pick<OpenTaskStoreOptions, "location" | "world" | "tls">,
): Promise<StoreInspection> {
  const { location, world } = options;
  if (location.kind === "sqlite") {
    const { inspectSqliteStore } = await import("./sqlite/inspect.js");
    return inspectSqliteStore(location.path, world.clock);
  }
  const { inspectRedisStore } = await import("./redis/inspect.js");
  return inspectRedisStore({ ...options, location });
}

/**
 * Compares what a store holds with itself: the backend's own check, rows with the rows they belong to, counts and indexes
 * with the rows. Only reads. While somebody writes, Redis can show what is not so: check again, or stop the leader.
 * The schema must be current.
 */
export async function checkStore(
  options: Pick<OpenTaskStoreOptions, "location" | "world" | "tls">,
  onProgress: (progress: CheckProgress) => void = () => undefined,
): Promise<StoreCheck> {
  const { location } = options;
  if (location.kind === "sqlite") {
    const { checkSqliteStore } = await import("./sqlite/inspect.js");
    return checkSqliteStore(location.path, onProgress);
  }
  const { checkRedisStore } = await import("./redis/inspect.js");
  return checkRedisStore({ ...options, location }, onProgress);
}
