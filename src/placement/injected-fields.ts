/** Holds the code of the document's shard; filterable on every node. */
export const SHARD_FIELD = "_miroir_shard";

/** Holds the code of the document's insertion sequence; the last ranking rule on every node, ascending. */
export const SEQUENCE_FIELD = "_miroir_seq";

/** When the document expires; the one reserved field that clients may send. */
export const EXPIRES_AT_FIELD = "_miroir_expires_at";

/**
 * The digits of both codes, in ascending byte order. Each is a separator to Meilisearch's tokenizer, so that a
 * value has no search term, and needs no escape in JSON.
 */
const ALPHABET = "(),;[]{}";
const ALPHABET_BYTES = Buffer.from(ALPHABET);
const BITS_PER_SYMBOL = 3n;
const SHARD_SYMBOLS = 4;
/** How long a sequence code is. */
export const SEQUENCE_SYMBOLS = 18;

/** One more than the greatest shard number that a code can hold. */
export const MAX_SHARDS = 8 ** SHARD_SYMBOLS;

/** One more than the greatest sequence that a code can hold: 2^54. */
export const MAX_SEQUENCE = 1n << (BITS_PER_SYMBOL * BigInt(SEQUENCE_SYMBOLS));

/**
 * The value of `_miroir_shard` for a shard: four symbols.
 *
 * @throws RangeError for a number that is not a shard's.
 */
export function shardCode(shard: number): string {
  if (!Number.isInteger(shard) || shard < 0 || shard >= MAX_SHARDS) {
    throw new RangeError(`shard ${shard} is not a whole number from 0 to ${MAX_SHARDS - 1}`);
  }
  return encodeHalf(shard).slice(-SHARD_SYMBOLS);
}

/** The shard that a code stands for; undefined where the text is no shard code. */
export function parseShardCode(code: string): number | undefined {
  const value = decode(code, SHARD_SYMBOLS);
  return value === undefined ? undefined : Number(value);
}

/**
 * The value of `_miroir_seq` for a sequence: eighteen symbols, whose byte order is the order of numbers.
 *
 * @throws RangeError for a negative number, one of 2^54 or more, or a `number` that is no safe integer.
 */
export function sequenceCode(sequence: bigint | number): string {
  const [high, low] = sequenceHalves(sequence);
  return encodeHalf(high) + encodeHalf(low);
}

/**
 * Writes {@link sequenceCode} of a sequence at `at`, where it takes {@link SEQUENCE_SYMBOLS} bytes.
 *
 * @throws RangeError as `sequenceCode` does
 */
export function writeSequenceCode(into: Uint8Array, at: number, sequence: bigint | number): void {
  const [high, low] = sequenceHalves(sequence);
  writeHalf(into, at, high);
  writeHalf(into, at + SEQUENCE_SYMBOLS / 2, low);
}

function sequenceHalves(sequence: bigint | number): readonly [number, number] {
  // Sequences are microseconds since 1970 and fit a double's integers for centuries: no bigint is needed then.
  if (typeof sequence === "number" ? !Number.isSafeInteger(sequence) || sequence < 0 : sequence < 0n) {
    throw new RangeError(`sequence ${sequence} is not a whole number from 0`);
  }
  if (sequence >= MAX_SEQUENCE) throw new RangeError(`sequence ${sequence} is not below 2^54`);
  if (typeof sequence === "bigint" && sequence > BigInt(Number.MAX_SAFE_INTEGER)) {
    return [Number(sequence >> 27n), Number(sequence & 0x7ffffffn)];
  }
  return [Math.floor(Number(sequence) / HALF), Number(sequence) % HALF];
}

/** The sequence that a code stands for; undefined where the text is no sequence code. */
export function parseSequenceCode(code: string): bigint | undefined {
  return decode(code, SEQUENCE_SYMBOLS);
}

/** Whether clients are refused documents with this top-level field (`miroir_reserved_field`). */
export function isReservedField(name: string): boolean {
  return name.startsWith("_miroir_") && name !== EXPIRES_AT_FIELD;
}

/** The code of a number below 2^27 is cut from these: every text of three symbols, in order. */
const TRIPLES = Array.from({ length: 512 }, (_, triple) =>
  [triple >> 6, (triple >> 3) & 7, triple & 7].map((digit) => ALPHABET[digit]).join(""),
);
const HALF = 2 ** 27;

function encodeHalf(value: number): string {
  return `${TRIPLES[value >> 18]}${TRIPLES[(value >> 9) & 511]}${TRIPLES[value & 511]}`;
}

function writeHalf(into: Uint8Array, at: number, value: number): void {
  for (let symbol = 0; symbol < SEQUENCE_SYMBOLS / 2; symbol++) {
    into[at + symbol] = ALPHABET_BYTES[(value >> (24 - 3 * symbol)) & 7] as number;
  }
}

function decode(code: string, symbols: number): bigint | undefined {
  if (code.length !== symbols) return undefined;
  let value = 0n;
  for (const symbol of code) {
    const digit = ALPHABET.indexOf(symbol);
    if (digit < 0) return undefined;
    value = (value << BITS_PER_SYMBOL) | BigInt(digit);
  }
  return value;
}
