/** Why a text is no base64, in the words of the decoder that Meilisearch has. */
export class Base64Error extends Error {
  override readonly name = "Base64Error";
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const PADDING = 0x3d;

/**
 * Decodes base64 of the alphabet for URLs, without padding.
 *
 * @throws Base64Error for anything else, also for bits behind the last whole byte that are not zero
 */
export function decodeBase64Url(text: string): Buffer {
  const bytes = Buffer.from(text);
  for (const [offset, byte] of bytes.entries()) {
    if (ALPHABET.includes(String.fromCharCode(byte))) continue;
    if (isPadding(bytes, offset)) throw new Base64Error("Invalid padding");
    throw new Base64Error(`Invalid symbol ${byte}, offset ${offset}.`);
  }
  const rest = text.length % 4;
  if (rest === 1) throw new Base64Error(`Invalid input length: ${text.length}`);
  const unused = rest === 2 ? 0b1111 : rest === 3 ? 0b11 : 0;
  if ((ALPHABET.indexOf(text.slice(-1)) & unused) !== 0) {
    throw new Base64Error(`Invalid last symbol ${bytes.at(-1)}, offset ${bytes.length - 1}.`);
  }
  return Buffer.from(text, "base64url");
}

/** Whether all from `offset` on fills up a group of four that has two symbols at least. */
function isPadding(bytes: Buffer, offset: number): boolean {
  return (
    offset % 4 >= 2 &&
    bytes.length <= offset - (offset % 4) + 4 &&
    bytes.subarray(offset).every((byte) => byte === PADDING)
  );
}
