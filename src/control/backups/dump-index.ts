import type { Logger } from "pino";
import type { BackupFolder } from "../../dumps/backup-folder.js";
import { type DumpedIndex, documentsFile, settingsFile } from "../../dumps/manifest.js";
import { type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import { unmaskSecrets } from "../../settings/embedder-secrets.js";
import type { DocumentReader } from "../documents/document-reader.js";
import type { ControlMetrics } from "../metrics.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { isUnchangedBetween, type NodeTaskSource, type QuietMark, quietMark } from "./quiet-mark.js";

/** What {@link dumpIndex} works with. */
export interface DumpIndexOptions {
  readonly topology: TopologyManager;
  readonly documents: DocumentReader;
  readonly admin: NodeTaskSource;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
}

/** Which index is dumped, and where to. */
export interface IndexDump {
  /** As the catalogue has it when the dump begins. */
  readonly index: Index;
  /** The embedders' API keys, as `unmaskSecrets` takes them. */
  readonly secrets: readonly unknown[];
  readonly folder: string;
  readonly target: BackupFolder;
  readonly signal: AbortSignal;
}

/** What was found in an index. */
export type IndexContents = Pick<
  DumpedIndex,
  "documents" | "documentBytes" | "unchanged" | "maskedEmbedders"
>;

/** Milliseconds between two lines in the log. */
const LOG_MS = 10_000;
const LINE_END = Buffer.from("\n");
const READABLE: ReadonlySet<ReplicaState> = new Set([ReplicaState.IN_SYNC, ReplicaState.SUSPECT]);

/**
 * Writes the settings and documents of an index. No more of it is held than what the reader holds.
 *
 * @throws IndexUnreadableError where the index is gone, or some shard has had no replica that answers for too long
 */
export async function dumpIndex(
  options: DumpIndexOptions,
  { index, secrets, folder, target, signal }: IndexDump,
): Promise<IndexContents> {
  const { world, logger, metrics } = options;
  const shown = JSON.parse(index.settingsJson === "" ? "{}" : index.settingsJson) as Record<string, unknown>;
  const { settings, masked } = unmaskSecrets(shown, secrets);
  await target.write(settingsFile({ folder }), `${JSON.stringify(settings)}\n`);
  const contents = { documents: 0, documentBytes: 0 };
  const lines = async function* (): AsyncGenerator<Buffer> {
    let logged = world.clock.monotonic();
    for await (const batch of options.documents.read({ instance: index.instance, signal })) {
      for (const document of batch) {
        const line = lineOf(document);
        contents.documentBytes += line.length;
        yield line;
      }
      contents.documents += batch.length;
      metrics.dumpDocuments.inc(batch.length);
      if (world.clock.monotonic() - logged < LOG_MS) continue;
      logged = world.clock.monotonic();
      logger.info({ index: index.uid, documents: contents.documents }, "dumping an index");
    }
  };
  const before = await markOf(options, index.instance);
  await target.write(documentsFile({ folder }), lines());
  const unchanged = isUnchangedBetween(before, await markOf(options, index.instance));
  logger.info({ index: index.uid, documents: contents.documents, unchanged }, "an index is in the dump");
  return { ...contents, unchanged, maskedEmbedders: [...masked] };
}

/** A document as one line: strings hold no line ends, so those that there are stand between values. */
function lineOf(document: Buffer): Buffer {
  const line = Buffer.concat([document, LINE_END]);
  for (let at = line.indexOf(LINE_END); at < line.length - 1; at = line.indexOf(LINE_END, at))
    line[at] = 0x20;
  return line;
}

/** Changes with everything that a node which may be read gets to do for the index, and with the index's generation. */
async function markOf(
  { admin, logger, topology }: DumpIndexOptions,
  instance: string,
): Promise<QuietMark | undefined> {
  const index = findInstance(topology.current(), instance);
  if (index === undefined) return undefined;
  const name = physicalName(index.instance, index.generation);
  return quietMark(
    index.replicas.filter(({ state }) => READABLE.has(state)).map(({ nodeId }) => nodeId),
    { admin, logger, indexUid: name },
  );
}
