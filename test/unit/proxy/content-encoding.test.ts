import { PassThrough } from "node:stream";
import { brotliDecompressSync, createGunzip, gunzipSync, inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { compressed, negotiate } from "../../../src/proxy/http/content-encoding.js";

describe("the coding of an answer", () => {
  it.each([
    ["gzip", "gzip"],
    ["BR", "br"],
    ["deflate", "deflate"],
    ["gzip, deflate, br, zstd", "br"],
    ["zstd, deflate, gzip", "gzip"],
    ["gzip;q=0.9, br;q=0.5", "gzip"],
    ["identity;q=0.5, gzip;q=0.4", "identity"],
    ["identity, gzip", "gzip"],
    ["gzip ; q=.5", "gzip"],
    ["gzip;q=1e-3", "gzip"],
    ["br;q=0.5, deflate;q=0.5005", "br"],
    ["identity;q=0, *;q=0, gzip", "gzip"],
  ])("of those in %j is %s", (asked, coding) => {
    expect(negotiate(asked)).toBe(coding);
  });

  it.each([
    "",
    ",",
    "*",
    "zstd",
    "x-gzip",
    "constructor",
    "gzip;q=0",
    "gzip;q=0.0001",
    "gzip;q=-0",
    "gzip;q=2",
    "gzip;q=0x1",
    "gzip;q= 1",
    "gzip;q=1.0000",
    "gzip;",
    "gzip;q=1;x=1",
    "gzip, \u00e9",
    "*, identity;q=0",
  ])("is none for %j", (asked) => {
    expect(negotiate(asked)).toBe("identity");
  });

  it.each(["identity;q=0", "*;q=0", "zstd, *;q=0", "identity;q=0, *;q=0"])(
    "cannot be had for %j",
    (asked) => {
      expect(negotiate(asked)).toBe("unacceptable");
    },
  );
});

describe("a compressed body", () => {
  it.each([
    ["br", brotliDecompressSync],
    ["gzip", gunzipSync],
    ["deflate", inflateSync],
  ] as const)("of %s is the same body", async (coding, decompress) => {
    const body = Buffer.from("a hit and ".repeat(10_000));
    const packed = (await compressed(body, coding)) as Buffer;
    expect(packed.length).toBeLessThan(1_000);
    expect(decompress(packed).equals(body)).toBe(true);
  });

  it("of a stream can be read line by line, and ends its source when it is left", async () => {
    const source = new PassThrough();
    const packed = (await compressed(source, "gzip")) as PassThrough;
    const lines = packed.pipe(createGunzip());
    for (const line of ["first\n", "second\n"]) {
      source.write(line);
      const seen = await new Promise<string>((resolve) =>
        lines.once("data", (chunk: Buffer) => resolve(chunk.toString())),
      );
      expect(seen).toBe(line);
    }
    const closed = new Promise((resolve) => source.once("close", resolve));
    packed.destroy();
    await closed;
  });
});
