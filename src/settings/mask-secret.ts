/**
 * A secret as Meilisearch shows it: its beginning, at most five bytes, and less of short ones.
 *
 * @param offset bytes at the front that are no secret
 */
export function maskSecret(secret: string, offset = 0): string {
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
  // The cut falls on the first whole character at or behind that many bytes.
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end++;
  return bytes.toString("utf8", 0, end) + mask;
}
