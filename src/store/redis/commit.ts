import { ConflictError, FencedError, InvalidArgumentError, StoreUnavailableError } from "../errors.js";
import type { FencingToken } from "../task-store.js";
import type { RedisConnection } from "./connection.js";
import type { Keyspace } from "./keyspace.js";

/** Attempts after which a change that others keep overtaking is given up. */
const maxAttempts = 50;
/** Arguments of one command: Lua's stack bounds them. */
const maxArguments = 4_000;

/** Something that a commit was computed from has changed meanwhile. */
export class CommitConflict extends Error {
  override readonly name = "CommitConflict";
}

/**
 * A set of checks and writes that a server applies in one step: all of it, or nothing where a check does not hold.
 * What a change is computed from is read first and checked here, so that the computing is done in TypeScript, by
 * the same code for every backend.
 */
export class Commit {
  readonly #keys: string[] = [];
  readonly #indexOf = new Map<string, number>();
  readonly #checks: (string | number | Buffer)[] = [];
  readonly #writes: (string | number | Buffer)[] = [];
  #checkCount = 0;

  /**
   * Under a fence, `leaseKey` is the lease's key. `script` applies it: `commit`, or one that takes the same
   * arguments and knows more writes.
   */
  constructor(
    readonly fence?: { readonly token: FencingToken; readonly leaseKey: string },
    readonly script = "commit",
  ) {
    if (fence !== undefined) this.#key(fence.leaseKey);
  }

  /** Nothing would be written. */
  get isEmpty(): boolean {
    return this.#writes.length === 0;
  }

  /** Expects a hash's field to have this value; undefined: not to exist. */
  expectField(key: string, field: string, value: string | undefined): this {
    this.#checks.push(this.#key(key), field, value === undefined ? "-" : `=${value}`);
    this.#checkCount++;
    return this;
  }

  /** Expects a key not to exist. */
  expectAbsent(key: string): this {
    this.#checks.push(this.#key(key), "", "-");
    this.#checkCount++;
    return this;
  }

  /** Sets fields of a hash. */
  hset(key: string, fields: Readonly<Record<string, string | number | Buffer>>): this {
    return this.write("HSET", key, Object.entries(fields).flat());
  }

  /** Deletes fields of a hash. */
  hdel(key: string, ...fields: readonly string[]): this {
    return this.write("HDEL", key, fields);
  }

  /** Adds to a number in a hash. */
  hincrby(key: string, field: string, by: number): this {
    return this.#write("HINCRBY", key, field, by);
  }

  /** Puts a member into a sorted set. */
  zadd(key: string, score: number, member: string | number): this {
    return this.#write("ZADD", key, score, member);
  }

  /** Takes members out of a sorted set. */
  zrem(key: string, ...members: readonly (string | number)[]): this {
    return this.write("ZREM", key, members);
  }

  /** Deletes a key. */
  del(key: string): this {
    return this.#write("DEL", key);
  }

  /** Lets a key end so many milliseconds from now, by the server's clock. */
  pexpire(key: string, ttlMs: number): this {
    return this.#write("PEXPIRE", key, ttlMs);
  }

  /**
   * A write of any name that the script knows. With more than 4,000 arguments it becomes several: it has to mean the
   * same then.
   */
  write(command: string, key: string, args: readonly (string | number | Buffer)[]): this {
    for (let i = 0; i < args.length; i += maxArguments) {
      this.#write(command, key, ...args.slice(i, i + maxArguments));
    }
    return this;
  }

  /** Sends it. Rejects with `FencedError` or {@link CommitConflict}, having changed nothing. */
  async send(connection: RedisConnection, operation: string, mode: "write" | "durable"): Promise<void> {
    const { fence } = this;
    const args = [
      fence === undefined ? "0" : "1",
      fence?.token.holder ?? "",
      fence?.token.term ?? 0,
      this.#checkCount,
      ...this.#checks,
      ...this.#writes,
    ];
    const reply = await connection.run(this.script, this.#keys, args, mode, operation);
    const [result, ...rest] = reply as [string, ...string[]];
    if (result === "fenced" && fence !== undefined) throw fencedError(fence.token, rest);
    if (result === "conflict") throw new CommitConflict(`check ${rest[0]} of "${operation}" did not hold`);
  }

  #write(command: string, key: string, ...args: readonly (string | number | Buffer)[]): this {
    this.#writes.push(command, this.#key(key), args.length);
    for (const arg of args) this.#writes.push(arg);
    return this;
  }

  #key(key: string): number {
    const known = this.#indexOf.get(key);
    if (known !== undefined) return known;
    this.#keys.push(key);
    this.#indexOf.set(key, this.#keys.length);
    return this.#keys.length;
  }
}

/** The error of a script's reply `{'fenced', holder, term}`, its first entry taken off. */
export function fencedError(token: FencingToken, reply: readonly unknown[]): FencedError {
  const [holder, term] = reply;
  return new FencedError(token.scope, token.holder, token.term, {
    holder: typeof holder === "string" && holder !== "" ? holder : null,
    term: Number(term),
  });
}

/** What tables of one store share. */
export interface RedisBackend {
  readonly connection: RedisConnection;
  readonly keys: Keyspace;
  /** The time as scripts take it: '' for the server's own. */
  readonly now: () => string;
}

/** Where the lease of a fence is. */
export function leaseKey(keys: Keyspace, scope: string): string {
  return keys.row("leader_lease", scope);
}

function isRefusal(error: unknown): boolean {
  return error instanceof ConflictError || error instanceof InvalidArgumentError;
}

/**
 * Reads, computes and commits, again where somebody else was faster. `attempt` fills the commit that it is given
 * from what it reads, and returns the call's result; it throws to refuse. Sends nothing where nothing is written and
 * there is no fence; under a fence even an empty change is checked (invariant 3).
 */
export async function transact<T>(
  { connection, keys }: RedisBackend,
  operation: string,
  options: {
    readonly fence?: FencingToken;
    readonly durable?: boolean;
    /** What applies the commit; see {@link Commit}. */
    readonly script?: string;
  },
  attempt: (commit: Commit) => Promise<T>,
): Promise<T> {
  const { fence, durable = false, script } = options;
  for (let attempts = 1; ; attempts++) {
    const commit =
      fence === undefined
        ? new Commit(undefined, script)
        : new Commit({ token: fence, leaseKey: leaseKey(keys, fence.scope) }, script);
    const result = await attempt(commit).catch(async (error: unknown) => {
      // A former leader is told so, whatever else is wrong with what it asks.
      if (fence !== undefined && isRefusal(error)) {
        await new Commit(commit.fence).send(connection, operation, "write");
      }
      throw error;
    });
    try {
      if (!commit.isEmpty || fence !== undefined) {
        await commit.send(connection, operation, durable ? "durable" : "write");
      }
      return result;
    } catch (error) {
      if (!(error instanceof CommitConflict)) throw error;
      if (attempts >= maxAttempts) {
        throw new StoreUnavailableError(
          `Could not ${operation} in ${connection.place}: others changed the same rows ${maxAttempts} times meanwhile. Repeat the call.`,
          "certainly-aborted",
          { cause: error },
        );
      }
    }
  }
}
