import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { Dispatcher } from "undici";

const DECODERS: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  br: brotliDecompressSync,
  gzip: gunzipSync,
  deflate: inflateSync,
};

/** The text of an answer's body, whatever it was compressed with. */
export async function plainBody({ headers, body }: Dispatcher.ResponseData): Promise<string> {
  const sent = Buffer.from(await body.arrayBuffer());
  const decode = DECODERS[String(headers["content-encoding"])];
  return (decode === undefined ? sent : decode(sent)).toString();
}
