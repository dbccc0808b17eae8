/** The most words that differ by one and by two typos that a query word stands for. */
const MAX_ONE_TYPO = 150;
const MAX_TWO_TYPOS = 50;

/** Words of the dictionary close to a query word. */
export interface CloseWords {
  readonly one: readonly string[];
  readonly two: readonly string[];
}

/**
 * The distance between a word and a candidate, or with `prefix` the candidate's closest prefix, where a
 * transposition counts one. Anything above `max` is returned as `max + 1`.
 */
export function typoDistance(word: string, candidate: string, max: number, prefix: boolean): number {
  const columns = word.length;
  if (candidate.length < columns - max || (!prefix && candidate.length > columns + max)) return max + 1;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: columns + 1 }, (_, i) => i);
  let best = prefix ? (previous[columns] ?? 0) : max + 1;
  for (let i = 1; i <= candidate.length; i++) {
    const row = [i];
    let lowest = i;
    for (let j = 1; j <= columns; j++) {
      const same = candidate[i - 1] === word[j - 1];
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && candidate[i - 1] === word[j - 2] && candidate[i - 2] === word[j - 1]) {
        cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
      }
      row.push(cost);
      if (cost < lowest) lowest = cost;
    }
    if (prefix) best = Math.min(best, row[columns] ?? 0);
    if (lowest > max && best > max) return max + 1;
    if (lowest > max) break;
    beforePrevious = previous;
    previous = row;
    if (i === candidate.length && !prefix) best = row[columns] ?? 0;
  }
  return Math.min(best, max + 1);
}

/** The position of the first entry of a sorted list that is not below `word`. */
export function lowerBound(dictionary: readonly string[], word: string): number {
  let low = 0;
  let high = dictionary.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((dictionary[middle] ?? "") < word) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The entries of a sorted list that begin with `prefix`. */
export function withPrefix(dictionary: readonly string[], prefix: string): string[] {
  const found: string[] = [];
  for (let i = lowerBound(dictionary, prefix); i < dictionary.length; i++) {
    const word = dictionary[i] ?? "";
    if (!word.startsWith(prefix)) break;
    found.push(word);
  }
  return found;
}

/**
 * Finds the words one and two typos away, in the dictionary's order and up to Meilisearch's limits. A typo on
 * the first letter counts two.
 */
export function closeWords(
  dictionary: readonly string[],
  word: string,
  max: 0 | 1 | 2,
  prefix: boolean,
): CloseWords {
  const one: string[] = [];
  const two: string[] = [];
  if (max === 0) return { one, two };
  const first = String.fromCodePoint(word.codePointAt(0) ?? 0);
  for (const candidate of max === 1 ? withPrefix(dictionary, first) : dictionary) {
    if (candidate.startsWith(first)) {
      const distance = typoDistance(word, candidate, max, prefix);
      if (distance === 1 && one.length < MAX_ONE_TYPO) one.push(candidate);
      else if (distance === 2 && max === 2 && two.length < MAX_TWO_TYPOS) two.push(candidate);
    } else if (two.length < MAX_TWO_TYPOS && differsByFirstLetter(word, candidate, prefix))
      two.push(candidate);
  }
  return { one, two };
}

/** Whether a candidate that begins with another letter is one typo away. */
function differsByFirstLetter(word: string, candidate: string, prefix: boolean): boolean {
  const rest = word.slice(1);
  const same = (a: string, b: string) => (prefix ? a.startsWith(b) : a === b);
  return (
    same(candidate.slice(1), rest) ||
    same(candidate, rest) ||
    same(candidate.slice(1), word) ||
    (word.length > 1 && same(candidate, `${word[1]}${word[0]}${word.slice(2)}`))
  );
}
