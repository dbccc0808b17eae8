import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isReservedField,
  MAX_SEQUENCE,
  MAX_SHARDS,
  parseSequenceCode,
  parseShardCode,
  sequenceCode,
  shardCode,
} from "../../../src/placement/injected-fields.js";
import {
  newInstance,
  parseInstance,
  parsePhysicalName,
  physicalName,
} from "../../../src/placement/physical-name.js";
import { allShards, createShardHasher, primaryKeyText } from "../../../src/placement/shard.js";

const sequence = fc.bigInt({ min: 0n, max: MAX_SEQUENCE - 1n });

describe("injected fields", () => {
  it("orders codes by bytes as their numbers", () => {
    fc.assert(
      fc.property(sequence, sequence, (a, b) => {
        const order = Buffer.compare(Buffer.from(sequenceCode(a)), Buffer.from(sequenceCode(b)));
        expect(order).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
    const codes = Array.from({ length: MAX_SHARDS }, (_, shard) => shardCode(shard));
    expect([...codes].sort()).toEqual(codes);
    expect(new Set(codes).size).toBe(MAX_SHARDS);
  });

  it("reads its own codes back, and prints a number as it prints the bigint", () => {
    fc.assert(
      fc.property(sequence, (value) => {
        expect(parseSequenceCode(sequenceCode(value))).toBe(value);
        if (value <= Number.MAX_SAFE_INTEGER) expect(sequenceCode(Number(value))).toBe(sequenceCode(value));
      }),
    );
    for (let shard = 0; shard < MAX_SHARDS; shard++) expect(parseShardCode(shardCode(shard))).toBe(shard);
  });

  it("has fixed codes, since they are stored in every document", () => {
    expect(shardCode(0)).toBe("((((");
    expect(shardCode(63)).toBe("((}}");
    expect(shardCode(4095)).toBe("}}}}");
    expect(sequenceCode(0)).toBe("(".repeat(18));
    expect(sequenceCode(MAX_SEQUENCE - 1n)).toBe("}".repeat(18));
    expect(sequenceCode(0o012345670123456701)).toBe("(),;[]{}(),;[]{}()");
  });

  it("refuses numbers out of range and texts that are no codes", () => {
    for (const shard of [-1, 4096, 1.5, Number.NaN]) expect(() => shardCode(shard)).toThrow(RangeError);
    for (const value of [-1, 1.5, 2 ** 53, -1n, MAX_SEQUENCE]) {
      expect(() => sequenceCode(value)).toThrow(RangeError);
    }
    for (const code of ["", "(((", "(((((", "(((x"]) expect(parseShardCode(code)).toBeUndefined();
    expect(parseSequenceCode("((((")).toBeUndefined();
  });

  it("reserves its prefix but for the expiry", () => {
    expect(isReservedField("_miroir_shard")).toBe(true);
    expect(isReservedField("_miroir_anything")).toBe(true);
    expect(isReservedField("_miroir_expires_at")).toBe(false);
    expect(isReservedField("miroir_shard")).toBe(false);
    expect(isReservedField("_miroir")).toBe(false);
  });
});

describe("physical names", () => {
  it("reads its own names back", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 12 }),
        fc.bigInt({ min: 1n, max: 10n ** 18n }),
        (bytes, generation) => {
          const instance = newInstance(bytes);
          expect(instance).toMatch(/^[a-z2-7]{8}$/);
          expect(parseInstance(instance)).toBe(instance);
          expect(parsePhysicalName(physicalName(instance, generation))).toEqual({ instance, generation });
        },
      ),
    );
  });

  it.each([
    "",
    "movies",
    "mabcdefgh",
    "mabcdefgh_",
    "mabcdefgh_00",
    "mabcdefgh_01",
    "mabcdefg1_1",
    "mABCDEFGH_1",
    "mabcdefgh_1x",
  ])("takes %j for a name of somebody else's", (name) => expect(parsePhysicalName(name)).toBeUndefined());
});

describe("the shard of a key", () => {
  // Published test values of XXH64 with seed 0: the empty text, "a", "abc", and the reference's longer sample.
  it.each([
    ["", 0xef46db3751d8e999n],
    ["a", 0xd24ec4f1a98c6e5bn],
    ["abc", 0x44bc2cf5ad770999n],
    ["Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1n],
  ])("is XXH64 of %j modulo the number of shards", async (key, hash) => {
    const { shardOf } = await createShardHasher();
    for (const shards of [1, 3, 16, 64, 4096, 2 ** 31]) {
      expect(shardOf(key, shards)).toBe(Number(hash % BigInt(shards)));
    }
  });

  it("spreads consecutive keys evenly", async () => {
    const { shardOf } = await createShardHasher();
    const counts = new Array<number>(16).fill(0);
    for (let key = 0; key < 16_000; key++) {
      const shard = shardOf(String(key), 16);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it("refuses a shard count that makes no sense", async () => {
    const { shardOf } = await createShardHasher();
    for (const shards of [0, -1, 1.5, Number.NaN]) {
      expect(() => shardOf("a", shards)).toThrow(RangeError);
      expect(() => allShards(shards)).toThrow(RangeError);
    }
    expect(allShards(3)).toEqual([0, 1, 2]);
  });

  it.each([
    ["42", "42"],
    ['"42"', "42"],
    [" 42\n", "42"],
    ["-7", "-7"],
    ["0", "0"],
    ["9007199254740993", "9007199254740993"],
    ["18446744073709551615", "18446744073709551615"],
    ["-9223372036854775808", "-9223372036854775808"],
    ['"a\\u0062c"', "abc"],
    ['"movie-1_a"', "movie-1_a"],
    ['""', ""],
  ])("reads the key %s as %j", (raw, text) => expect(primaryKeyText(Buffer.from(raw))).toBe(text));

  // Fractions to Meilisearch, or no keys at all.
  it.each([
    "18446744073709551616",
    "-9223372036854775809",
    "1".repeat(400),
    "-0",
    "1.0",
    "1e3",
    "true",
    "null",
    "[]",
    '{"a":1}',
    "",
  ])("takes %s for no key", (raw) => expect(primaryKeyText(Buffer.from(raw))).toBeUndefined());
});
