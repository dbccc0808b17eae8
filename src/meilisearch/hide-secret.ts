/**
 * A secret as Meilisearch shows it: its first letters, at most five, and fewer of short ones.
 *
 * @param offset bytes at the front that are no secret
 */
export function hideSecret(secret: string, offset = 0): string {
  const bytes = Buffer.from(secret);
  const length = bytes.length - offset;
  if (length < 0) return secret;
  const [shown, mask] =
    length < 10
      ? [0, "XXX..."]
      : length < 20
        ? [2, "XXXX..."]
        : length < 30
          ? [3, "XXXXX..."]
          : [5, "XXXXXX..."];
  let end = offset + shown;
  // Not in the middle of a character.
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end++;
  return bytes.toString("utf8", 0, end) + mask;
}
