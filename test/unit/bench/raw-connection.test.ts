import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { RawConnection, rawRequest } from "../../bench/raw-connection.js";

let server: Server | undefined;

afterEach(() => {
  server?.close();
  server = undefined;
});

/** A server that answers each request with these pieces, each written once the one before has gone; an empty one closes the connection. */
async function answering(...pieces: readonly string[]): Promise<string> {
  const listening = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => {
      const write = (at: number): void => {
        const piece = pieces[at];
        if (piece === "") socket.destroy();
        else if (piece !== undefined) socket.write(piece, () => setImmediate(() => write(at + 1)));
      };
      write(0);
    });
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}

async function ask(url: string, times = 1): Promise<{ status: number; body: string }[]> {
  const connection = await RawConnection.open(url);
  const answers: { status: number; body: string }[] = [];
  for (let turn = 0; turn < times; turn++) {
    const { status, body } = await connection.send(rawRequest(url, { method: "GET", path: "/" }));
    answers.push({ status, body: body.toString() });
  }
  connection.close();
  return answers;
}

describe("a raw connection", () => {
  it("reads answers of a known length one after the other, however they are cut", async () => {
    const url = await answering("HTTP/1.1 200 OK\r\nContent-Le", "ngth: 5\r\n\r", "\nhe", "llo");
    expect(await ask(url, 2)).toEqual([
      { status: 200, body: "hello" },
      { status: 200, body: "hello" },
    ]);
  });

  it("reads chunked answers, however they are cut", async () => {
    const url = await answering(
      "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
      "c\r\n2\r\nde\r",
      "\n0\r\n\r\n",
    );
    expect(await ask(url)).toEqual([{ status: 404, body: "abcde" }]);
  });

  it("rejects where the server closes in the middle of an answer, and from then on", async () => {
    const url = await answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", "");
    const connection = await RawConnection.open(url);
    const request = rawRequest(url, { method: "GET", path: "/" });
    await expect(connection.send(request)).rejects.toThrow();
    await expect(connection.send(request)).rejects.toThrow();
  });
});
