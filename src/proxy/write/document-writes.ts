import { TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { checkedIndexUid } from "../http/api-errors.js";
import type { IndexView } from "../topology/topology-view.js";
import { byteRounds } from "./byte-rounds.js";
import { type DeleteFilter, readDeleteFilter, readIds, readJson, refuseMap } from "./delete-bodies.js";
import { type BatchTerms, batchKeys, type DocumentBatch, rereadBatch } from "./document-batch.js";
import { type ContentRules, contentRules } from "./document-checks.js";
import type { DocumentEdits } from "./document-edits.js";
import { primaryKeyTaken } from "./document-key.js";
import type { FilterPreflight } from "./filter-preflight.js";
import { bodyBytes, nodePayload } from "./node-payload.js";
import type { OpenSettings } from "./open-settings.js";
import { documentFormat, type ReceivedDocuments, receiveDocuments } from "./receive-documents.js";
import { payloadTooLarge, writesOverloaded } from "./refusals.js";
import type { Sequences } from "./sequences.js";
import { indexNotFoundFailure } from "./task-failure.js";
import type { DocumentWriteRequest, WriteResult } from "./types.js";
import type { TaskDraft, Turn, WriteCore } from "./write-core.js";

/** Document writes: additions and deletions, and what else comes with a body of documents' size. */
export class DocumentWrites {
  private bodies = 0;

  constructor(
    private readonly core: WriteCore,
    private readonly preflight: FilterPreflight,
    private readonly openSettings: OpenSettings,
    private readonly sequences: Sequences,
    private readonly edits: DocumentEdits,
  ) {}

  async submit(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult> {
    this.core.requireWritable();
    const { maxConcurrentBodies } = this.core.context.config;
    if (this.bodies >= maxConcurrentBodies) {
      throw writesOverloaded(`${this.bodies} request bodies are being worked on, as many as may be`);
    }
    this.bodies++;
    try {
      switch (request.kind) {
        case "replace":
        case "update":
          return await this.add(request, signal);
        case "delete-batch":
          return await this.deleteBatch(request, signal);
        case "delete-one":
          checkedIndexUid(request.indexUid);
          return await this.deleteIds(request, [request.documentId ?? ""], signal);
        case "delete-all":
          checkedIndexUid(request.indexUid);
          return await this.deleteAll(request, signal);
        case "delete-by-filter":
          return await this.deleteByFilter(request, signal);
        case "edit":
          return await this.edits.edit(request, this.maxJsonBytes, signal);
      }
    } finally {
      this.bodies--;
    }
  }

  private async add(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const indexUid = checkedIndexUid(request.indexUid);
    const format = documentFormat(request.contentType, request.csvDelimiter);
    const index = this.core.catalogue.find(indexUid);
    const terms = index === undefined ? undefined : await this.terms(index, request);
    const received = await receiveDocuments(
      request.body,
      request.contentEncoding,
      format,
      terms,
      this.core.spools,
      this.core.context.config,
    );
    const spools = [received.kind === "read" ? received.batch.spool : received.spool];
    // A write whose outcome is not known keeps its documents until it is settled.
    let handedOver = false;
    const release = async (): Promise<void> => {
      for (const spool of spools) await spool.dispose();
    };
    try {
      return await this.core.inLane(indexUid, signal, () =>
        this.addInLane(request, received, {
          keep: (batch) => spools.push(batch.spool),
          release: () => {
            handedOver = true;
            return release();
          },
          handOver: () => {
            handedOver = true;
          },
        }),
      );
    } finally {
      if (!handedOver) await release();
    }
  }

  private async addInLane(
    request: DocumentWriteRequest,
    received: ReceivedDocuments,
    spools: {
      readonly keep: (batch: DocumentBatch) => void;
      readonly release: () => Promise<void>;
      readonly handOver: () => void;
    },
  ): Promise<Turn> {
    const { indexUid } = request;
    let batch = received.kind === "read" ? received.batch : undefined;
    for (;;) {
      const held = this.core.catalogue.find(indexUid);
      if (held === undefined && request.mayCreateIndex === false) {
        const documents = received.kind === "read" ? received.batch.documents : received.documents;
        const draft = additionDraft(request, { documents, shares: new Map() }, 0);
        return this.core.finalTurn(draft, "", indexNotFoundFailure(indexUid));
      }
      const index: IndexView = held ?? (await this.core.catalogue.ensure(indexUid, undefined));
      const terms = await this.terms(index, request);
      if (batch === undefined || !sameTerms(batch.terms, terms)) {
        const source = received.kind === "read" ? received.batch.spool : received.spool;
        batch = await rereadBatch(source.documents(), terms, this.core.spools);
        spools.keep(batch);
        const count = received.kind === "read" ? received.batch.documents : received.documents;
        if (batch.documents !== count)
          throw new Error(`${batch.documents} of ${count} documents were read again`);
      }
      const draft = additionDraft(request, batch, 0);
      const taken =
        index.primaryKey !== undefined &&
        request.primaryKey !== undefined &&
        index.primaryKey !== request.primaryKey;
      if (taken && batch.documents > 0) {
        return this.core.finalTurn(draft, index.instance, primaryKeyTaken(index.primaryKey ?? ""));
      }
      if (batch.failure !== undefined) {
        // A change in front that is not done may yet fail, and what it asks of documents with it.
        await this.openSettings.settled(index.instance);
        const now = this.core.catalogue.find(indexUid);
        if (now !== undefined && !sameTerms(batch.terms, await this.terms(now, request))) continue;
        return this.core.finalTurn(draft, index.instance, batch.failure);
      }
      if (index.primaryKey === undefined && batch.primaryKey !== undefined) {
        // Recorded by compare-and-set: where another key has come first, the documents are read again under it.
        await this.core.catalogue.ensure(indexUid, batch.primaryKey);
        continue;
      }
      if (batch.documents === 0) return this.core.finalTurn(draft, index.instance, undefined);
      spools.handOver();
      return this.send(request, index, batch, spools.release);
    }
  }

  private async send(
    request: DocumentWriteRequest,
    index: IndexView,
    batch: DocumentBatch,
    release: () => Promise<void>,
  ): Promise<Turn> {
    const firstSequence = this.sequences.reserve(index.instance, batch.documents);
    const { maxNodeBodyBytes } = this.core.context.config;
    const shardBytes = new Map([...batch.shares].map(([shard, share]) => [shard, bodyBytes(share)]));
    if (Math.max(...shardBytes.values()) > maxNodeBodyBytes) {
      await release();
      throw payloadTooLarge(maxNodeBodyBytes);
    }
    const touched = [...batch.shares.keys()].sort((a, b) => a - b);
    const query = new URLSearchParams({ primaryKey: batch.primaryKey ?? "" });
    if (request.skipCreation !== undefined) query.set("skipCreation", String(request.skipCreation));
    return this.core.dispatch({
      index,
      draft: additionDraft(request, batch, null),
      touched,
      rounds: (standing) =>
        byteRounds(touched, standing, (shard) => shardBytes.get(shard) ?? 0, maxNodeBodyBytes),
      kind: "document",
      keys: () => batchKeys(batch),
      // Vectors can outlive the document that they came with.
      overwrites:
        request.kind === "replace" && request.skipCreation !== true && !hasEmbedders(index.settings),
      // A part of a document alone may lack the vectors, or what they are made of.
      onlyWhereFilled: request.kind === "update" && hasEmbedders(index.settings),
      release,
      request: (shards, name, metadata) => {
        const payload = nodePayload(batch, new Set(shards), firstSequence);
        return {
          method: request.kind === "replace" ? "POST" : "PUT",
          path: `/indexes/${name}/documents?${query}&customMetadata=${encodeURIComponent(metadata)}`,
          contentType: "application/x-ndjson",
          contentLength: payload.contentLength,
          body: payload.body,
        };
      },
    });
  }

  private async deleteBatch(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const body = await readJson(bodyOf(request), this.maxJsonBytes, refuseMap);
    const ids = readIds(body);
    checkedIndexUid(request.indexUid);
    return this.deleteIds(request, ids, signal);
  }

  /** Bodies that are held in memory whole. */
  private get maxJsonBytes(): number {
    const { maxBodyBytes, maxDocumentBytes } = this.core.context.config;
    return Math.min(maxBodyBytes, maxDocumentBytes);
  }

  private async deleteIds(
    request: DocumentWriteRequest,
    ids: readonly string[],
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const { indexUid, customMetadata } = request;
    const hasher = await this.core.hasher;
    const draft = (deleted: number | null): TaskDraft => ({
      type: TaskType.DOCUMENT_DELETION,
      indexUid,
      customMetadata,
      detailsJson: JSON.stringify({
        providedIds: ids.length,
        deletedDocuments: deleted,
        originalFilter: null,
      }),
    });
    return this.core.inLane(indexUid, signal, async () => {
      const index = this.core.catalogue.find(indexUid);
      if (index === undefined) return this.core.finalTurn(draft(0), "", indexNotFoundFailure(indexUid));
      if (ids.length === 0) return this.core.finalTurn(draft(0), index.instance, undefined);
      const byShard = new Map<number, string[]>();
      for (const id of ids) {
        const shard = hasher.shardOf(id, index.shards);
        const list = byShard.get(shard);
        if (list === undefined) byShard.set(shard, [id]);
        else list.push(id);
      }
      return this.core.dispatch({
        index,
        draft: draft(null),
        touched: [...byShard.keys()].sort((a, b) => a - b),
        kind: "document",
        keys: async () => ids,
        overwrites: true,
        request: (shards, name, metadata) => ({
          method: "POST",
          path: `/indexes/${name}/documents/delete-batch?customMetadata=${encodeURIComponent(metadata)}`,
          contentType: "application/json",
          body: JSON.stringify(shards.flatMap((shard) => byShard.get(shard) ?? [])),
        }),
      });
    });
  }

  private async deleteAll(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const { indexUid, customMetadata } = request;
    const draft = (deleted: number | null): TaskDraft => ({
      type: TaskType.DOCUMENT_DELETION,
      indexUid,
      customMetadata,
      detailsJson: JSON.stringify({ deletedDocuments: deleted }),
    });
    return this.core.inLane(indexUid, signal, async () => {
      const index = this.core.catalogue.find(indexUid);
      if (index === undefined) return this.core.finalTurn(draft(0), "", indexNotFoundFailure(indexUid));
      return this.core.dispatch({
        index,
        draft: draft(null),
        touched: "all",
        kind: "document",
        request: (_, name, metadata) => ({
          method: "DELETE",
          path: `/indexes/${name}/documents?customMetadata=${encodeURIComponent(metadata)}`,
        }),
      });
    });
  }

  private async deleteByFilter(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const { indexUid, customMetadata } = request;
    const body = await readJson(bodyOf(request), this.maxJsonBytes);
    const filter: DeleteFilter = readDeleteFilter(body);
    checkedIndexUid(indexUid);
    await this.preflight.checkSyntax(filter.nodeJson, indexUid, signal);
    const draft = (deleted: number | null): TaskDraft => ({
      type: TaskType.DOCUMENT_DELETION,
      indexUid,
      customMetadata,
      detailsJson: JSON.stringify({
        providedIds: 0,
        deletedDocuments: deleted,
        originalFilter: filter.printed,
      }),
    });
    return this.core.inLane(indexUid, signal, async () => {
      const index = this.core.catalogue.find(indexUid);
      if (index === undefined) return this.core.finalTurn(draft(0), "", indexNotFoundFailure(indexUid));
      const standing = await this.core.writerOf(index.instance).prepare();
      const failure = await this.preflight.checkAttributes(standing, filter.nodeJson);
      if (failure !== undefined) return this.core.finalTurn(draft(0), index.instance, failure);
      return this.core.dispatch({
        index,
        draft: draft(null),
        touched: "all",
        kind: "document",
        request: (_, name, metadata) => ({
          method: "POST",
          path: `/indexes/${name}/documents/delete?customMetadata=${encodeURIComponent(metadata)}`,
          contentType: "application/json",
          body: `{"filter":${filter.nodeJson}}`,
        }),
      });
    });
  }

  private async terms(index: IndexView, request: DocumentWriteRequest): Promise<BatchTerms> {
    const rules: ContentRules = contentRules(index.settings, this.openSettings.patches(index.instance));
    return {
      indexUid: index.uid,
      primaryKey: index.primaryKey ?? request.primaryKey,
      shards: index.shards,
      codeShards: index.codeShards,
      rules,
      hasher: await this.core.hasher,
    };
  }
}

function hasEmbedders({ embedders }: IndexView["settings"]): boolean {
  return typeof embedders === "object" && embedders !== null && Object.keys(embedders).length > 0;
}

function bodyOf(request: DocumentWriteRequest) {
  return { contentType: request.contentType, contentEncoding: request.contentEncoding, body: request.body };
}

function additionDraft(
  request: DocumentWriteRequest,
  batch: Pick<DocumentBatch, "documents" | "shares">,
  indexed: number | null,
): TaskDraft {
  const { indexUid, customMetadata } = request;
  return {
    type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
    indexUid,
    customMetadata,
    detailsJson: JSON.stringify({ receivedDocuments: batch.documents, indexedDocuments: indexed }),
    documentsByShard: Object.fromEntries(
      [...batch.shares].map(([shard, share]) => [shard, BigInt(share.documents)]),
    ),
  };
}

function sameTerms(a: BatchTerms, b: BatchTerms): boolean {
  return (
    a.primaryKey === b.primaryKey &&
    a.shards === b.shards &&
    a.codeShards === b.codeShards &&
    a.rules.geo === b.rules.geo &&
    a.rules.geojson === b.rules.geojson &&
    a.rules.dimensions.size === b.rules.dimensions.size &&
    [...a.rules.dimensions].every(([name, dimensions]) => b.rules.dimensions.get(name) === dimensions)
  );
}
