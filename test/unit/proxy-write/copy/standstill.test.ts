import { describe, expect, it } from "vitest";
import { Standstill } from "../../../../src/proxy/write/copy/standstill.js";

describe("a copy that stands still", () => {
  it("is told of twice a minute, until it gets on", () => {
    let now = 5_000;
    const standstill = new Standstill({ monotonic: () => now });
    const lookAt = (at: number, state: string) => {
      now = at;
      return standstill.look(state);
    };
    expect(lookAt(6_000, "10 left")).toBeUndefined();
    expect(lookAt(35_999, "10 left")).toBeUndefined();
    expect(lookAt(36_000, "10 left")).toBe(30_000);
    expect(lookAt(37_000, "10 left")).toBeUndefined();
    expect(lookAt(66_500, "10 left")).toBe(60_500);
    expect(lookAt(97_000, "9 left")).toBeUndefined();
    expect(lookAt(127_000, "9 left")).toBe(30_000);
  });
});
