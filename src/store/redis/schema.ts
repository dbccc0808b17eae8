import { createHash } from "node:crypto";
import {
  ConflictError,
  StoreAlteredError,
  StoreForeignError,
  StoreHalfImportedError,
  StoreTooNewError,
} from "../errors.js";
import { Commit, CommitConflict, type RedisBackend } from "./commit.js";

/** One numbered state of the keyspace. A later one brings a step that turns the one before into it. */
export interface KeyspaceVersion {
  /** From 1, without gaps. */
  readonly version: number;
  readonly name: string;
  /** What the keys and fields are, in words: its SHA-256 is recorded, so that an altered program is noticed. */
  readonly definition: string;
}

/** The versions that this program knows, in order. */
export const keyspaceVersions: readonly KeyspaceVersion[] = [
  { version: 1, name: "keyspace", definition: "docs/reference/redis-keyspace.md, version 1" },
];

/** Beside the version while an import runs. */
const importingField = "importing";

/** The checksum that is recorded for a version. */
export function checksumOf(version: KeyspaceVersion): string {
  return createHash("sha256")
    .update(`${version.version} ${version.name} ${version.definition}`)
    .digest("hex");
}

/**
 * Brings the keyspace up to date, creating it where there is none; of several programs at once one does it. Rejects,
 * leaving it as it was, with `StoreTooNewError`, `StoreAlteredError` or `StoreForeignError` where it is not one that
 * this program wrote, with `StoreHalfImportedError` where an import did not finish.
 */
export async function migrateKeyspace(
  backend: RedisBackend,
  versions: readonly KeyspaceVersion[] = keyspaceVersions,
): Promise<void> {
  const { connection, keys, now } = backend;
  const recorded = await readSchema(backend, versions);
  if (recorded === versions.length) return;
  const args = versions
    .slice(recorded)
    .flatMap((version) => [version.version, version.name, checksumOf(version)]);
  const reached = await connection.run(
    "schema-migrate",
    [keys.schemaVersion],
    [now(), recorded, ...args],
    "durable",
    "bring the keyspace up to date",
  );
  // Another program was faster, and may be another release.
  if (reached !== versions.length) await migrateKeyspace(backend, versions);
}

/**
 * Marks the store as half imported: until {@link markImported} it cannot be opened. Rejects with `ConflictError`,
 * changing nothing, where it is marked already.
 */
export async function markImporting({ connection, keys }: RedisBackend): Promise<void> {
  const commit = new Commit()
    .expectField(keys.schemaVersion, importingField, undefined)
    .hset(keys.schemaVersion, { [importingField]: "1" });
  try {
    await commit.send(connection, "begin an import", "durable");
  } catch (error) {
    if (!(error instanceof CommitConflict)) throw error;
    throw new ConflictError(
      `Another import into ${connection.place} runs, or did not finish. Delete the store, then import again.`,
    );
  }
}

/** Takes the mark of {@link markImporting} away: the store is whole. */
export async function markImported({ connection, keys }: RedisBackend): Promise<void> {
  await new Commit().hdel(keys.schemaVersion, importingField).send(connection, "finish an import", "durable");
}

/** How many of `versions` the keyspace has; 0 where there is none. Rejects where it has others. Writes nothing. */
export async function readSchema(
  { connection, keys }: RedisBackend,
  versions: readonly KeyspaceVersion[] = keyspaceVersions,
): Promise<number> {
  const { type, fields } = await connection.read("read the keyspace's version", async (client) => {
    const type = await client.type(keys.schemaVersion);
    return { type, fields: type === "hash" ? await client.hgetall(keys.schemaVersion) : {} };
  });
  if (type === "none") return 0;
  const version = Number(fields.version);
  if (type !== "hash" || !Number.isInteger(version)) {
    throw new StoreForeignError(connection.place, `its key ${keys.schemaVersion} is another program's`);
  }
  if (version > versions.length) throw new StoreTooNewError(connection.place, version, versions.length);
  for (const known of versions.slice(0, version)) {
    const checksum = fields[`checksum:${known.version}`];
    if (checksum !== checksumOf(known)) {
      throw new StoreAlteredError(
        connection.place,
        `version ${known.version} of its keyspace was recorded with checksum ${checksum?.slice(0, 12) ?? "none"}…, ` +
          `this program carries ${checksumOf(known).slice(0, 12)}…`,
      );
    }
  }
  if (fields[importingField] !== undefined) {
    throw new StoreHalfImportedError(connection.place, `every key that begins with ${keys.tag}`);
  }
  return version;
}
