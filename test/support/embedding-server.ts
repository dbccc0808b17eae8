import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What the embedding server was sent. */
export interface EmbeddingRequest {
  readonly authorization: string | undefined;
  readonly inputs: readonly string[];
}

/** A small embedding service on loopback, as Meilisearch's `rest` embedder asks one. */
export interface EmbeddingServer {
  readonly url: string;
  readonly requests: readonly EmbeddingRequest[];
  stop(): Promise<void>;
}

/** Numbers in each embedding. */
export const EMBEDDING_DIMENSIONS = 16;

/**
 * Starts a server that takes `{"input": [text, …]}` and answers `{"data": [vector, …]}`. The same text has the same vector on every
 * run; texts that share words have similar ones.
 */
export async function startEmbeddingServer(): Promise<EmbeddingServer> {
  const requests: EmbeddingRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { input } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly input: string[] };
      requests.push({ authorization: request.headers.authorization, inputs: input });
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ data: input.map(embed) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/embed`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** The vector of a text: the sum of its words' vectors, in which every number follows from the letters. */
export function embed(text: string): number[] {
  const vector = new Array<number>(EMBEDDING_DIMENSIONS).fill(0.01);
  for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? []) {
    let state = 7;
    for (const letter of word) state = (state * 31 + letter.charCodeAt(0)) % 1_000_003;
    for (let at = 0; at < EMBEDDING_DIMENSIONS; at++) {
      state = (state * 48_271) % 2_147_483_647;
      vector[at] = (vector[at] ?? 0) + (state % 1_000) / 1_000;
    }
  }
  return vector;
}
