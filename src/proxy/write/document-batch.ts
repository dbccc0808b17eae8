import type { SplitDocument } from "../../json/document-stream.js";
import { type JsonMember, objectMembers } from "../../json/members.js";
import { isReservedField } from "../../placement/injected-fields.js";
import type { ShardHasher } from "../../placement/shard.js";
import { type ContentFailure, type ContentRules, checkContent, hasCheckedField } from "./document-checks.js";
import { documentId, inferPrimaryKey, noPrimaryKeyCandidate } from "./document-key.js";
import { reservedField } from "./refusals.js";
import type { DocumentSpool, SpoolPool } from "./spool.js";
import type { TaskFailure } from "./task-failure.js";

/** Documents of a batch whose ids are told. */
const MAX_KEYS = 20_000;

/** Failing documents remembered because a later version of the same document may make them good. */
const MAX_REPLACED_FAILURES = 1_000;

/** Against what documents are read. Another index or key needs another reading. */
export interface BatchTerms {
  readonly indexUid: string;
  /** The index's own, or the client's; undefined to infer it from the first document. */
  readonly primaryKey: string | undefined;
  readonly shards: number;
  /** The shards of whose codes documents are given one; a multiple of `shards`. */
  readonly codeShards: number;
  readonly rules: ContentRules;
  readonly hasher: ShardHasher;
}

/** Documents of one shard in a batch. */
export interface ShardShare {
  readonly documents: number;
  readonly bytes: number;
}

/** Documents that were read, checked and dealt to shards, in their order. */
export interface DocumentBatch {
  readonly terms: BatchTerms;
  /** The key that counts; undefined for a batch without documents where none was given. */
  readonly primaryKey: string | undefined;
  readonly documents: number;
  readonly shares: ReadonlyMap<number, ShardShare>;
  /** Why Meilisearch would fail the task; such a batch is not dealt to shards, and only good to be read again. */
  readonly failure: TaskFailure | undefined;
  readonly spool: DocumentSpool;
}

/** Reads documents one after another into a {@link DocumentBatch}. */
export class BatchBuilder {
  private readonly shares = new Map<number, { documents: number; bytes: number }>();
  private readonly contentFailures = new Map<string, ContentFailure>();
  private readonly spool: DocumentSpool;
  private primaryKey: string | undefined;
  private failure: TaskFailure | undefined;
  private documents = 0;

  /** @param dropDuplicates keep only the last of members with one name, as Meilisearch does with JSON arrays and CSV */
  constructor(
    private readonly terms: BatchTerms,
    pool: SpoolPool,
    private readonly dropDuplicates: boolean,
  ) {
    this.spool = pool.create();
    this.primaryKey = terms.primaryKey;
  }

  /**
   * Where it gives a promise, that is waited for before the next document is added.
   *
   * @throws MeilisearchError for a document with a reserved field
   * @throws SpoolFullError at once, or by the promise
   */
  add(document: SplitDocument): Promise<void> | undefined {
    refuseReservedFields(document.members);
    this.documents++;
    const { bytes, members } = this.dropDuplicates ? withoutDuplicates(document) : document;
    const id = this.failure === undefined ? this.identify(bytes, members) : undefined;
    // Kept all the same: under other terms the batch may be good.
    if (id === undefined) return this.spool.add(0, bytes);
    this.checkContent(bytes, members, id);
    const code = this.terms.hasher.shardOf(id, this.terms.codeShards);
    const shard = code % this.terms.shards;
    const share = this.shares.get(shard);
    if (share === undefined) this.shares.set(shard, { documents: 1, bytes: bytes.length });
    else {
      share.documents++;
      share.bytes += bytes.length;
    }
    return this.spool.add(code, bytes);
  }

  finish(): DocumentBatch {
    const [contentFailure] = [...this.contentFailures.values()].sort((a, b) => a.stage - b.stage);
    return {
      terms: this.terms,
      primaryKey: this.primaryKey,
      documents: this.documents,
      shares: this.shares,
      failure: this.failure ?? contentFailure,
      spool: this.spool,
    };
  }

