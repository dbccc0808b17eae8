import type { Redis } from "ioredis";
import type { Clock, Timers } from "../../runtime/world.js";
import { StoreClosedError, StoreUnavailableError } from "../errors.js";
import type { FaultPoint, StoreFaults } from "../faults.js";
import { describeLocation, type RedisLocation } from "../store-location.js";
import { Channel } from "./channel.js";
import { clientFactory, type RedisClient, type RedisTls } from "./client.js";
import { advice, classify, DeadlineError, toStoreError } from "./redis-errors.js";
import { readScripts, type Script } from "./script-library.js";

export type { RedisClient, RedisTls } from "./client.js";

/** How to reach the server. */
export interface RedisConnectionOptions {
  readonly location: RedisLocation;
  readonly tls?: RedisTls;
  readonly clock: Pick<Clock, "monotonic">;
  readonly timers: Timers;
  /** Milliseconds after which a call is given up; 5,000 unless given. */
  readonly deadlineMs?: number;
  /** For tests only. */
  readonly faults?: StoreFaults;
}

/** What a call is for: reads are repeated after a lost connection, writes never are; `durable` ones wait for replicas. */
export type CallMode = "read" | "write" | "durable";

const firstPauseMs = 20;
const maxPauseMs = 500;
/** The part of the deadline that is kept for the answer. */
const reservedPart = 0.05;
/** Calls under way at once; more are refused. */
const maxCalls = 10_000;

/**
 * A connection to a server, found again after it is lost. Each call has a deadline, within which what the server
 * certainly did not execute is tried again; a write of which that is not known rejects as `maybe-executed`. No command
 * that writes is ever sent a second time after it may have been executed.
 */
export class RedisConnection {
  /** The location without secrets, for messages. */
  readonly place: string;
  readonly #scripts: ReadonlyMap<string, Script>;
  readonly #options: RedisConnectionOptions;
  readonly #deadlineMs: number;
  readonly #createClient: ReturnType<typeof clientFactory>;
  readonly #channel: Channel;
  /** For what waits for replicas, since nothing else passes on a connection that waits. */
  readonly #durable: Channel;
  #calls = 0;
  #closed = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? 5_000;
    this.#scripts = readScripts();
    this.place = describeLocation(options.location);
    this.#createClient = clientFactory(options.location, options.tls, options.timers);
    const open = (): Channel =>
      new Channel(this.#createClient(), { ...options, silenceMs: this.#deadlineMs / 2 });
    this.#channel = open();
    this.#durable = options.location.waitReplicas === 0 ? this.#channel : open();
  }

  /**
   * Runs a script by its hash, or by its source where the server does not know it (restarted, flushed, failed
   * over). `keys` are all in one slot. Replies are as Lua gave them, strings decoded as UTF-8.
   */
  run(
    name: string,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
  ): Promise<unknown> {
    return this.#runScript(name, keys, args, mode, operation, false);
  }

  /** `run`, with strings of the reply as bytes. */
  runForBytes(
    name: string,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
  ): Promise<unknown> {
    return this.#runScript(name, keys, args, mode, operation, true);
  }

  /** Runs plain commands that only read. They may be sent more than once. */
  read<T>(operation: string, body: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.#call(operation, "read", body);
  }

