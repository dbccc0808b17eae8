import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { request } from "undici";

const HEAD_END = Buffer.from("\r\n\r\n");
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const AUTHORIZATION = /\r\nauthorization: *([^\r]*)/i;
const CONTENT_TYPE = /\r\ncontent-type: *([^\r]*)/i;
const SEARCH = /^POST \/indexes\/([^/ ]+)\/search /;
const INDEX_CHANGE = /^(?:POST|PUT|PATCH|DELETE) \/indexes\/([^/ ]+)/;

/** Answers by index, and by the bytes of the search. */
type KnownAnswers = Map<string, Map<string, Buffer>>;

/** A server in front of a node that gives answers to searches it has seen before from memory. */
export interface FixedAnswers {
  readonly url: string;
  close(): void;
}

/**
 * Stands in front of the node at `target`: everything passes, but a search that was asked before, byte by byte, is answered with the bytes
 * that the node gave then, at the cost of little more than the system calls. So a node's own work is no part of a measurement, and
 * whatever it is asked it answers truly. A request to change an index makes it forget the answers of that index.
 */
export async function startFixedAnswers(target: string): Promise<FixedAnswers> {
  const known: KnownAnswers = new Map();
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    serve(socket, target, known);
  });
  await listen(server);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
}

function serve(socket: Socket, target: string, known: KnownAnswers): void {
  let received: Buffer = Buffer.alloc(0);
  let isAnswering = false;
  const next = (): void => {
    while (!isAnswering) {
      const headEnd = received.indexOf(HEAD_END);
      if (headEnd === -1) return;
      const head = received.toString("latin1", 0, headEnd);
      const start = headEnd + HEAD_END.length;
      const end = start + Number(LENGTH.exec(head)?.[1] ?? 0);
      if (received.length < end) return;
      const body = received.subarray(start, end);
      received = received.subarray(end);
      const searched = SEARCH.exec(head)?.[1];
      const key = searched === undefined ? "" : body.toString("latin1");
      const answer = searched === undefined ? undefined : known.get(searched)?.get(key);
      if (answer !== undefined) {
        socket.write(answer);
        continue;
      }
      if (searched === undefined) known.delete(INDEX_CHANGE.exec(head)?.[1] ?? "");
      isAnswering = true;
      ask(target, head, body)
        .then(
          ({ status, bytes }) => {
            if (searched !== undefined && status === 200) remember(known, searched, key, bytes);
            socket.write(bytes);
          },
          () => socket.destroy(),
        )
        .finally(() => {
          isAnswering = false;
          next();
        });
    }
  };
  socket.on("data", (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    next();
  });
}

function remember(known: KnownAnswers, index: string, key: string, answer: Buffer): void {
  const answers = known.get(index) ?? new Map<string, Buffer>();
  known.set(index, answers);
  answers.set(key, answer);
}

async function ask(
  target: string,
  head: string,
  body: Buffer,
): Promise<{ readonly status: number; readonly bytes: Buffer }> {
  const [method = "GET", path = "/"] = head.split(" ", 2);
  const headers: Record<string, string> = {};
  const authorization = AUTHORIZATION.exec(head)?.[1];
  const contentType = CONTENT_TYPE.exec(head)?.[1];
  if (authorization !== undefined) headers.authorization = authorization;
  if (contentType !== undefined) headers["content-type"] = contentType;
  const answer = await request(target + path, {
    method: method as "GET",
    headers,
    body: body.length === 0 ? null : body,
  });
  const content = Buffer.from(await answer.body.arrayBuffer());
  const type = answer.headers["content-type"];
  const lines = [
    `HTTP/1.1 ${answer.statusCode} OK`,
    ...(typeof type === "string" ? [`content-type: ${type}`] : []),
    `content-length: ${content.length}`,
  ];
  return {
    status: answer.statusCode,
    bytes: Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), content]),
  };
}
