import { z } from "zod";

/** What a dump's manifest calls itself. */
export const DUMP_FORMAT = "miroir-dump";
/** The version of the format that this program writes, and the newest that it reads. */
export const DUMP_VERSION = 1;

/** The file that says what a dump holds. */
export const MANIFEST_FILE = "manifest.json";
/** The file with the SHA-256 of every other one, in the form that `sha256sum --check` reads. */
export const SUMS_FILE = "SHA256SUMS";
/** Clients' API keys without their secrets, one JSON object a line, the oldest first. */
export const KEYS_FILE = "keys.ndjson";
/** What clients set on the whole server besides keys and features, one JSON object with `name` and `json` a line. */
export const RESOURCES_FILE = "resources.ndjson";
/** Finished tasks, one JSON object a line, in ascending order of uid. */
export const TASKS_FILE = "tasks.ndjson.gz";

const count = z.number().int().min(0);
/** Epochs count in 64 bits. */
const counter = z.string().regex(/^\d{1,20}$/);
const instant = z.iso.datetime();

const dumpedIndexSchema = z.object({
  uid: z.string().min(1),
  primaryKey: z.string().nullable(),
  createdAt: instant,
  updatedAt: instant,
  /** How many shards it had; a restored index has as many as new ones get. */
  shards: z.number().int().min(1),
  /** The folder of its files, relative to the dump. */
  folder: z.string().regex(/^indexes\/\d+$/),
  documents: count,
  /** Bytes of its documents as text, before compression. */
  documentBytes: count,
  /** Whether no node ran or had a task of the index while it was read, so that its documents are of one moment. */
  unchanged: z.boolean(),
  /** Embedders whose API key is not known to Miroir, and so masked in the settings. */
  maskedEmbedders: z.array(z.string()),
});

const manifestSchema = z.object({
  format: z.literal(DUMP_FORMAT),
  version: z.number().int().min(1),
  dumpUid: z.string().min(1),
  taskUid: count,
  clusterId: z.string(),
  /** Of the topology from which catalogue, settings, keys and features are. */
  epoch: z.object({ term: counter, counter }),
  startedAt: instant,
  finishedAt: instant,
  miroirVersion: z.string(),
  /** Of the oldest node; empty where none had said. */
  meilisearchVersion: z.string(),
  /** Experimental features that were on. */
  experimentalFeatures: z.array(z.string()),
  indexes: z.array(dumpedIndexSchema),
  keys: count,
  resources: count,
  tasks: count,
});

/** What a dump holds. Times are RFC 3339 in UTC. */
export type DumpManifest = z.output<typeof manifestSchema>;
/** One index of a dump. */
export type DumpedIndex = DumpManifest["indexes"][number];

/** A folder is not a whole dump of a version that this program reads; the message says in what way. */
export class DumpFaultError extends Error {
  override readonly name = "DumpFaultError";
}

/** Where an index's documents are: one JSON document a line, in insertion order, compressed. */
export function documentsFile({ folder }: Pick<DumpedIndex, "folder">): string {
  return `${folder}/documents.ndjson.gz`;
}

/** Where an index's settings are: the object that `GET /indexes/{uid}/settings` gives, with the embedders' secrets. */
export function settingsFile({ folder }: Pick<DumpedIndex, "folder">): string {
  return `${folder}/settings.json`;
}

/** Reads a manifest. @throws DumpFaultError */
export function parseManifest(text: string): DumpManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DumpFaultError(`${MANIFEST_FILE} is not JSON`, { cause: error });
  }
  const head = z.object({ format: z.literal(DUMP_FORMAT), version: z.number() }).safeParse(value);
  if (!head.success) {
    throw new DumpFaultError(`${MANIFEST_FILE} is not that of a dump: it lacks "format":"${DUMP_FORMAT}"`);
  }
  if (head.data.version > DUMP_VERSION) {
    throw new DumpFaultError(
      `it has version ${head.data.version} of the format, this program reads up to ${DUMP_VERSION}; use the release that wrote it, or a newer one`,
    );
  }
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new DumpFaultError(
    `${MANIFEST_FILE}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not as expected"}`,
  );
}
