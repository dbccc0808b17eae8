import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP relay in front of a node, which can be made to swallow everything while its sockets stay open. */
export interface Relay {
  /** Base URL of the relay. */
  readonly url: string;
  /** From now on nothing passes in either direction, and no socket is closed: a half-open connection. */
  stall(): void;
  /** Everything passes again; what was swallowed is lost, so open connections are broken. */
  heal(): void;
  close(): Promise<void>;
}

/** Starts a relay to the server at `targetUrl`. */
export async function startRelay(targetUrl: string): Promise<Relay> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let stalled = false;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => {
        if (!stalled) to.write(chunk);
      });
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (!stalled) to.destroy();
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
    close: () => {
      destroyAll();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
