import type { Readable } from "node:stream";
import { Gunzip } from "node:zlib";
import type { MeilisearchError } from "../../meilisearch/errors.js";
import { bodyDecoder, endDecoder } from "../body-decoder.js";
import { apiError } from "./api-errors.js";

/** What of a request concerns its body. */
export interface BodySource {
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentLength: string | undefined;
  readonly stream: Readable;
}

/**
 * A JSON body, decompressed, whole.
 *
 * @param limit bytes after decompression
 * @throws MeilisearchError for a wrong content type, a body above the limit, or one that cannot be
 *   decompressed or ended early
 */
export async function readJsonBody(source: BodySource, limit: number): Promise<Buffer> {
  checkContentType(source.contentType, ["application/json"]);
  checkAnnouncedLength(source.contentLength, limit);
  return collect(
    decodedBody(source),
    limit,
    () => apiError(413, "payload_too_large", `JSON payload has exceeded limit (${limit} bytes).`),
    source.contentEncoding,
  );
}

/** @throws MeilisearchError where the header tells of more than `limit` bytes */
export function checkAnnouncedLength(contentLength: string | undefined, limit: number): void {
  const announced = Number(contentLength ?? 0);
  if (announced <= limit) return;
  // Meilisearch's own answer to a length announced in advance, status and code included.
  throw apiError(
    500,
    "internal",
    `JSON payload (${announced} bytes) is larger than allowed (limit: ${limit} bytes).`,
    "internal",
  );
}

/** @throws MeilisearchError 415 where the header is absent or names another type than the accepted ones */
export function checkContentType(header: string | undefined, accepted: readonly string[]): void {
  if (header !== undefined && accepted.some((type) => mimeMatches(header, type))) return;
  const list = accepted.map((type) => `\`${type}\``).join(", ");
  if (header === undefined) {
    throw apiError(
      415,
      "missing_content_type",
      `A Content-Type header is missing. Accepted values for the Content-Type header are: ${list}`,
    );
  }
  throw apiError(
    415,
    "invalid_content_type",
    `The Content-Type \`${header}\` is invalid. Accepted values for the Content-Type header are: ${list}`,
  );
}

/** `type` with any parameters; for JSON also any other type with the subtype or suffix `json`. */
function mimeMatches(header: string, type: string): boolean {
  if (header === type) return true;
  const essence = (header.split(";", 1)[0] ?? "").trim().toLowerCase();
  return essence === type || (type === "application/json" && /^[a-z]+\/(?:[^\s/]+\+)?json$/.test(essence));
}

/** Bytes of the header that begins every gzip stream. */
const GZIP_HEADER_BYTES = 10;

/** The body without its content encoding; an encoding that is not known is left alone, as Meilisearch does. */
export function decodedBody(source: Pick<BodySource, "stream" | "contentEncoding">): Readable {
  const { stream } = source;
  const decoder = bodyDecoder(source.contentEncoding);
  if (decoder === undefined) return stream;
  let received = 0;
  stream.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  // A body that ends within the header of gzip has broken off, whatever it holds: Meilisearch sees no more of it.
  decoder.once("error", (error) => {
    if (decoder instanceof Gunzip && received < GZIP_HEADER_BYTES)
      Object.assign(error, { code: "Z_BUF_ERROR" });
  });
  stream.pipe(decoder, { end: false });
  stream.once("end", () => endDecoder(decoder, received));
  stream.once("error", (error) => decoder.destroy(error));
  stream.once("close", () => {
    if (!stream.readableEnded) decoder.destroy(new Error("the connection was closed"));
  });
  // The rest of the request is read and dropped: destroying it would take the answer's connection along.
  decoder.once("error", () => {
    stream.unpipe(decoder);
    stream.resume();
  });
  return decoder;
}

function collect(
  stream: Readable,
  limit: number,
  tooLarge: () => MeilisearchError,
  encoding: string | undefined,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let settled = false;
    // Errors are made where there is one: the stream closes after every body.
    const fail = (why: () => MeilisearchError) => {
      if (settled) return;
      settled = true;
      chunks.length = 0;
      // What is still to come is read and dropped, so that the client gets to see the answer.
      stream.resume();
      reject(why());
    };
    stream.on("data", (chunk: Buffer) => {
      if (settled) return;
      size += chunk.length;
      if (size > limit) {
        fail(tooLarge);
        return;
      }
      chunks.push(chunk);
    });
    stream.on("end", () => {
      if (settled) return;
      settled = true;
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size));
    });
    stream.on("error", (cause: Error) => fail(() => unreadableBody(cause, encoding)));
    stream.on("close", () => fail(() => unreadableBody(new Error("the connection was closed"), encoding)));
  });
}

/** What Meilisearch's decoders find wrong with a stream that zlib refused with this code, as Rust prints the error. */
function streamFault(code: unknown, encoding: string | undefined): string | undefined {
  const invalidInput = (what: string): string => `Custom { kind: InvalidInput, error: "${what}" }`;
  if (encoding === "br" && code !== "Z_BUF_ERROR")
    return 'Custom { kind: InvalidData, error: "Invalid Data" }';
  if (code === "Z_DATA_ERROR")
    return invalidInput(encoding === "deflate" ? "corrupt deflate stream" : "invalid gzip header");
  // The stream broke off.
  return code === "Z_BUF_ERROR" && encoding === "gzip"
    ? invalidInput("corrupt gzip stream does not have a matching checksum")
    : undefined;
}

/** 400 for a body that could not be read to its end. */
function unreadableBody(cause: Error, encoding: string | undefined): MeilisearchError {
  const fault = "code" in cause ? streamFault(cause.code, encoding?.trim().toLowerCase()) : undefined;
  const reason = fault ?? cause.message;
  return apiError(
    400,
    "bad_request",
    `Error that occur during reading payload: payload reached EOF before completing: Some(${reason})`,
    "invalid_request",
    { cause },
  );
}
