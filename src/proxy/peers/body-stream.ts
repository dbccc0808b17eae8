import { Readable } from "node:stream";

/**
 * A request's body as a stream. One that breaks off while nobody reads it, because the write waits for its turn or has ended, is no
 * error of the process: whoever reads on is told of it then.
 */
export function bodyStream(parts: AsyncIterable<Uint8Array>): Readable {
  const stream = Readable.from(parts);
  stream.on("error", () => undefined);
  return stream;
}
