/** Bytes of a prefix, by its letter in lower case and whether an `i` follows. */
const LETTERS = "kmgtpe";
const MAX_BYTES = 2n ** 64n - 1n;
const AFTER_NUMBER = "('B', 'K', 'M', 'G', 'T', 'P', 'E' or no character or no character is expected)";
const AFTER_PREFIX = "('B', 'b' or no character or no character is expected)";

/** What is wrong with a text that should be a size. */
export class ByteSizeFault {
  /** @param message in Meilisearch's words */
  constructor(readonly message: string) {}
}

/** A size in bytes, as Meilisearch reads it: `24 MiB`, `1.5 GB`, `100`. A small `b` stands for bits; parts of a byte count as one. */
export function parseByteSize(given: string): bigint | ByteSizeFault {
  const text = given.replace(/^ +| +$/g, "");
  if (text === "") return new ByteSizeFault("no value can be found");
  const number = /^\d+(?:\.\d+)?/.exec(text)?.[0];
  if (number === undefined) return notANumber(text);
  let rest = text.slice(number.length);
  if (rest.startsWith("."))
    return notANumber(/^\d/.test(rest[1] ?? "") || rest.length === 1 ? "." : rest.slice(1));
  rest = rest.replace(/^ +/, "");
  let factor = 1n;
  const prefix = LETTERS.indexOf((rest[0] ?? "?").toLowerCase());
  const hasPrefix = prefix >= 0;
  if (hasPrefix) {
    const isBinary = /^.i/i.test(rest);
    factor = (isBinary ? 1_024n : 1_000n) ** BigInt(prefix + 1);
    rest = rest.slice(isBinary ? 2 : 1);
  }
  const fault = unitFault(rest, hasPrefix);
  if (fault !== undefined) return fault;
  const isBits = rest.startsWith("b") || rest.length > 1;
  return sized(number, factor, isBits);
}

/** What is wrong with what follows the number and its prefix: `B`, `b`, `bit` or `bits`, or nothing. */
function unitFault(unit: string, hasPrefix: boolean): ByteSizeFault | undefined {
  const expected = [
    hasPrefix ? AFTER_PREFIX : AFTER_NUMBER,
    "('i' or no character is expected)",
    "('t' is expected)",
    "('s' or no character is expected)",
    "(no character is expected)",
  ];
  const known = ["Bb", "i", "t", "s", ""];
  for (const [at, character] of [...unit].entries()) {
    const place = Math.min(at, known.length - 1);
    if (known[place]?.includes(character) === true) continue;
    return new ByteSizeFault(`the character '${shown(character)}' is incorrect ${expected[place]}`);
  }
  return undefined;
}

function sized(number: string, factor: bigint, isBits: boolean): bigint | ByteSizeFault {
  const [whole = "", fraction = ""] = number.split(".");
  const units = BigInt(whole + fraction) * factor;
  const perByte = 10n ** BigInt(fraction.length) * (isBits ? 8n : 1n);
  const bytes = (units + perByte - 1n) / perByte;
  if (bytes <= MAX_BYTES) return bytes;
  return new ByteSizeFault(`the value ${number} exceeds the valid range`);
}

function notANumber(text: string): ByteSizeFault {
  return new ByteSizeFault(`the character '${shown([...text][0] ?? "")}' is not a number`);
}

function shown(character: string): string {
  if (character === "'") return "\\'";
  return JSON.stringify(character).slice(1, -1).replace('\\"', '"');
}
