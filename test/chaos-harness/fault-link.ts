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
    /** When the last of what is on its way arrives; what follows never overtakes it. */
    let busyUntil = 0;
    const later = (delayMs: number, action: () => void): void => {
      const now = performance.now();
      busyUntil = Math.max(busyUntil, now) + delayMs;
      if (busyUntil <= now) action();
      else setTimeout(action, busyUntil - now);
    };
    from.on("data", (chunk) => {
      const present = fault();
      if (breaks()) {
        this.break();
      } else if (swallows(present, direction)) {
        this.lostBytes = true;
      } else {
        const delayMs = lateness(present, chunk.length, performance.now(), busyUntil);
        later(delayMs, () => {
          if (to.writable) to.write(chunk);
        });
      }
    });
    from.on("error", () => undefined);
    from.on("close", () => {
      if (swallows(fault(), direction)) this.lostBytes = true;
      else later(0, () => this.break());
    });
  }
}

function swallows(fault: LinkFault | undefined, direction: LinkDirection): boolean {
  return fault?.kind === "half-open" || (fault?.kind === "cut" && fault.direction === direction);
}

/** How much later than everything before it a chunk arrives, in milliseconds. */
function lateness(fault: LinkFault | undefined, bytes: number, now: number, busyUntil: number): number {
  switch (fault?.kind) {
    case "delay":
      // A late link is not a narrow one: chunks that follow each other stay as close as they were.
      return Math.max(0, now + fault.delayMs - Math.max(now, busyUntil));
    case "slow":
      return (bytes / fault.bytesPerSecond) * 1_000;
    default:
      return 0;
  }
}
