import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** An answer as it came, its body not decoded. */
export interface RawAnswer {
  readonly status: number;
  readonly body: Buffer;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/**
 * A kept-alive HTTP/1.1 connection that costs the caller little more than the system calls, so that a load generator leaves the
 * processor to what it measures. One request at a time.
 */
export class RawConnection {
  readonly #socket: Socket;
  #received: Buffer[] = [];
  #size = 0;
  /** Bytes that must be there before another look is worth it. */
  #needed = 0;
  #failure: Error | undefined;
  #waiting: { resolve(answer: RawAnswer): void; reject(error: Error): void } | undefined;

  /** Connects to the host and port of `url`. */
  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    return new RawConnection(url, socket);
  }

  private constructor(url: string, socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error(`${url} closed the connection`)));
  }

  /** Sends a whole request, head and body, and resolves with the answer; rejects once the connection is gone. */
  send(request: Buffer): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#needed) return;
    const [only] = this.#received;
    const bytes = this.#received.length === 1 && only !== undefined ? only : Buffer.concat(this.#received);
    this.#received = [bytes];
    const answer = this.#parse(bytes);
    if (answer === undefined) return;
    this.#received = [];
    this.#size = 0;
    this.#needed = 0;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }

  #parse(bytes: Buffer): RawAnswer | undefined {
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd === -1) return undefined;
    const head = bytes.toString("latin1", 0, headEnd);
    const status = Number(head.slice(9, 12));
    const start = headEnd + HEAD_END.length;
    if (CHUNKED.test(head)) {
      const body = unchunk(bytes, start);
      return body === undefined ? undefined : { status, body };
    }
    const end = start + Number(LENGTH.exec(head)?.[1] ?? 0);
    if (bytes.length >= end) return { status, body: bytes.subarray(start, end) };
    this.#needed = end;
    return undefined;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

/** The body of a chunked message whose chunks begin at `start`; undefined while some are missing. */
function unchunk(bytes: Buffer, start: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    const end = lineEnd + 2 + size;
    if (bytes.length < end + 2) return undefined;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(bytes.subarray(lineEnd + 2, end));
    at = end + 2;
  }
}

/** The bytes of a request for {@link RawConnection.send}. */
export function rawRequest(
  url: string,
  request: { readonly method: string; readonly path: string; readonly body?: string },
  key?: string,
): Buffer {
  const body = Buffer.from(request.body ?? "");
  const head = [
    `${request.method} ${request.path} HTTP/1.1`,
    `host: ${new URL(url).host}`,
    ...(key === undefined ? [] : [`authorization: Bearer ${key}`]),
    ...(body.length === 0 ? [] : ["content-type: application/json"]),
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}