  /**
   * Another client to the same server, for subscriptions: not connected yet, then connected again by itself whenever
   * the connection is lost. What is asked before it is connected waits; who has subscribed subscribes again whenever it
   * is ready. The caller ends it.
   */
  duplicate(): Redis {
    const client = this.#createClient({
      enableOfflineQueue: true,
      maxRetriesPerRequest: null,
      // The client would tell nobody when it is done, nor where the server refuses.
      autoResubscribe: false,
    });
    // Without a listener the client prints its failures; it connects again by itself.
    client.on("error", () => undefined);
    return client;
  }

  /** Ends the connection after the calls under way; calls after it reject with `StoreClosedError`. Twice does nothing. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#channel.close(), this.#durable.close()]);
  }

  #runScript(
    name: string,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
    bytes: boolean,
  ): Promise<unknown> {
    const script = this.#scripts.get(name);
    if (script === undefined) throw new Error(`There is no script ${name}.lua; reinstall Miroir.`);
    const send = async (client: RedisClient, command: "EVALSHA" | "EVAL", text: string): Promise<unknown> => {
      this.#fault("before-send", operation);
      const parameters = [text, keys.length, ...keys, ...args];
      // As one list: so many arguments as a large commit has do not fit onto the stack.
      const sent = bytes ? client.callBuffer(command, parameters) : client.call(command, parameters);
      this.#fault("after-send", operation);
      const reply = await sent;
      this.#fault("after-reply", operation);
      return reply;
    };
    return this.#call(operation, mode, async (client) => {
      try {
        return await send(client, "EVALSHA", script.sha);
      } catch (error) {
        if (classify(error) !== "no-script") throw error;
        return await send(client, "EVAL", script.source);
      }
    });
  }

  async #call<T>(operation: string, mode: CallMode, body: (client: RedisClient) => Promise<T>): Promise<T> {
    if (this.#calls >= maxCalls) {
      throw new StoreUnavailableError(
        `Could not ${operation} in ${this.place}: ${maxCalls} calls are under way. Repeat the call when some have ended.`,
        "certainly-aborted",
      );
    }
    this.#calls++;
    try {
      return await this.#attempts(operation, mode, body);
    } finally {
      this.#calls--;
    }
  }

  async #attempts<T>(
    operation: string,
    mode: CallMode,
    body: (client: RedisClient) => Promise<T>,
  ): Promise<T> {
    const { clock, timers } = this.#options;
    const until = clock.monotonic() + this.#deadlineMs;
    // What is sent too late to be answered ends as maybe executed, for nothing.
    const sendBy = until - this.#deadlineMs * reservedPart;
    const channel = mode === "durable" ? this.#durable : this.#channel;
    for (let attempt = 0; ; attempt++) {
      await this.#ready(channel, operation, sendBy);
      const { epoch } = channel;
      let result: T;
      try {
        result = await channel.beforeDeadline(until, body(channel.client));
        channel.heard();
      } catch (error) {
        if (error instanceof Error && error.name === "ReplyError") channel.heard();
        const kind = classify(error);
        const repeatable = kind === "not-executed" || (mode === "read" && kind === "connection-lost");
        const pause = Math.min(firstPauseMs * 2 ** attempt, maxPauseMs);
        if (!repeatable || clock.monotonic() + pause >= sendBy) {
          throw toStoreError(error, operation, this.place, mode === "read");
        }
        await timers.sleep(pause);
        continue;
      }
      if (mode === "durable") await this.#replicated(channel, epoch, operation, until);
      return result;
    }
  }

  /** Waits until commands can be sent; what waits in vain was certainly not executed. */
  async #ready(channel: Channel, operation: string, until: number): Promise<void> {
    try {
      if (!this.#closed) await channel.ready(until);
    } catch (error) {
      throw new StoreUnavailableError(
        `Could not ${operation} in ${this.place}: ${this.#whyNotReady(channel, error)}`,
        "certainly-aborted",
        { cause: error },
      );
    }
    if (this.#closed) throw new StoreClosedError();
  }

  #whyNotReady(channel: Channel, error: unknown): string {
    if (error instanceof Error && !(error instanceof DeadlineError)) return advice(error);
    if (channel.client.status === "connect") {
      return `the server took the connection and was not ready within ${this.#deadlineMs} ms: it is LOADING its data, or hangs. Repeat the call.`;
    }
    const { failure } = channel;
    return failure === undefined
      ? `no connection within ${this.#deadlineMs} ms. Check that the server runs and is reachable; repeat the call.`
      : advice(failure);
  }

  /**
   * Waits until as many replicas as are configured have what was written. The write itself is done, so that whatever
   * happens here is not a reason to send it again.
   */
  async #replicated(channel: Channel, epoch: number, operation: string, until: number): Promise<void> {
    const { waitReplicas } = this.#options.location;
    if (waitReplicas === 0) return;
    // The server gives up before the deadline, and says how many replicas it has reached.
    const left = until - this.#options.clock.monotonic() - this.#deadlineMs * reservedPart;
    const waitMs = Math.max(1, Math.floor(left));
    let reached: number;
    try {
      reached = await channel.beforeDeadline(until, channel.client.wait(waitReplicas, waitMs));
      channel.heard();
    } catch (error) {
      throw this.#unsure(operation, error instanceof Error ? advice(error) : String(error), error);
    }
    if (channel.epoch !== epoch) {
      // The answer is about what the new connection wrote, which is nothing.
      throw this.#unsure(operation, "the connection was lost before its replicas had it. Read, then repeat.");
    }
    if (reached < waitReplicas) {
      throw this.#unsure(
        operation,
        `${reached} of ${waitReplicas} replicas have it. Check the replicas, or lower wait_replicas.`,
      );
    }
  }

  #unsure(operation: string, why: string, cause?: unknown): StoreUnavailableError {
    return new StoreUnavailableError(
      `Could not ${operation} in ${this.place} for sure: ${why}`,
      "maybe-executed",
      { cause },
    );
  }

  #fault(point: FaultPoint, operation: string): void {
    this.#options.faults?.at(point, operation);
  }
}
