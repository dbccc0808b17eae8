import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP relay in front of a node, which can be made to swallow everything while its sockets stay open. */
export interface Relay {
  /** Base URL of the relay. */
  readonly url: string;
  /** From now on nothing passes in either direction, and no socket is closed: a half-open connection. */
  stall(): void;
  /** Everything passes again; what was swallowed is lost, so open connections are broken. */
  heal(): void;
  /** From now on what servers say takes so many milliseconds more. */
  delayReplies(ms: number): void;
  /** Connections that are open now carry nothing more and stay open; new ones pass. */
  freezeOpen(): void;
  /**
   * Breaks the connection on which the next bytes come in that direction, both its ends at once, after that many of
   * them have passed. Resolves when it has.
   */
  cutNext(direction: "request" | "reply", afterBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts a relay to the server at `targetUrl`. */
export async function startRelay(targetUrl: string): Promise<Relay> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let stalled = false;
  let replyDelayMs = 0;
  let cut: { direction: "request" | "reply"; afterBytes: number; done: () => void } | undefined;
  const frozen = new WeakSet<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [direction, from, to] of [
      ["request", client, upstream],
      ["reply", upstream, client],
    ] as const) {
      sockets.add(from);
      let freeAt = 0;
      const pass = (chunk: Buffer): void => {
        const now = performance.now();
        // What comes behind something that waits must not overtake it.
        freeAt = Math.max(freeAt, now + (direction === "reply" ? replyDelayMs : 0));
        if (freeAt <= now) to.write(chunk);
        else setTimeout(() => to.write(chunk), freeAt - now);
      };
      from.on("data", (chunk) => {
        if (stalled || frozen.has(from)) return;
        if (cut?.direction !== direction) {
          pass(chunk);
          return;
        }
        const { afterBytes, done } = cut;
        cut = undefined;
        const end = (): void => {
          from.destroy();
          to.destroy();
          done();
        };
        if (afterBytes === 0) end();
        else to.write(chunk.subarray(0, afterBytes), end);
      });
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (!stalled && !frozen.has(from)) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${port}`,
    stall: () => {
      stalled = true;
    },
    heal: () => {
      stalled = false;
      destroyAll();
    },
    delayReplies: (ms) => {
      replyDelayMs = ms;
    },
    freezeOpen: () => {
      for (const socket of sockets) frozen.add(socket);
    },
    cutNext: (direction, afterBytes) =>
      new Promise((resolve) => {
        cut = { direction, afterBytes, done: resolve };
      }),
    close: () => {
      destroyAll();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
