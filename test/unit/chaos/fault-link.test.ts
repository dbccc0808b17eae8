import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FaultLink, startFaultLink } from "../../chaos-harness/fault-link.js";

/** Answers every chunk with the same bytes, and keeps what it got. */
const server = createServer((socket) => {
  socket.on("data", (chunk) => {
    received.push(chunk.toString());
    socket.write(chunk);
  });
  socket.on("error", () => undefined);
});
const received: string[] = [];
let link: FaultLink;
let sockets: Socket[] = [];

beforeEach(async () => {
  received.length = 0;
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  link = await startFaultLink("test", (server.address() as AddressInfo).port);
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await link.close();
});

async function open(): Promise<Socket> {
  const socket = connect(link.port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function say(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString();
}

const closed = (socket: Socket): Promise<void> => until(() => socket.closed);

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe("a link between two processes", () => {
  it("carries bytes both ways", async () => {
    expect(await say(await open(), "hello")).toBe("hello");
  });

  it("breaks what is open and what comes while it drops", async () => {
    const before = await open();
    await say(before, "a");
    link.suffer({ kind: "drop" });
    await closed(before);
    const during = connect(link.port, "127.0.0.1").on("error", () => undefined);
    await closed(during);
    link.suffer(undefined);
    expect(await say(await open(), "b")).toBe("b");
  });

  it("lets a request through and no reply when the reply's way is cut, and breaks the connection when healed", async () => {
    const socket = await open();
    link.suffer({ kind: "cut", direction: "reply" });
    socket.write("executed");
    await until(() => received.includes("executed"));
    expect(socket.bytesRead).toBe(0);
    link.suffer(undefined);
    await closed(socket);
    expect(socket.bytesRead).toBe(0);
  });

  it("swallows everything while half-open", async () => {
    const socket = await open();
    link.suffer({ kind: "half-open" });
    socket.write("gone");
    await new Promise((resolve) => setTimeout(resolve, 50));
    link.suffer(undefined);
    await closed(socket);
    expect(await say(await open(), "after")).toBe("after");
    expect(received).toEqual(["after"]);
  });

  it("breaks the connection of every second reply, once the request was executed", async () => {
    link.suffer({ kind: "reset", every: 2 });
    expect(await say(await open(), "first")).toBe("first");
    const second = await open();
    second.write("second");
    await closed(second);
    expect(second.bytesRead).toBe(0);
    expect(received).toEqual(["first", "second"]);
  });

  it("delivers late, in order", async () => {
    const socket = await open();
    link.suffer({ kind: "delay", delayMs: 60 });
    const began = performance.now();
    socket.write("one");
    let got = "";
    socket.on("data", (chunk) => {
      got += chunk.toString();
    });
    await until(() => received.length === 1);
    link.suffer(undefined);
    socket.write("two");
    await until(() => got === "onetwo");
    // The echo may pass once nothing is delayed any more; a timer may be early by a fraction of a millisecond.
    expect(performance.now() - began).toBeGreaterThanOrEqual(59);
  });
});
