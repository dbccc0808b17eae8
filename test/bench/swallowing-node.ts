import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";

/** What a node has been sent, as `GET /swallowed` tells it. */
export interface Swallowed {
  readonly bytes: number;
  readonly documents: number;
}

const LINE_FEED = 0x0a;
const ADDITION = /^\/indexes\/[^/]+\/documents\?/;

/**
 * Stands in front of the node at `target`: everything passes, but of added documents (NDJSON) only the first. The rest is counted and
 * dropped as it comes, so that a node takes in whatever it is sent at next to no cost in time and memory.
 *
 * @returns its URL
 */
export async function startSwallowingNode(target: string): Promise<string> {
  const swallowed = { bytes: 0, documents: 0 };
  const server = createServer((incoming, outgoing) => {
    if (incoming.url === "/swallowed") {
      outgoing.end(JSON.stringify(swallowed));
      return;
    }
    const isAddition = incoming.method !== "GET" && ADDITION.test(incoming.url ?? "");
    const body = isAddition ? firstLine(incoming, swallowed) : whole(incoming);
    body
      .then((bytes) => pass(target, incoming, bytes, outgoing))
      .catch(() => {
        outgoing.destroy();
      });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function whole(body: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function firstLine(
  body: IncomingMessage,
  count: { bytes: number; documents: number },
): Promise<Buffer> {
  const parts: Buffer[] = [];
  let isWhole = false;
  for await (const part of body) {
    const chunk = part as Buffer;
    count.bytes += chunk.length;
    let feed = chunk.indexOf(LINE_FEED);
    if (!isWhole) parts.push(feed === -1 ? chunk : Buffer.from(chunk.subarray(0, feed)));
    isWhole ||= feed !== -1;
    for (; feed !== -1; feed = chunk.indexOf(LINE_FEED, feed + 1)) count.documents++;
  }
  return Buffer.concat(parts);
}

async function pass(
  target: string,
  incoming: IncomingMessage,
  body: Buffer,
  outgoing: ServerResponse,
): Promise<void> {
  const { authorization } = incoming.headers;
  const contentType = incoming.headers["content-type"];
  const answer = await request(`${target}${incoming.url ?? "/"}`, {
    method: (incoming.method ?? "GET") as "GET",
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(contentType === undefined ? {} : { "content-type": contentType }),
    },
    body: body.length === 0 ? null : body,
  });
  const content = Buffer.from(await answer.body.arrayBuffer());
  const type = answer.headers["content-type"];
  outgoing
    .writeHead(answer.statusCode, typeof type === "string" ? { "content-type": type } : {})
    .end(content);
}
