/** Whether an index is one of those that a pattern names: exactly, or by its beginning where the pattern ends with `*`. */
export function matchesIndex(pattern: string, indexUid: string): boolean {
  return pattern.endsWith("*") ? indexUid.startsWith(pattern.slice(0, -1)) : pattern === indexUid;
}

/** Whether a text can be a pattern of indexes. */
export function isIndexPattern(text: string): boolean {
  const name = text.endsWith("*") ? text.slice(0, -1) : text;
  if (name === "") return text === "*";
  return name.length <= 400 && /^[A-Za-z0-9_-]+$/.test(name);
}

/** What Meilisearch says of a text that is no pattern. */
export function indexPatternFault(text: string): string {
  return (
    `\`${text}\` is not a valid index uid pattern. Index uid patterns can be an integer or a string containing only ` +
    "alphanumeric characters, hyphens (-), underscores (_), and optionally end with a star (*)."
  );
}
