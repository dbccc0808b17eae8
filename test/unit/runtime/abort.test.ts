import { getEventListeners, getMaxListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { allOrStopped, createSharedAbort, linkAbort } from "../../../src/runtime/abort.js";
import { createSystemWorld } from "../../../src/runtime/world.js";

describe("a shared abort", () => {
  it("has any number of listeners, and none of those whose work is done", async () => {
    const { signal } = createSharedAbort();
    const { timers } = createSystemWorld();
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    const sleeps = Array.from({ length: 100 }, () => timers.sleep(1, signal));
    expect(getMaxListeners(signal)).toBe(Number.POSITIVE_INFINITY);
    expect(getEventListeners(signal, "abort")).toHaveLength(100);
    await Promise.all(sleeps);
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });
});

describe("a linked abort", () => {
  it.each([0, 1])("aborts with signal %i, for its reason", (which) => {
    const sources = [new AbortController(), new AbortController()];
    const { signal } = linkAbort(...sources.map((source) => source.signal));
    const reason = new Error("over");
    sources[which]?.abort(reason);
    expect(signal.reason).toBe(reason);
  });

  it("begins aborted where a signal is", () => {
    const reason = new Error("over");
    const { signal } = linkAbort(new AbortController().signal, AbortSignal.abort(reason));
    expect(signal.reason).toBe(reason);
  });

  it("aborts alone when it is told to", () => {
    const source = new AbortController();
    const link = linkAbort(source.signal);
    link.abort("enough");
    expect(link.signal.reason).toBe("enough");
    expect(source.signal.aborted).toBe(false);
  });

  it("leaves nothing behind and follows no more once it is unlinked", () => {
    const source = new AbortController();
    const links = Array.from({ length: 5 }, () => linkAbort(source.signal));
    for (const link of links) link.unlink();
    expect(getEventListeners(source.signal, "abort")).toHaveLength(0);
    source.abort();
    expect(links.some(({ signal }) => signal.aborted)).toBe(false);
  });
});

describe("allOrStopped", () => {
  it("stops the others where one fails, and gives its error", async () => {
    const reasons: unknown[] = [];
    const waiting = (signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reasons.push(signal.reason);
          reject(signal.reason);
        });
      });
    const failing = (): Promise<never> => Promise.reject(new Error("broken"));
    await expect(allOrStopped(new AbortController().signal, [waiting, failing])).rejects.toThrow("broken");
    expect(reasons).toHaveLength(1);
  });

  it("stops all where it is stopped", async () => {
    const source = new AbortController();
    const both = allOrStopped(source.signal, [
      (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      async () => undefined,
    ]);
    source.abort(new Error("enough"));
    await expect(both).rejects.toThrow("enough");
  });

  it("gives the results in their order", async () => {
    const { signal } = new AbortController();
    await expect(allOrStopped(signal, [async () => 1, async () => 2])).resolves.toEqual([1, 2]);
    await expect(allOrStopped(signal, [async (given) => given])).resolves.toEqual([signal]);
    await expect(allOrStopped(signal, [])).resolves.toEqual([]);
  });
});
