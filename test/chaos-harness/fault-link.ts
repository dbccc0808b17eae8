import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { LinkDirection, LinkFault } from "./link-fault.js";

/** A TCP relay between two processes of a run, which does to its connections what its fault says. */
export interface FaultLink {
  readonly name: string;
  readonly port: number;
  /** Puts a fault in place of whatever was there; undefined heals. Connections that lost bytes are broken then. */
  suffer(fault: LinkFault | undefined): void;
  close(): Promise<void>;
}

/** Starts a relay on a free port of the loopback interface to another port of it. */
export async function startFaultLink(name: string, targetPort: number): Promise<FaultLink> {
  const link = new Relay(name, targetPort);
  await link.listen();
  return link;
}

class Relay implements FaultLink {
  readonly name: string;
  readonly #targetPort: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  #fault: LinkFault | undefined;
  #replies = 0;

  constructor(name: string, targetPort: number) {
    this.name = name;
    this.#targetPort = targetPort;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
  }

  suffer(fault: LinkFault | undefined): void {
    this.#fault = fault;
    for (const connection of this.#connections) {
      if (connection.lostBytes || fault?.kind === "drop") connection.break();
    }
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.break();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.#fault?.kind === "drop") {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    const connection: Connection = new Connection(
      client,
      connect({ port: this.#targetPort, host: "127.0.0.1", noDelay: true }),
      () => this.#fault,
      () => {
        this.#replies++;
        return this.#fault?.kind === "reset" && this.#replies % this.#fault.every === 0;
      },
      () => this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }
}

/** One connection and its other half. */
class Connection {
  /** Whether a fault has swallowed some of its bytes, so that it can never go on. */
  lostBytes = false;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #onClose: () => void;
  #awaitsReply = false;

  constructor(
    client: Socket,
    server: Socket,
    fault: () => LinkFault | undefined,
    breaksReply: () => boolean,
    onClose: () => void,
  ) {
    this.#client = client;
    this.#server = server;
    this.#onClose = onClose;
    this.#pipe("request", client, server, fault, () => {
      this.#awaitsReply = true;
      return false;
    });
    this.#pipe("reply", server, client, fault, () => {
      const isFirst = this.#awaitsReply;
      this.#awaitsReply = false;
      return isFirst && breaksReply();
    });
  }

  break(): void {
    this.#client.resetAndDestroy();
    this.#server.destroy();
    this.#onClose();
  }

  #pipe(
    direction: LinkDirection,
    from: Socket,
    to: Socket,
    fault: () => LinkFault | undefined,
    breaks: () => boolean,
  ): void {
    const way = new Way();
    from.on("data", (chunk) => {
      const present = fault();
      if (breaks()) {
        this.break();
      } else if (swallows(present, direction)) {
        this.lostBytes = true;
      } else {
        way.send(lateness(present, chunk.length), () => {
          if (to.writable) to.write(chunk);
        });
      }
    });
    from.on("error", () => undefined);
    from.on("close", () => {
      if (swallows(fault(), direction)) this.lostBytes = true;
      else way.send(NOW, () => this.break());
    });
  }
}

function swallows(fault: LinkFault | undefined, direction: LinkDirection): boolean {
  return fault?.kind === "half-open" || (fault?.kind === "cut" && fault.direction === direction);
}

/** When a chunk arrives: so long after it was sent, and so long after the one before it. Milliseconds. */
interface Lateness {
  readonly afterSending: number;
  readonly afterPrevious: number;
}

const NOW: Lateness = { afterSending: 0, afterPrevious: 0 };

function lateness(fault: LinkFault | undefined, bytes: number): Lateness {
  switch (fault?.kind) {
    case "delay":
      return { afterSending: fault.delayMs, afterPrevious: 0 };
    case "slow":
      return { afterSending: 0, afterPrevious: (bytes / fault.bytesPerSecond) * 1_000 };
    default:
      return NOW;
  }
}

/** What is on its way in one direction of a connection; nothing overtakes what was sent before it. */
class Way {
  readonly #queue: { readonly at: number; readonly arrive: () => void }[] = [];
  #busyUntil = 0;
  #timer: NodeJS.Timeout | undefined;

  send({ afterSending, afterPrevious }: Lateness, arrive: () => void): void {
    const now = performance.now();
    this.#busyUntil = Math.max(Math.max(this.#busyUntil, now) + afterPrevious, now + afterSending);
    this.#queue.push({ at: this.#busyUntil, arrive });
    this.#deliver();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const wait = next.at - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#deliver(), Math.ceil(wait));
        return;
      }
      this.#queue.shift();
      next.arrive();
    }
  }
}
