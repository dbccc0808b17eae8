import type { Logger } from "pino";
import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { removeMembers } from "../../json/edit.js";
import { findMember, objectMembers } from "../../json/members.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { JsonValue } from "../../merge/index.js";
import { isInjectedField } from "../../merge/injected-fields.js";
import type { World } from "../../runtime/world.js";
import { findInstance } from "../tasks/index-replicas.js";
import { type DocumentPart, documentParts, partsFingerprint } from "./document-parts.js";
import { IdCursor, type PlacedId } from "./id-cursor.js";
import { fetchDocuments, idOf } from "./node-documents.js";

/** What a {@link DocumentReader} works with. */
export interface DocumentReaderOptions {
  readonly topology: { current(): Topology };
  readonly transport: NodeTransport;
  readonly admin: (nodeId: string) => NodeClient;
  readonly world: World;
  readonly logger: Logger;
  /** How long is waited for replicas that can be read, without any progress. Milliseconds; 60,000 unless given. */
  readonly patienceMs?: number;
  /** Ids asked for at once; for tests. */
  readonly windowSize?: number;
}

/** Which documents are read. */
export interface DocumentRead {
  /** The incarnation of the index. */
  readonly instance: string;
  /** As documents are listed with; undefined for all. */
  readonly filter?: JsonValue | undefined;
  readonly signal: AbortSignal;
}

/** An index cannot be read to its end: it is gone, or some shard has had no replica that answers for too long. */
export class IndexUnreadableError extends Error {
  override readonly name = "IndexUnreadableError";
}

const PATIENCE_MS = 60_000;
const RETRY_MS = 500;
/** What one batch of documents should have. */
const BATCH_BYTES = 4 * 1024 * 1024;
const FIRST_BATCH = 200;
const MAX_BATCH = 5_000;

/** Where the index's copies are has changed. */
class MovedError extends Error {
  override readonly name = "MovedError";
}

/**
 * Reads all documents of an index, each from one replica of its shard, in the order of insertion, while writes go on: first the ids, then
 * the documents by their ids. What was acknowledged before the read began is in it, unless it was deleted meanwhile; what is written
 * meanwhile may be in it. A document that is written again while it is read may come twice, the later version last.
 */
export class DocumentReader {
  readonly #options: DocumentReaderOptions;

  constructor(options: DocumentReaderOptions) {
    this.#options = options;
  }

  /**
   * Batches of documents as clients see them, in raw JSON, with `_vectors` where they have any.
   *
   * @throws IndexUnreadableError, and MeilisearchError where the nodes refuse the filter
   */
  async *read({ instance, filter, signal }: DocumentRead): AsyncGenerator<readonly Buffer[]> {
    const { world, logger, patienceMs = PATIENCE_MS } = this.#options;
    const avoided = new Set<string>();
    let after = "";
    let until = world.clock.monotonic() + patienceMs;
    for (;;) {
      try {
        for await (const batch of this.#readParts(instance, filter, avoided, after, signal)) {
          yield batch.documents;
          after = batch.last;
          until = world.clock.monotonic() + patienceMs;
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!isPassing(error)) throw error;
        if (world.clock.monotonic() >= until) {
          throw new IndexUnreadableError(`the documents cannot be read: ${error.message}`, { cause: error });
        }
        if (error instanceof NodeUnavailableError) avoided.add(error.nodeId);
        logger.debug({ err: error }, "reading documents has to begin anew behind what was read");
      }
      await world.timers.sleep(RETRY_MS, signal);
    }
  }

