import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Operation, Operations } from "../../chaos-harness/operations.js";
import { Recorder } from "../../chaos-harness/recorder.js";

let folder: string;
let recorder: Recorder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "miroir-operations-"));
  recorder = new Recorder(folder);
});
afterEach(async () => {
  await recorder.close();
  rmSync(folder, { recursive: true, force: true });
});

const operation = (name: string, run: () => Promise<string>, possible = true): Operation => ({
  name,
  possible: () => possible,
  run,
});

describe("operations on a fleet", () => {
  it("are drawn from those that are possible", async () => {
    const done: string[] = [];
    const all = ["a", "b", "c"].map((name) =>
      operation(name, async () => `COMPLETED ${done.push(name)}`, name !== "b"),
    );
    const operations = new Operations(all, recorder);
    expect([await operations.run(0.1), await operations.run(0.9)]).toEqual([true, true]);
    expect(done).toEqual(["a", "c"]);
    expect(operations.completed).toBe(2);
    expect(await new Operations([], recorder).run(0.5)).toBe(false);
  });

  it("run one at a time", async () => {
    let finish: (outcome: string) => void = () => undefined;
    const slow = operation("slow", () => new Promise((resolve) => (finish = resolve)));
    const operations = new Operations([slow], recorder);
    const first = operations.run(0);
    expect(await operations.run(0)).toBe(false);
    finish("COMPLETED");
    expect(await first).toBe(true);
  });

  it("are told with their end, and counted only where they were carried out", async () => {
    const failing = [
      operation("refused", () => Promise.reject(new Error("does not fit"))),
      operation("given up", async () => "FAILED after an hour"),
    ];
    const operations = new Operations(failing, recorder);
    await operations.run(0);
    await operations.run(0.9);
    expect(operations.completed).toBe(0);
    const told = recorder.history.map((record) => (record.kind === "event" ? record.what : ""));
    expect(told).toEqual([
      "operation refused: begins",
      "operation refused: failed: Error: does not fit",
      "operation given up: begins",
      "operation given up: FAILED after an hour",
    ]);
  });
});