  dispose(): Promise<void> {
    return this.spool.dispose();
  }

  private identify(bytes: Buffer, members: readonly JsonMember[]): string | undefined {
    if (this.primaryKey === undefined) {
      const inferred = inferPrimaryKey(members.map((member) => member.key));
      if ("failure" in inferred) {
        this.failure = inferred.failure;
        return undefined;
      }
      this.primaryKey = inferred.primaryKey;
    }
    const found = documentId(bytes, members, this.primaryKey);
    if ("id" in found) return found.id;
    this.failure = found.failure;
    return undefined;
  }

  private checkContent(bytes: Buffer, members: readonly JsonMember[], id: string): void {
    if (!hasCheckedField(members)) {
      // Meilisearch looks at the last version of a document only.
      if (this.contentFailures.size > 0) this.contentFailures.delete(id);
      return;
    }
    const failure = checkContent(this.terms.indexUid, bytes, members, id, this.terms.rules);
    if (failure === undefined) {
      this.contentFailures.delete(id);
      return;
    }
    this.contentFailures.delete(id);
    this.contentFailures.set(id, failure);
    if (this.contentFailures.size > MAX_REPLACED_FAILURES) this.failure = failure;
  }
}

/**
 * The same documents under other terms: another primary key was recorded meanwhile, or the index was not known yet.
 * The documents' own spool stays.
 */
export async function rereadBatch(
  documents: AsyncIterable<{ readonly bytes: Buffer }>,
  terms: BatchTerms,
  pool: SpoolPool,
): Promise<DocumentBatch> {
  const builder = new BatchBuilder(terms, pool, false);
  try {
    for await (const { bytes } of documents) await builder.add({ bytes, members: objectMembers(bytes) });
    return builder.finish();
  } catch (error) {
    await builder.dispose();
    throw error;
  }
}

/** The ids of a batch's documents; undefined where they are too many to be read again for it. */
export async function batchKeys(batch: DocumentBatch): Promise<readonly string[] | undefined> {
  const { primaryKey, documents, spool } = batch;
  if (primaryKey === undefined || documents > MAX_KEYS) return undefined;
  const keys: string[] = [];
  for await (const { bytes } of spool.documents()) {
    const found = documentId(bytes, objectMembers(bytes), primaryKey);
    if (!("id" in found)) return undefined;
    keys.push(found.id);
  }
  return keys;
}

/** The failure of a batch that has no document to infer the key from, which Meilisearch does not count as one. */
export const emptyBatchFailure = noPrimaryKeyCandidate;

/** @throws MeilisearchError `miroir_reserved_field` */
export function refuseReservedFields(members: readonly JsonMember[]): void {
  for (const { key } of members) {
    if (isReservedField(key)) throw reservedField(key);
  }
}

/** Members up to which comparing each with each is cheaper than a set of their names. */
const FEW_MEMBERS = 16;

function hasDuplicates(members: readonly JsonMember[]): boolean {
  if (members.length > FEW_MEMBERS) {
    return new Set(members.map(({ key }) => key)).size < members.length;
  }
  return members.some(({ key }, at) => {
    for (let before = 0; before < at; before++) if (members[before]?.key === key) return true;
    return false;
  });
}

/** The object with each name once: where it first stood, with its last value. */
export function withoutDuplicates(document: SplitDocument): SplitDocument {
  const { members } = document;
  if (!hasDuplicates(members)) return document;
  const last = new Map<string, JsonMember>();
  for (const member of members) last.set(member.key, member);
  const parts: Buffer[] = [];
  for (const member of last.values()) {
    parts.push(Buffer.from(parts.length === 0 ? "{" : ","));
    parts.push(document.bytes.subarray(member.keyStart, member.valueEnd));
  }
  const bytes = Buffer.concat([...parts, Buffer.from("}")]);
  return { bytes, members: objectMembers(bytes) };
}
