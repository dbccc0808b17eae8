import type { Index } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { JsonValue } from "../../merge/index.js";
import { hideInjectedFields, standInsInAnyFilter } from "../../merge/injected-fields.js";
import { DEFAULT_CLIENT_SETTINGS, type SettingsObject } from "../../settings/canonical-settings.js";
import { unmaskSecrets } from "../../settings/embedder-secrets.js";
import type { DocumentReader } from "../documents/document-reader.js";
import type { RemoteMeilisearch } from "./remote-meilisearch.js";

/** What {@link exportIndex} works with. */
export interface IndexExportOptions {
  readonly documents: DocumentReader;
  readonly remote: RemoteMeilisearch;
  /** Names of the experimental features that are on. */
  readonly features: readonly string[];
  /** Bytes of documents in one request. */
  readonly payloadSize: number;
  readonly signal: AbortSignal;
}

/** Which part of an index is exported. */
export interface IndexExport {
  readonly index: Index;
  readonly filter: JsonValue | undefined;
  readonly overrideSettings: boolean;
  /** The embedders' API keys, as `unmaskSecrets` takes them. */
  readonly secrets: readonly unknown[];
}

/** The nodes refuse an export's filter, in Meilisearch's words. */
export class ExportFilterError extends Error {
  override readonly name = "ExportFilterError";

  /** @param code of the task's error */
  constructor(
    message: string,
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Codes that a task keeps; a filter that is refused with another one fails it as an internal error, as in Meilisearch. */
const FILTER_CODES = ["invalid_document_filter", "feature_not_enabled"];

/** Settings that only are where an experimental feature is on. */
const EXPERIMENTAL = [
  ["chat", "chatCompletions"],
  ["foreignKeys", "foreignKeys"],
] as const;

/**
 * Copies an index: its settings where the remote has no such index or they are to replace the remote's own, then its documents, in
 * the order of insertion. Resolves with the number of documents.
 *
 * @throws ExportFilterError, ExportRefusedError, IndexUnreadableError
 */
export async function exportIndex(
  { documents, remote, features, payloadSize, signal }: IndexExportOptions,
  { index, filter, overrideSettings, secrets }: IndexExport,
): Promise<number> {
  const { uid, instance, primaryKey } = index;
  const read = { instance, filter: filter === undefined ? undefined : standInsInAnyFilter(filter), signal };
  if (read.filter !== undefined) await documents.check(read).catch(throwFilterError(uid));
  const exists = await remote.hasIndex(uid);
  if (!exists) await remote.createIndex(uid, primaryKey);
  else if (overrideSettings) await remote.setPrimaryKey(uid, primaryKey);
  if (!exists || overrideSettings) await remote.setSettings(uid, settingsOf(index, secrets, features));
  let count = 0;
  let payload: Buffer[] = [];
  let bytes = 0;
  const send = async (): Promise<void> => {
    if (payload.length === 0) return;
    await remote.addDocuments(uid, payload);
    count += payload.length;
    payload = [];
    bytes = 0;
  };
  for await (const batch of documents.read(read)) {
    for (const document of batch) {
      if (bytes + document.length > payloadSize) await send();
      payload.push(document);
      bytes += document.length;
    }
  }
  await send();
  return count;
}

/** As clients set them, without what the remote could not take: keys that are only known masked, and members of features that are off. */
function settingsOf(
  { settingsJson }: Index,
  secrets: readonly unknown[],
  features: readonly string[],
): Record<string, unknown> {
  const shown = settingsJson === "" ? DEFAULT_CLIENT_SETTINGS : (JSON.parse(settingsJson) as SettingsObject);
  const { settings, masked } = unmaskSecrets(shown, secrets);
  const sent: Record<string, unknown> = { ...settings };
  for (const [member, feature] of EXPERIMENTAL) if (!features.includes(feature)) delete sent[member];
  if (masked.length === 0 || typeof sent.embedders !== "object" || sent.embedders === null) return sent;
  const embedders = Object.entries(sent.embedders).map(([name, embedder]) => [
    name,
    masked.includes(name) ? withoutKeys(embedder) : embedder,
  ]);
  return { ...sent, embedders: Object.fromEntries(embedders) };
}

/** Also the keys of the embedders that one is composed of. */
function withoutKeys(embedder: unknown): unknown {
  if (typeof embedder !== "object" || embedder === null || Array.isArray(embedder)) return embedder;
  return Object.fromEntries(
    Object.entries(embedder)
      .filter(([name]) => name !== "apiKey")
      .map(([name, member]) => [name, withoutKeys(member)]),
  );
}

function throwFilterError(uid: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof MeilisearchError) || error.status >= 500) throw error;
    const message = hideInjectedFields(error.body.message).replace(/^Index `[^`]*`: /, "");
    const code = FILTER_CODES.includes(error.body.code) ? error.body.code : "internal";
    throw new ExportFilterError(`Index \`${uid}\`: ${message}`, code, { cause: error });
  };
}
