import { printBytes } from "../../meilisearch/byte-size.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { filterWithShards } from "../../merge/index.js";
import { isInjectedField } from "../../merge/injected-fields.js";
import { compareUtf8 } from "../../merge/text-order.js";
import { checkedIndexUid } from "../http/api-errors.js";
import type { IndexView, TopologySource, TopologyView } from "../topology/topology-view.js";
import { type ReadHeaders, readHeaders } from "./degradation.js";
import { currentIndex, currentView } from "./indexes.js";
import { clientError } from "./node-refusals.js";
import { type NodeAnswer, NodeRefusedError } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** How sizes are printed: bytes as a number, or a text such as `12 KiB`. */
export interface StatsFormat {
  readonly sizeFormat: "human" | "raw";
  readonly showInternalDatabaseSizes: boolean;
}

/** Statistics over one replica of each shard. */
export interface StatsService {
  /** One index. @throws MeilisearchError */
  index(uid: string, format: StatsFormat, signal: AbortSignal): Promise<PrintedStats>;
  /**
   * Sizes of everything, and the indexes that the client may see (`shows`).
   *
   * @throws MeilisearchError
   */
  all(format: StatsFormat, signal: AbortSignal, shows: (uid: string) => boolean): Promise<PrintedStats>;
}

/** Statistics as JSON, and what of them could not be read. */
export interface PrintedStats {
  readonly body: string;
  readonly headers: ReadHeaders;
}

/** What a node prints of one of its indexes. */
interface NodeIndexStats {
  readonly numberOfDocuments: number;
  readonly rawDocumentDbSize: number;
  readonly isIndexing: boolean;
  readonly internalDatabaseSizes?: Readonly<Record<string, number>>;
  readonly numberOfEmbeddings: number;
  readonly numberOfEmbeddedDocuments: number;
  readonly fieldDistribution: Readonly<Record<string, number>>;
}

/** How many indexes are read at once. */
const INDEXES_AT_ONCE = 8;
const TIMEOUT_MS = 5_000;

/** What a stats service works with. */
export interface StatsDependencies {
  readonly topology: TopologySource;
  readonly reader: ShardReader;
  readonly transport: NodeTransport;
  readonly unavailableShardPolicy: "partial" | "error";
}

/** Reads through `reader`; sizes of databases straight from the nodes. */
export function createStatsService(dependencies: StatsDependencies): StatsService {
  const { topology, reader, transport, unavailableShardPolicy } = dependencies;

  const readIndex = async (
    index: IndexView,
    showInternal: boolean,
    signal: AbortSignal,
  ): Promise<{ stats: NodeIndexStats; headers: ReadHeaders }> => {
    const path = `/stats${showInternal ? "?showInternalDatabaseSizes=true" : ""}`;
    try {
      const result = await reader.read(
        index.uid,
        {
          requests: (ask) => [
            { method: "GET", path, asAdmin: true },
            // A node that holds more shards than it serves here knows the number of theirs only by asking.
            ...(ask.filter === null
              ? []
              : [
                  {
                    method: "POST" as const,
                    path: "/documents/fetch",
                    body: JSON.stringify({ limit: 0, filter: filterWithShards(undefined, ask.filter) }),
                  },
                ]),
          ],
        },
        signal,
      );
      const headers = readHeaders(result, unavailableShardPolicy);
      return { stats: sumStats(result.answers.map(shareOf)), headers };
    } catch (error) {
      if (!(error instanceof NodeRefusedError)) throw error;
      throw clientError(error.response, error.physicalName, index.uid);
    }
  };

  return {
    async index(uid, format, signal) {
      checkedIndexUid(uid);
      const index = currentIndex(topology, uid);
      const { stats, headers } = await readIndex(index, format.showInternalDatabaseSizes, signal);
      return { body: JSON.stringify(printStats(stats, format)), headers };
    },
    async all(format, signal, shows) {
      const view = currentView(topology);
      const indexes = [...view.indexes.values()]
        .filter(({ uid }) => shows(uid))
        .sort((a, b) => compareUtf8(a.uid, b.uid));
      const printed: Record<string, unknown> = {};
      const degraded: string[] = [];
      for (let from = 0; from < indexes.length; from += INDEXES_AT_ONCE) {
        const some = indexes.slice(from, from + INDEXES_AT_ONCE);
        const read = await Promise.all(
          some.map((index) => readIndex(index, format.showInternalDatabaseSizes, signal)),
        );
        some.forEach((index, at) => {
          const one = read[at];
          if (one === undefined) return;
          printed[index.uid] = printStats(one.stats, format);
          if (one.headers["x-miroir-degraded"] !== undefined) degraded.push(index.uid);
        });
      }
      const sizes = await databaseSizes(transport, view, signal);
      const lastUpdate = indexes.reduce<string | null>(
        (last, { updatedAt }) => (last === null || updatedAt > last ? updatedAt : last),
        null,
      );
      const body = JSON.stringify({
        databaseSize: printSize(sizes.databaseSize, format),
        usedDatabaseSize: printSize(sizes.usedDatabaseSize, format),
        lastUpdate,
        indexes: printed,
      });
      return {
        body,
        headers: degraded.length === 0 ? {} : { "x-miroir-degraded": `indexes=${degraded.join(",")}` },
      };
    },
  };
}

