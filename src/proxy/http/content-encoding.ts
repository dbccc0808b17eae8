import { pipeline, type Readable, type Transform } from "node:stream";
import { promisify } from "node:util";
import {
  brotliCompress,
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  deflate,
  gzip,
} from "node:zlib";
import type { FastifyInstance } from "fastify";

/** What answers can be compressed with: what Meilisearch has, which is built without zstd. */
export type Coding = "br" | "gzip" | "deflate";

/** The fastest, as for Meilisearch; in a stream, everything that was written can be read at once. */
const DEFLATE = { level: constants.Z_BEST_SPEED, flush: constants.Z_SYNC_FLUSH };
const BROTLI = {
  params: { [constants.BROTLI_PARAM_QUALITY]: 1 },
  flush: constants.BROTLI_OPERATION_FLUSH,
};

const WHOLE: Readonly<Record<Coding, (body: Buffer) => Promise<Buffer>>> = {
  br: (body) => promisify(brotliCompress)(body, BROTLI),
  gzip: (body) => promisify(gzip)(body, DEFLATE),
  deflate: (body) => promisify(deflate)(body, DEFLATE),
};

const STREAMED: Readonly<Record<Coding, () => Transform>> = {
  br: () => createBrotliCompress(BROTLI),
  gzip: () => createGzip(DEFLATE),
  deflate: () => createDeflate(DEFLATE),
};

/** The body of the answer to a client that takes no coding there is, nor a plain answer. */
const CODINGS = Object.keys(WHOLE).join(", ");

/** Which of two codings is taken that a client likes equally well. */
const RANKS: ReadonlyMap<string, number> = new Map([
  ["br", 5],
  ["zstd", 4],
  ["gzip", 3],
  ["deflate", 2],
  ["identity", 0],
  ["*", 0],
]);
const RANK_OF_UNKNOWN = 1;

/** A body, compressed in the thread pool; what comes of a stream can be sent as it comes. */
export async function compressed(body: Buffer | Readable, coding: Coding): Promise<Buffer | Readable> {
  if (Buffer.isBuffer(body)) return WHOLE[coding](body);
  // Whoever reads the result sees its errors.
  return pipeline(body, STREAMED[coding](), () => undefined);
}

/**
 * What the answer to a request with this `Accept-Encoding` is compressed with, chosen as Meilisearch does.
 *
 * @returns `unacceptable` where the client takes neither a coding there is nor a plain answer
 */
export function negotiate(acceptEncoding: string): Coding | "identity" | "unacceptable" {
  // A header with other characters counts as none.
  if (/[^\t\x20-\x7e]/.test(acceptEncoding)) return "identity";
  const liked = acceptEncoding
    .split(",")
    .flatMap((text) => preference(text.trim()) ?? [])
    .sort((a, b) => b.quality - a.quality || b.rank - a.rank);
  const best = liked.find(({ coding, quality }) => quality > 0 && isServed(coding));
  if (best !== undefined) return best.coding as Coding | "identity";
  const plain = liked.find(({ coding }) => coding === "identity" || coding === "*");
  return plain === undefined || plain.quality > 0 ? "identity" : "unacceptable";
}

function isServed(coding: string): coding is Coding | "identity" {
  return coding === "identity" || Object.hasOwn(WHOLE, coding);
}

interface Preference {
  readonly coding: string;
  /** Thousandths. */
  readonly quality: number;
  readonly rank: number;
}

/** One member of the list; `undefined` for what counts as absent. */
function preference(text: string): Preference | undefined {
  const mark = text.lastIndexOf(";");
  const attribute = mark === -1 ? undefined : text.slice(mark + 1).trim();
  if (text === "" || (attribute !== undefined && attribute.length < 2)) return undefined;
  // Other attributes are part of the name, which nothing is known by.
  const hasQuality = attribute !== undefined && /^q=/i.test(attribute);
  const quality = hasQuality ? thousandths(attribute.slice(2)) : 1_000;
  if (quality === undefined) return undefined;
  const coding = (hasQuality ? text.slice(0, mark) : text).trim().toLowerCase();
  return { coding, quality, rank: quality === 0 ? 0 : (RANKS.get(coding) ?? RANK_OF_UNKNOWN) };
}

/** A quality of at most five characters in thousandths, the rest cut off; `undefined` for anything else. */
function thousandths(text: string): number | undefined {
  if (text.length > 5 || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return undefined;
  const value = Math.fround(Number(text));
  return value >= 0 && value <= 1 ? Math.trunc(Math.fround(value * 1_000)) : undefined;
}

/** Chooses each answer's coding, and refuses, before anything else is looked at, requests that take none there is. */
export function registerNegotiation(app: FastifyInstance): void {
  app.decorateRequest("coding", undefined);
  app.addHook("onRequest", (request, reply, done) => {
    const asked = request.headers["accept-encoding"];
    const coding = typeof asked === "string" ? negotiate(asked) : "identity";
    if (coding === "unacceptable") {
      reply.hijack();
      reply.raw
        .writeHead(406, {
          vary: "Accept-Encoding",
          "x-request-id": request.id,
          "content-length": CODINGS.length,
        })
        .end(CODINGS);
      return;
    }
    if (coding !== "identity") request.coding = coding;
    done();
  });
}

declare module "fastify" {
  interface FastifyRequest {
    /** What the answer is compressed with, if it has a body; `undefined` for nothing. */
    coding: Coding | undefined;
  }
}
