import type { Readable } from "node:stream";
import {
  createDocumentSplitter,
  DocumentNotObjectError,
  DocumentTooLargeError,
  type SplitDocument,
} from "../../json/document-stream.js";
import { objectMembers } from "../../json/members.js";
import { JsonSyntaxError } from "../../json/scan.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { type BodyDecoder, bodyDecoder, endDecoder } from "../body-decoder.js";
import { CsvError, createCsvReader } from "./csv.js";
import {
  BatchBuilder,
  type BatchTerms,
  type DocumentBatch,
  refuseReservedFields,
  withoutDuplicates,
} from "./document-batch.js";
import {
  type DocumentFormatName,
  delimiterWithoutCsv,
  documentContentType,
  documentTooLarge,
  incompletePayload,
  malformedCsv,
  malformedDocuments,
  missingPayload,
  notAnObject,
  payloadTooLarge,
  writesOverloaded,
} from "./refusals.js";
import { type DocumentSpool, SpoolFullError, type SpoolPool } from "./spool.js";

/** The format of a document body. */
export interface DocumentFormat {
  readonly name: DocumentFormatName;
  /** Of CSV. */
  readonly delimiter: string;
}

/** Sizes beyond which a body is refused. */
export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly maxDocumentBytes: number;
}

/** Documents that are well-formed, but not read against an index yet, because there was none. */
export interface UnreadDocuments {
  readonly kind: "unread";
  readonly spool: DocumentSpool;
  readonly documents: number;
}

/** What a body became. Its spool is the caller's to dispose of. */
export type ReceivedDocuments = UnreadDocuments | { readonly kind: "read"; readonly batch: DocumentBatch };

/**
 * The format that the headers name.
 *
 * @throws MeilisearchError 415, as Meilisearch words it
 */
export function documentFormat(
  contentType: string | undefined,
  csvDelimiter: string | undefined,
): DocumentFormat {
  if (contentType === undefined) throw documentContentType(undefined);
  const essence = /^\s*([^\s;/]+)\/([^\s;]+)\s*(?:;|$)/.exec(contentType);
  if (essence?.[1] === undefined || essence[2] === undefined) throw documentContentType(contentType);
  // A structured suffix is no part of the subtype in Meilisearch's messages.
  const subtype = essence[2].toLowerCase().replace(/\+[^+]*$/, "");
  const type = `${essence[1].toLowerCase()}/${subtype}`;
  const suffix = essence[2].includes("+");
  const name = suffix
    ? undefined
    : ({ "application/json": "json", "application/x-ndjson": "ndjson", "text/csv": "csv" } as const)[type];
  if (name === undefined) throw documentContentType(type);
  if (name !== "csv" && csvDelimiter !== undefined) throw delimiterWithoutCsv(type);
  return { name, delimiter: csvDelimiter ?? "," };
}

/**
 * Reads a whole body: decompressed, cut into documents, each checked as far as it goes without the index, and with
 * `terms` also against the index. Memory stays bounded whatever the size of the body; nothing is left behind by a body
 * that is refused (invariant 12).
 *
 * @param terms of the index, where it exists
 * @throws MeilisearchError what Meilisearch answers at once: malformed, empty, too large; and for reserved fields
 */
export async function receiveDocuments(
  body: Readable,
  contentEncoding: string | undefined,
  format: DocumentFormat,
  terms: BatchTerms | undefined,
  pool: SpoolPool,
  limits: BodyLimits,
): Promise<ReceivedDocuments> {
  const sink =
    terms === undefined ? new UnreadSink(pool, format.name !== "ndjson") : new ReadSink(terms, pool, format);
  try {
    await readBody(body, contentEncoding, format, limits, (document) => sink.add(document));
    return sink.finish();
  } catch (error) {
    await sink.dispose();
    throw asRefusal(error, format, limits);
  }
}

interface Sink {
  add(document: SplitDocument): Promise<void> | undefined;
  finish(): ReceivedDocuments;
  dispose(): Promise<void>;
}

class ReadSink implements Sink {
  private readonly builder: BatchBuilder;

  constructor(terms: BatchTerms, pool: SpoolPool, format: DocumentFormat) {
    this.builder = new BatchBuilder(terms, pool, format.name !== "ndjson");
  }

  add(document: SplitDocument): Promise<void> | undefined {
    return this.builder.add(document);
  }

  finish(): ReceivedDocuments {
    return { kind: "read", batch: this.builder.finish() };
  }

  dispose(): Promise<void> {
    return this.builder.dispose();
  }
}

class UnreadSink implements Sink {
  private readonly spool: DocumentSpool;
  private documents = 0;

  constructor(
    pool: SpoolPool,
    private readonly dropDuplicates: boolean,
  ) {
    this.spool = pool.create();
  }

  add(document: SplitDocument): Promise<void> | undefined {
    refuseReservedFields(document.members);
    this.documents++;
    return this.spool.add(0, (this.dropDuplicates ? withoutDuplicates(document) : document).bytes);
  }