/** What of a node's statistics belongs to the shards that it serves here. */
function shareOf(answer: NodeAnswer): NodeIndexStats {
  const [statsBody, countBody] = answer.responses;
  const stats = JSON.parse(statsBody?.body.toString("utf8") ?? "{}") as NodeIndexStats;
  if (countBody === undefined) return stats;
  const { total } = JSON.parse(countBody.body.toString("utf8")) as { total: number };
  const share = stats.numberOfDocuments === 0 ? 0 : total / stats.numberOfDocuments;
  const scaled = (count: number): number => Math.round(count * share);
  return {
    ...stats,
    numberOfDocuments: total,
    rawDocumentDbSize: scaled(stats.rawDocumentDbSize),
    numberOfEmbeddings: scaled(stats.numberOfEmbeddings),
    numberOfEmbeddedDocuments: scaled(stats.numberOfEmbeddedDocuments),
    fieldDistribution: Object.fromEntries(
      Object.entries(stats.fieldDistribution).map(([field, count]) => [field, scaled(count)]),
    ),
  };
}

function sumStats(parts: readonly NodeIndexStats[]): NodeIndexStats {
  const sum = (read: (part: NodeIndexStats) => number): number =>
    parts.reduce((total, part) => total + read(part), 0);
  const internal = sumMembers(parts.map((part) => part.internalDatabaseSizes ?? {}));
  return {
    numberOfDocuments: sum((part) => part.numberOfDocuments),
    rawDocumentDbSize: sum((part) => part.rawDocumentDbSize),
    isIndexing: parts.some((part) => part.isIndexing),
    ...(parts.some((part) => part.internalDatabaseSizes !== undefined)
      ? { internalDatabaseSizes: internal }
      : {}),
    numberOfEmbeddings: sum((part) => part.numberOfEmbeddings),
    numberOfEmbeddedDocuments: sum((part) => part.numberOfEmbeddedDocuments),
    fieldDistribution: sumMembers(parts.map((part) => part.fieldDistribution)),
  };
}

/** Sums by name, in ascending order of name, without what clients must not see (invariant 11). */
function sumMembers(objects: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const object of objects) {
    for (const [name, value] of Object.entries(object)) {
      if (!isInjectedField(name)) sums.set(name, (sums.get(name) ?? 0) + value);
    }
  }
  return Object.fromEntries([...sums].sort(([a], [b]) => compareUtf8(a, b)));
}

/** Members in Meilisearch's order. */
function printStats(stats: NodeIndexStats, format: StatsFormat): Record<string, unknown> {
  const { numberOfDocuments, rawDocumentDbSize } = stats;
  return {
    numberOfDocuments,
    rawDocumentDbSize: printSize(rawDocumentDbSize, format),
    avgDocumentSize: printSize(
      numberOfDocuments === 0 ? 0 : Math.floor(rawDocumentDbSize / numberOfDocuments),
      format,
    ),
    isIndexing: stats.isIndexing,
    ...(stats.internalDatabaseSizes === undefined
      ? {}
      : {
          internalDatabaseSizes: Object.fromEntries(
            Object.entries(stats.internalDatabaseSizes).map(([name, size]) => [
              name,
              printSize(size, format),
            ]),
          ),
        }),
    numberOfEmbeddings: stats.numberOfEmbeddings,
    numberOfEmbeddedDocuments: stats.numberOfEmbeddedDocuments,
    fieldDistribution: stats.fieldDistribution,
  };
}

function printSize(bytes: number, { sizeFormat }: StatsFormat): number | string {
  return sizeFormat === "raw" ? bytes : printBytes(bytes);
}

/** The databases of one group's nodes, which together hold every shard; other groups hold copies. */
async function databaseSizes(
  transport: NodeTransport,
  view: TopologyView,
  signal: AbortSignal,
): Promise<{ databaseSize: number; usedDatabaseSize: number }> {
  let best = { answered: -1, databaseSize: 0, usedDatabaseSize: 0 };
  for (const nodeIds of view.groups.values()) {
    const sizes = await Promise.all(nodeIds.map((id) => sizeOf(transport, view, id, signal)));
    const known = sizes.filter((size) => size !== undefined);
    if (known.length > best.answered) {
      best = {
        answered: known.length,
        databaseSize: known.reduce((sum, size) => sum + size.databaseSize, 0),
        usedDatabaseSize: known.reduce((sum, size) => sum + size.usedDatabaseSize, 0),
      };
    }
    if (known.length === nodeIds.length) break;
  }
  return best;
}

async function sizeOf(
  transport: NodeTransport,
  view: TopologyView,
  nodeId: string,
  signal: AbortSignal,
): Promise<{ databaseSize: number; usedDatabaseSize: number } | undefined> {
  const node = view.nodes.get(nodeId);
  if (node === undefined) return undefined;
  try {
    const request = { method: "GET", path: "/stats", timeoutMs: TIMEOUT_MS, signal } as const;
    const response = await transport.request(node.adminAddress, request);
    if (response.status !== 200) return undefined;
    return JSON.parse(response.body.toString("utf8")) as { databaseSize: number; usedDatabaseSize: number };
  } catch (error) {
    if (error instanceof NodeUnavailableError) return undefined;
    throw error;
  }
}
