import {
  type BrotliDecompress,
  brotliCompressSync,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  deflateSync,
  Gunzip,
  Inflate,
} from "node:zlib";

/** A stream that takes a request body as it was sent and gives it decompressed. */
export type BodyDecoder = BrotliDecompress | Gunzip | Inflate;

/** The decoder for a `Content-Encoding`; undefined for one that is not known, which Meilisearch leaves alone. */
export function bodyDecoder(contentEncoding: string | undefined): BodyDecoder | undefined {
  switch (contentEncoding?.trim().toLowerCase()) {
    case "gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    default:
      return undefined;
  }
}

/**
 * Ends a decoder that got all that was sent. Where that is nothing, Meilisearch takes it for an empty body, but for gzip,
 * which has a header.
 */
export function endDecoder(decoder: BodyDecoder, received: number): void {
  if (received > 0 || decoder instanceof Gunzip) decoder.end();
  else decoder.end(decoder instanceof Inflate ? deflateSync("") : brotliCompressSync(""));
}