  /**
   * Has the nodes judge a filter, as the client wrote it: all of them, since one without any document that has an attribute does not know
   * what may be asked of it. Where none answers, {@link read} has it judged.
   *
   * @throws IndexUnreadableError, and MeilisearchError where a node refuses the filter
   */
  async check({ instance, filter, signal }: DocumentRead): Promise<void> {
    const { admin, transport } = this.#options;
    const parts = documentParts(this.#index(instance), new Set()) ?? [];
    await Promise.all(
      parts.map(async ({ nodeId, physicalName }) => {
        const query = { filter, fields: [], limit: 0 };
        try {
          await fetchDocuments(transport, admin(nodeId), physicalName, query, signal);
        } catch (error) {
          if (!isPassing(error)) throw error;
        }
      }),
    );
  }

  #index(instance: string): Index {
    const index = findInstance(this.#options.topology.current(), instance);
    if (index === undefined) throw new IndexUnreadableError("the index was deleted while it was read");
    return index;
  }

  async *#readParts(
    instance: string,
    filter: JsonValue | undefined,
    avoided: ReadonlySet<string>,
    after: string,
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly documents: readonly Buffer[]; readonly last: string }> {
    const { admin, transport, windowSize } = this.#options;
    const index = this.#index(instance);
    const { primaryKey } = index;
    if (primaryKey === undefined) return;
    const parts = documentParts(index, avoided);
    if (parts === undefined) throw new MovedError("a shard has no replica that may be read");
    const planned = partsFingerprint(index);
    const ask = (part: DocumentPart, query: Readonly<Record<string, unknown>>) => {
      if (partsFingerprint(this.#index(instance)) !== planned) throw new MovedError("replicas have changed");
      return fetchDocuments(transport, admin(part.nodeId), part.physicalName, query, signal);
    };
    await Promise.all(parts.map((part) => this.#caughtUp(part, signal)));
    const cursors = parts.map((part) => ({
      part,
      ids: new IdCursor(async (query) => ask(part, query), part, {
        primaryKey,
        filter,
        after,
        ...(windowSize === undefined ? {} : { windowSize }),
      }),
    }));
    for (let size = FIRST_BATCH; ; ) {
      const batch = await nextIds(cursors, size);
      const last = batch.at(-1);
      if (last === undefined) return;
      const documents = await this.#byIds(batch, ask, primaryKey, filter);
      yield { documents, last: last.sequence };
      const bytes = documents.reduce((sum, document) => sum + document.length, 0);
      size = Math.max(
        1,
        Math.min(MAX_BATCH, Math.round((size * BATCH_BYTES) / Math.max(bytes, 1)), size * 4),
      );
    }
  }

  /** Documents in the order of their ids in the batch; those that are gone are left out. */
  async #byIds(
    batch: readonly PartId[],
    ask: (part: DocumentPart, query: Readonly<Record<string, unknown>>) => ReturnType<typeof fetchDocuments>,
    primaryKey: string,
    filter: JsonValue | undefined,
  ): Promise<readonly Buffer[]> {
    const byPart = new Map<DocumentPart, PartId[]>();
    for (const placed of batch) {
      const others = byPart.get(placed.part);
      if (others === undefined) byPart.set(placed.part, [placed]);
      else others.push(placed);
    }
    const found = new Map<string, Buffer>();
    await Promise.all(
      [...byPart].map(async ([part, placed]) => {
        const ids = placed.map(({ id }) => id);
        const { documents } = await ask(part, { ids, filter, limit: ids.length, retrieveVectors: true });
        for (const document of documents) {
          const id = idOf(document, primaryKey);
          if (id !== undefined) found.set(id, asClientsSee(document));
        }
      }),
    );
    return batch.flatMap(({ id }) => found.get(id) ?? []);
  }

  /** Waits, for a while, until a node has run what it has accepted for the index: another node may have given out what comes of it. */
  async #caughtUp({ nodeId, physicalName }: DocumentPart, signal: AbortSignal): Promise<void> {
    const { admin, world, logger, patienceMs = PATIENCE_MS } = this.#options;
    const node = admin(nodeId);
    const query = { indexUids: physicalName, statuses: "enqueued,processing", limit: 1 };
    const [newest] = (await node.tasks(query)).results;
    if (newest === undefined) return;
    const until = world.clock.monotonic() + patienceMs;
    for (let pause = 20; world.clock.monotonic() < until; pause = Math.min(pause * 2, RETRY_MS)) {
      const { status } = await node.task(newest.uid);
      if (status !== "enqueued" && status !== "processing") return;
      await world.timers.sleep(pause, signal);
    }
    logger.warn({ node: nodeId, index: physicalName }, "documents are read from a node that is behind");
  }
}

interface PartId extends PlacedId {
  readonly part: DocumentPart;
}

/** The next ids over all parts, in the order of insertion. */
async function nextIds(
  cursors: readonly { readonly part: DocumentPart; readonly ids: IdCursor }[],
  count: number,
): Promise<readonly PartId[]> {
  const batch: PartId[] = [];
  while (batch.length < count) {
    let next: { readonly ids: IdCursor; readonly placed: PartId } | undefined;
    for (const { part, ids } of cursors) {
      const head = await ids.peek();
      if (head === undefined || (next !== undefined && head.sequence >= next.placed.sequence)) continue;
      next = { ids, placed: { ...head, part } };
    }
    if (next === undefined) return batch;
    next.ids.take();
    batch.push(next.placed);
  }
  return batch;
}

/** Without Miroir's fields (invariant 11), and without the empty `_vectors` that nodes give where there are none. */
function asClientsSee(document: Buffer): Buffer {
  const vectors = findMember(document, "_vectors");
  const isEmpty =
    vectors !== undefined &&
    document[vectors.valueStart] === 0x7b &&
    objectMembers(document, vectors.valueStart).length === 0;
  return removeMembers(document, (name) => isInjectedField(name) || (isEmpty && name === "_vectors"));
}

/** Whether reading may go on with another replica, or a little later. A name that nodes do not know is one of another generation. */
function isPassing(error: unknown): error is Error {
  if (error instanceof MovedError || error instanceof NodeUnavailableError) return true;
  if (!(error instanceof MeilisearchError)) return false;
  return error.body.code === "index_not_found" || error.status >= 500 || error.status === 429;
}
