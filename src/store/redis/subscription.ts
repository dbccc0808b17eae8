import type { Redis } from "ioredis";
import type { Timer, Timers } from "../../runtime/world.js";

/** What to listen to. */
export interface SubscriptionOptions {
  /** A client that the subscription takes for itself, not connected yet; it connects again by itself. */
  readonly client: Redis;
  readonly channel: string;
  readonly timers: Timers;
  readonly onMessage: (message: string) => void;
  /** Called every time that the server has begun to send: what was published before may be missing. */
  readonly onListening: () => void;
}

/** Milliseconds between two questions whether the server is still there, and for the answer. */
const pingMs = 1_000;
const answerMs = 3_000;
/** Milliseconds before a client that gave up connecting is started again, and a refused subscription is asked for again. */
const restartMs = 500;

/**
 * Listens to one channel, again after every lost connection. A connection on which the server no longer answers is
 * cut, so that silence never passes for peace.
 */
export class Subscription {
  readonly #options: SubscriptionOptions;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    const { client, channel, timers, onMessage } = options;
    client.on("message", (from: string, message: string) => {
      if (from === channel && !this.#stopped) onMessage(message);
    });
    client.on("connect", () => {
      const silent = timers.after(answerMs, () => {
        if (client.status === "connect" && !this.#stopped) client.disconnect(true);
      });
      client.once("ready", () => silent.cancel());
    });
    client.on("ready", () => this.#subscribe());
    client.on("end", () => {
      if (!this.#stopped) timers.after(restartMs, () => this.#connect());
    });
    this.#connect();
  }

  /** Ends it at once; no message is passed on afterwards. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#options.client.disconnect();
  }

  #connect(): void {
    // A failure is followed by another attempt, or by the client's end.
    if (!this.#stopped) this.#options.client.connect().catch(() => undefined);
  }

  #subscribe(): void {
    const { client, channel, onListening } = this.#options;
    this.#answered(client.subscribe(channel), () => {
      onListening();
      this.#pingLater();
    });
  }

  #pingLater(): void {
    const { client, timers } = this.#options;
    this.#timer?.cancel();
    this.#timer = timers.after(pingMs, () => {
      if (client.status === "ready") this.#answered(client.ping(), () => this.#pingLater());
    });
  }

  /** Goes on with the answer; cuts the connection where none comes. A new one begins with `#subscribe`. */
  #answered(question: Promise<unknown>, goOn: () => void): void {
    const { client, timers } = this.#options;
    const timer = timers.after(answerMs, () => {
      if (!this.#stopped) client.disconnect(true);
    });
    question.then(
      () => {
        timer.cancel();
        if (!this.#stopped) goOn();
      },
      () => {
        timer.cancel();
        // A lost connection is made again by the client. What the server refuses, it may allow later.
        if (client.status === "ready" && !this.#stopped) this.#subscribeLater();
      },
    );
  }

  #subscribeLater(): void {
    const { client, timers } = this.#options;
    this.#timer?.cancel();
    this.#timer = timers.after(restartMs, () => {
      if (client.status === "ready") this.#subscribe();
    });
  }
}
