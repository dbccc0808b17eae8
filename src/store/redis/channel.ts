import type { Clock, Timers } from "../../runtime/world.js";
import type { RedisClient } from "./client.js";
import { DeadlineError, isRefusedLogin } from "./redis-errors.js";

/** What a channel needs beside its client. */
export interface ChannelOptions {
  readonly clock: Pick<Clock, "monotonic">;
  readonly timers: Timers;
  /** Milliseconds of silence after which a connection on which a call was not answered in time is given up. */
  readonly silenceMs: number;
}

/** Milliseconds before a client that gave up connecting is started again. */
const restartMs = 500;
/** Milliseconds that closing waits for answers. */
const farewellMs = 1_000;

/**
 * A client and what is known of its connection: whether it is the same one as before, when the server was last heard,
 * and why there is none. A connection on which nothing is heard for too long is cut, so that the next one can reach a
 * server that still answers.
 */
export class Channel {
  readonly client: RedisClient;
  readonly #options: ChannelOptions;
  #epoch = 0;
  #heardAt = Number.NEGATIVE_INFINITY;
  #failure: Error | undefined;
  #closed = false;
  readonly #closing = new Set<() => void>();

  constructor(client: RedisClient, options: ChannelOptions) {
    this.client = client;
    this.#options = options;
    client.on("connect", () => {
      this.#epoch++;
      this.heard();
    });
    client.on("ready", () => {
      this.#failure = undefined;
    });
    client.on("error", (error: Error) => {
      this.#failure = error;
    });
    client.on("end", () => {
      if (!this.#closed) options.timers.after(restartMs, () => this.#connect());
    });
    this.#connect();
  }

  /** Grows with every connection: what two commands met under one number went over one connection. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Why there is no connection, where that is known. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Notes that the server has answered. */
  heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
  }

  /**
   * Resolves when commands can be sent, or the channel is closed. Rejects with `DeadlineError` where that is not so
   * before `until`, or with the server's refusal of the credentials as soon as it refuses them.
   */
  async ready(until: number): Promise<void> {
    const { client } = this;
    while (client.status !== "ready" && !this.#closed) {
      let stop = (): void => undefined;
      const turn = new Promise<void>((resolve, reject) => {
        const onReady = (): void => resolve();
        const onError = (error: Error): void => {
          if (isRefusedLogin(error)) reject(error);
        };
        client.once("ready", onReady);
        client.on("error", onError);
        this.#closing.add(onReady);
        stop = () => {
          client.off("ready", onReady);
          client.off("error", onError);
          this.#closing.delete(onReady);
        };
      });
      try {
        await this.beforeDeadline(until, turn);
      } finally {
        stop();
      }
    }
  }

  /** Settles as `work` does, or rejects with `DeadlineError` at `until`. */
  beforeDeadline<T>(until: number, work: Promise<T>): Promise<T> {
    const { clock, timers } = this.#options;
    return new Promise<T>((resolve, reject) => {
      const timer = timers.after(Math.max(0, until - clock.monotonic()), () => {
        reject(new DeadlineError("no answer before the deadline"));
        this.#cutIfSilent();
      });
      work.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  /** Waits a moment for answers under way, then cuts the connection for good. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const wake of this.#closing) wake();
    if (this.client.status === "ready") {
      const until = this.#options.clock.monotonic() + farewellMs;
      // Whether the server says goodbye changes nothing.
      await this.beforeDeadline(until, this.client.quit()).catch(() => undefined);
    }
    this.client.disconnect();
  }

  #connect(): void {
    if (this.#closed) return;
    // The client says the same as an event.
    this.client.connect().catch(() => undefined);
  }

  /** A server that stopped, or a network that swallows everything, shows itself by silence only. */
  #cutIfSilent(): void {
    const { status } = this.client;
    const silence = this.#options.clock.monotonic() - this.#heardAt;
    const open = status === "ready" || status === "connect";
    if (open && !this.#closed && silence >= this.#options.silenceMs) this.client.disconnect(true);
  }
}
