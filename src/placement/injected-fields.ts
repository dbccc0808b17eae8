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
const BITS_PER_SYMBOL = 3n;
const SHARD_SYMBOLS = 4;
const SEQUENCE_SYMBOLS = 18;

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
  return encode(BigInt(shard), SHARD_SYMBOLS);
}

/** The shard that a code stands for; undefined where the text is no shard code. */
export function parseShardCode(code: string): number | undefined {
  const value = decode(code, SHARD_SYMBOLS);
  return value === undefined ? undefined : Number(value);
}

/**
 * The value of `_miroir_seq` for a sequence: eighteen symbols, whose byte order is the order of numbers.
 *
 * @throws RangeError for a negative number or one of 2^54 or more.
 */
export function sequenceCode(sequence: bigint | number): string {
  const value = BigInt(sequence);
  if (value < 0n || value >= MAX_SEQUENCE)
    throw new RangeError(`sequence ${value} is not from 0 to 2^54 - 1`);
  return encode(value, SEQUENCE_SYMBOLS);
}

/** The sequence that a code stands for; undefined where the text is no sequence code. */
export function parseSequenceCode(code: string): bigint | undefined {
  return decode(code, SEQUENCE_SYMBOLS);
}

/** Whether clients are refused documents with this top-level field (`miroir_reserved_field`). */
export function isReservedField(name: string): boolean {
  return name.startsWith("_miroir_") && name !== EXPIRES_AT_FIELD;
}

function encode(value: bigint, symbols: number): string {
  let code = "";
  for (let position = symbols - 1; position >= 0; position--) {
    code += ALPHABET[Number((value >> (BITS_PER_SYMBOL * BigInt(position))) & 7n)];
  }
  return code;
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
