import { ReplyError } from "ioredis";
import { describe, expect, it } from "vitest";
import { advice, classify, DeadlineError, toStoreError } from "../../../src/store/redis/redis-errors.js";
import { ConflictError, StoreCorruptError, StoreUnavailableError } from "../../../src/store/task-store.js";

const reply = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });
const inScript = " script: 1f2e3d4c5b6a79881f2e3d4c5b6a79881f2e3d4c, on @user_script:12.";

describe("errors of Redis", () => {
  it("say whether another try can help, and whether the command may be executed", () => {
    for (const [error, kind, afterRead, afterWrite] of [
      [
        reply("LOADING Redis is loading the dataset in memory"),
        "not-executed",
        "certainly-aborted",
        "certainly-aborted",
      ],
      [
        reply("READONLY You can't write against a read only replica."),
        "not-executed",
        "certainly-aborted",
        "certainly-aborted",
      ],
      [reply("MOVED 5 127.0.0.1:7000"), "not-executed", "certainly-aborted", "certainly-aborted"],
      [reply("CLUSTERDOWN Hash slot not served"), "not-executed", "certainly-aborted", "certainly-aborted"],
      [
        reply("OOM command not allowed when used memory > 'maxmemory'."),
        "final",
        "certainly-aborted",
        "certainly-aborted",
      ],
      [reply("NOSCRIPT No matching script."), "no-script", "certainly-aborted", "certainly-aborted"],
      [reply(`READONLY You can't write.${inScript}`), "final", "certainly-aborted", "maybe-executed"],
      [reply(`ERR user_script:3: bad argument${inScript}`), "final", "certainly-aborted", "maybe-executed"],
      [new Error("Connection is closed."), "connection-lost", "certainly-aborted", "maybe-executed"],
      [new Error("read ECONNRESET"), "connection-lost", "certainly-aborted", "maybe-executed"],
      [new DeadlineError("late"), "final", "certainly-aborted", "maybe-executed"],
      [
        new Error("Stream isn't writeable and enableOfflineQueue options is false"),
        "not-executed",
        "certainly-aborted",
        "certainly-aborted",
      ],
    ] as const) {
      expect(classify(error), error.message).toBe(kind);
      expect(toStoreError(error, "do it", "here", true)).toMatchObject({ outcome: afterRead, cause: error });
      const written = toStoreError(error, "do it", "here", false);
      expect(written, error.message).toBeInstanceOf(StoreUnavailableError);
      expect(written, error.message).toMatchObject({ outcome: afterWrite });
      expect(written.message).toContain("do it in here");
    }
  });

  it("of damage are reported as such: half done where a script met it on its way", () => {
    const text = "WRONGTYPE Operation against a key holding the wrong kind of value";
    const plain = toStoreError(reply(text), "do it", "here", false);
    expect(plain).toBeInstanceOf(StoreCorruptError);
    expect(plain).toMatchObject({ outcome: "certainly-aborted" });
    const half = toStoreError(reply(text + inScript), "do it", "here", false);
    expect(half).toBeInstanceOf(StoreCorruptError);
    expect(half).toMatchObject({ outcome: "maybe-executed" });
  });

  it("pass unchanged where they are the store's own, or the program's", () => {
    for (const error of [
      new ConflictError("other"),
      new TypeError("x is not a function"),
      new RangeError("big"),
    ]) {
      expect(toStoreError(error, "do it", "here", false)).toBe(error);
      expect(classify(error)).toBe("final");
    }
  });

  it("are known by the name that the client gives them", () => {
    expect(new ReplyError("LOADING").name).toBe("ReplyError");
    expect(advice(new AggregateError([new Error("connect ECONNREFUSED ::1:6379")]))).toContain(
      "ECONNREFUSED",
    );
  });
});
