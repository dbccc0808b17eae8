import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { bodyStream } from "../../../src/proxy/peers/body-stream.js";

it("a body that breaks off while nobody reads it ends no process, and tells who reads on", async () => {
  const body = bodyStream(
    (async function* () {
      yield Buffer.from("begun");
      throw new Error("the other proxy broke the write off");
    })(),
  );
  // As a reader of its first bytes does, which then waits for something else.
  await new Promise<void>((resolve) => body.once("readable", () => resolve()));
  expect(String(body.read())).toBe("begun");
  await setImmediate();
  await setImmediate();
  expect(body.destroyed).toBe(true);
  const readOn = async () => {
    for await (const _ of body);
  };
  await expect(readOn()).rejects.toThrow("broke the write off");
});
