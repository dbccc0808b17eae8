import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  GetTaskResponseSchema,
  ListTasksResponseSchema,
  TaskSchema,
} from "../../../src/gen/miroir/v1/tasks_pb.js";
import { ControlRefusedError, ControlUnavailableError } from "../../../src/proxy/control-transport.js";
import { TaskLookups } from "../../../src/proxy/read/task-lookups.js";
import { createSharedAbort } from "../../../src/runtime/abort.js";

const never = createSharedAbort().signal;

/** A control plane that has some tasks and answers one call after the other, each when it is told to. */
function heldControl(known: readonly bigint[]) {
  const calls: { readonly uids: readonly bigint[]; answer(): void; fail(error: Error): void }[] = [];
  const call = <T>(uids: readonly bigint[], result: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const answer = (): void => {
        try {
          resolve(result());
        } catch (error) {
          reject(error);
        }
      };
      calls.push({ uids, answer, fail: reject });
    });
  const task = (uid: bigint) => create(TaskSchema, { uid });
  const lookups = new TaskLookups({
    getTask: ({ uid = 0n }) =>
      call([uid], () => {
        if (!known.includes(uid)) throw new ControlRefusedError("not_found", "no such task");
        return create(GetTaskResponseSchema, { task: task(uid) });
      }),
    listTasks: ({ uids = [] }) =>
      call(uids, () =>
        create(ListTasksResponseSchema, { tasks: uids.filter((uid) => known.includes(uid)).map(task) }),
      ),
  });
  return { lookups, calls };
}

/** Resolves once everything that is due has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("lookups of single tasks", () => {
  it("share a call among those who come while two are under way, and join none that was sent before", async () => {
    const { lookups, calls } = heldControl([1n, 2n, 3n, 4n]);
    const found = [1n, 2n, 3n, 4n, 3n].map((uid) => lookups.find(uid, never));
    expect(calls.map(({ uids }) => uids)).toEqual([[1n], [2n]]);
    calls[1]?.answer();
    await settled();
    expect(calls.map(({ uids }) => uids)).toEqual([[1n], [2n], [3n, 4n]]);
    const late = lookups.find(3n, never);
    calls[0]?.answer();
    await settled();
    expect(calls.map(({ uids }) => uids)).toEqual([[1n], [2n], [3n, 4n], [3n]]);
    for (const { answer } of calls) answer();
    expect((await Promise.all([...found, late])).map((task) => task?.uid)).toEqual([1n, 2n, 3n, 4n, 3n, 3n]);
  });

  it("ask once more, by itself, for a task that a list does not have, and find nothing where there is none", async () => {
    const { lookups, calls } = heldControl([1n, 2n, 4n]);
    const found = [1n, 2n, 3n, 4n].map((uid) => lookups.find(uid, never));
    for (let at = 0; at < 4; at++) {
      calls[at]?.answer();
      await settled();
    }
    expect(calls.map(({ uids }) => uids)).toEqual([[1n], [2n], [3n, 4n], [3n]]);
    expect((await Promise.all(found)).map((task) => task?.uid)).toEqual([1n, 2n, undefined, 4n]);
  });

  it("take at most 100 tasks into a call", async () => {
    const uids = Array.from({ length: 252 }, (_, at) => BigInt(at));
    const { lookups, calls } = heldControl(uids);
    const found = uids.map((uid) => lookups.find(uid, never));
    for (let at = 0; at < calls.length; at++) {
      calls[at]?.answer();
      await settled();
    }
    expect(calls.map((call) => call.uids.length)).toEqual([1, 1, 100, 100, 50]);
    expect((await Promise.all(found)).map((task) => task?.uid)).toEqual(uids);
  });

  it("fail together where their call fails, and the next ones are asked for anew", async () => {
    const { lookups, calls } = heldControl([1n, 2n, 3n, 4n]);
    const found = [1n, 2n, 3n, 4n].map((uid) => lookups.find(uid, never).catch((error: unknown) => error));
    calls[0]?.answer();
    await settled();
    const away = new ControlUnavailableError("away");
    calls[2]?.fail(away);
    calls[1]?.answer();
    expect((await Promise.all(found)).slice(2)).toEqual([away, away]);
    const again = lookups.find(3n, never);
    calls.at(-1)?.answer();
    expect((await again)?.uid).toBe(3n);
  });

  it("end for whoever gives up, and nobody else", async () => {
    const { lookups, calls } = heldControl([1n, 2n, 3n, 4n]);
    const underWay = new AbortController();
    const queued = new AbortController();
    const [first, second, third, fourth] = [
      lookups.find(1n, underWay.signal),
      lookups.find(2n, never),
      lookups.find(3n, queued.signal),
      lookups.find(4n, never),
    ];
    underWay.abort(new Error("gone"));
    queued.abort(new Error("gone too"));
    await expect(first).rejects.toThrow("gone");
    await expect(third).rejects.toThrow("gone too");
    await expect(lookups.find(2n, queued.signal)).rejects.toThrow("gone too");
    for (let at = 0; at < calls.length; at++) {
      calls[at]?.answer();
      await settled();
    }
    expect(calls.map(({ uids }) => uids)).toEqual([[1n], [2n], [4n]]);
    expect((await second)?.uid).toBe(2n);
    expect((await fourth)?.uid).toBe(4n);
  });
});