  finish(): ReceivedDocuments {
    return { kind: "unread", spool: this.spool, documents: this.documents };
  }

  dispose(): Promise<void> {
    return this.spool.dispose();
  }
}

async function readBody(
  body: Readable,
  contentEncoding: string | undefined,
  format: DocumentFormat,
  limits: BodyLimits,
  add: (document: SplitDocument) => Promise<void> | undefined,
): Promise<void> {
  const reader = bodyReader(format, limits.maxDocumentBytes);
  const addAll = async (documents: readonly SplitDocument[]): Promise<void> => {
    for (const document of documents) {
      const waiting = add(document);
      if (waiting !== undefined) await waiting;
    }
  };
  let size = 0;
  for await (const chunk of decodedChunks(body, contentEncoding, limits.maxBodyBytes)) {
    size += chunk.length;
    if (size > limits.maxBodyBytes) throw payloadTooLarge(limits.maxBodyBytes);
    await addAll(reader.push(chunk));
  }
  if (size === 0) throw missingPayload(format.name);
  await addAll(reader.end());
}

/** Cuts a body of any format into documents. */
function bodyReader(
  format: DocumentFormat,
  maxDocumentBytes: number,
): { push(chunk: Buffer): readonly SplitDocument[]; end(): readonly SplitDocument[] } {
  if (format.name === "csv") {
    const csv = createCsvReader(format.delimiter, maxDocumentBytes);
    const withMembers = (bytes: Buffer) => ({ bytes, members: objectMembers(bytes) });
    return { push: (chunk) => csv.push(chunk).map(withMembers), end: () => csv.end().map(withMembers) };
  }
  const splitter = createDocumentSplitter({ format: format.name, maxDocumentBytes });
  return {
    push: (chunk) => splitter.push(chunk),
    end: () => {
      splitter.end();
      return [];
    },
  };
}

/**
 * The body's bytes without their content encoding; an encoding that is not known is left alone, as Meilisearch does. A
 * body that is not read to its end is drained by whoever owns the connection.
 *
 * @throws MeilisearchError where the body breaks off, cannot be decompressed or is larger than `maxBytes` as it came
 */
export async function* decodedChunks(
  body: Readable,
  contentEncoding: string | undefined,
  maxBytes: number,
): AsyncGenerator<Buffer> {
  const decoder = bodyDecoder(contentEncoding);
  if (decoder === undefined) {
    try {
      for await (const chunk of body.iterator({ destroyOnReturn: false })) yield asBuffer(chunk);
    } catch (error) {
      throw error instanceof MeilisearchError ? error : incompletePayload(error);
    }
    return;
  }
  const feeding = feed(body, decoder, maxBytes);
  // The iterator below reports it; without a handler a failure in between would count as unhandled.
  feeding.catch(() => undefined);
  try {
    for await (const chunk of decoder) yield asBuffer(chunk);
    await feeding;
  } catch (error) {
    const cause = await feeding.then(
      () => error,
      (feedError: unknown) => feedError,
    );
    throw cause instanceof MeilisearchError ? cause : incompletePayload(cause);
  } finally {
    decoder.destroy();
  }
}

/** Writes the body into the decoder, no faster than it is read. */
async function feed(body: Readable, decoder: BodyDecoder, maxBytes: number): Promise<void> {
  let size = 0;
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      const bytes = asBuffer(chunk);
      size += bytes.length;
      if (size > maxBytes) throw payloadTooLarge(maxBytes);
      if (decoder.destroyed) return;
      if (!decoder.write(bytes)) await drained(decoder);
    }
    endDecoder(decoder, size);
  } catch (error) {
    decoder.destroy(
      error instanceof Error ? error : new Error("the body could not be read", { cause: error }),
    );
    throw error;
  }
}

function drained(decoder: BodyDecoder): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      decoder.off("drain", done);
      decoder.off("close", done);
      resolve();
    };
    decoder.on("drain", done);
    decoder.on("close", done);
  });
}

function asBuffer(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError("a request body must be a stream of bytes");
}

/** The refusal that a client sees for what went wrong with its body. */
export function asRefusal(error: unknown, format: DocumentFormat, limits: BodyLimits): unknown {
  if (error instanceof JsonSyntaxError) return malformedDocuments(format.name, error.message);
  if (error instanceof DocumentNotObjectError) {
    return error.place === "body"
      ? malformedDocuments(format.name, "data are neither an object nor a list of objects")
      : notAnObject(error.message);
  }
  if (error instanceof DocumentTooLargeError) return documentTooLarge(error.message);
  if (error instanceof CsvError) return malformedCsv(error.message);
  if (error instanceof SpoolFullError) {
    return writesOverloaded(
      `request bodies under way fill all of the ${error.maxFileBytes} bytes set aside for temporary files`,
    );
  }
  if (isOutOfSpace(error)) return writesOverloaded("there is no space left for temporary files");
  return error instanceof MeilisearchError ? error : (error ?? incompletePayload(limits));
}

function isOutOfSpace(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOSPC";
}
