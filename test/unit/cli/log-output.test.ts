import { describe, expect, it } from "vitest";
import { type LogLevel, LogOutput } from "../../../src/runtime/log-output.js";

describe("where log lines go", () => {
  it("is up to the level of the usual log, and to that of whoever follows", () => {
    const usual: string[] = [];
    const followed: string[] = [];
    const needed: LogLevel[] = [];
    const output = new LogOutput(
      "warn",
      (line) => usual.push(line),
      (level) => needed.push(level),
    );
    const logAll = () => {
      for (const level of ["error", "warn", "info", "debug"] as const) output.log(level, level);
    };
    logAll();
    expect(output.follow("debug", (line) => followed.push(line))).toBe(true);
    expect(output.follow("trace", () => expect.unreachable())).toBe(false);
    logAll();
    output.setLevel("off");
    logAll();
    output.unfollow();
    logAll();
    output.setLevel("error");
    expect(usual).toEqual(["error", "warn", "error", "warn"]);
    expect(followed).toEqual(["error", "warn", "info", "debug", "error", "warn", "info", "debug"]);
    expect(needed).toEqual(["debug", "debug", "off", "error"]);
  });
});
