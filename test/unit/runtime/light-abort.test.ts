import { describe, expect, it, vi } from "vitest";
import { LightAbort } from "../../../src/runtime/light-abort.js";

describe("LightAbort", () => {
  it("tells each listener once, with a reason that stays the first", () => {
    const abort = new LightAbort();
    const listener = vi.fn();
    abort.addEventListener("abort", listener);
    abort.addEventListener("abort", listener);
    abort.throwIfAborted();
    abort.abort("first");
    abort.abort("second");
    expect(listener).toHaveBeenCalledOnce();
    expect([abort.aborted, abort.reason]).toEqual([true, "first"]);
    expect(() => abort.throwIfAborted()).toThrow("first");
  });

  it("tells no listener that was taken away", () => {
    const abort = new LightAbort();
    const listener = vi.fn();
    const object = { handleEvent: vi.fn() };
    abort.addEventListener("abort", object);
    abort.addEventListener("abort", listener);
    abort.removeEventListener("abort", listener);
    abort.removeEventListener("abort", listener);
    abort.abort();
    expect(listener).not.toHaveBeenCalled();
    expect(object.handleEvent).toHaveBeenCalledOnce();
    expect(abort.reason).toBeInstanceOf(Error);
  });
});
