import type { CorpusDocument } from "./requests.js";

/** Why nodes with parts of a corpus score a document otherwise than a node with the whole; each has its entry in `docs/compatibility.md`. */
export type Cause =
  | "frequency"
  | "prefix table"
  | "capped derivations"
  | "poorer dictionary"
  | "approximate neighbours";

/** What a request was found to differ in. */
export interface Symptom {
  readonly body: Readonly<Record<string, unknown>>;
  /** Ranking rules whose details differ. */
  readonly rules: readonly string[];
  /** Whether the answers agree once the last word is no prefix. */
  agreesWithoutPrefix(): Promise<boolean>;
}

/** Numbers of words beginning with a prefix from which on a node keeps a table for it, and that it looks at without one. */
const PREFIX_TABLE_WORDS = 100;
const PREFIX_CAP = 1_000;
/** Derivations of a word that a node looks at, with one typo and with two. */
const ONE_TYPO_CAP = 150;
const TWO_TYPOS_CAP = 50;
/** Longest prefix that a node keeps a table for, in bytes. */
const LONGEST_TABLED_PREFIX = 4;

/** Tells causes by what the words of a corpus are, and by asking again. */
export class Causes {
  readonly #words: readonly string[];

  constructor(documents: readonly CorpusDocument[]) {
    const words = new Set<string>();
    for (const document of documents) collectWords(Object.values(document), words);
    this.#words = [...words];
  }

  /** The cause of a difference; "poorer dictionary" where no cap and no prefix table explains it. */
  async of(symptom: Symptom): Promise<Cause> {
    if (symptom.body.matchingStrategy === "frequency") return "frequency";
    if (symptom.rules.includes("vectorSort")) return "approximate neighbours";
    const query = wordsOf(String(symptom.body.q ?? ""));
    const last = query.at(-1);
    const endsInPrefix = last !== undefined && /[\p{L}\p{N}]$/u.test(String(symptom.body.q));
    if (endsInPrefix && (await symptom.agreesWithoutPrefix())) {
      const count = this.#words.filter((word) => word.startsWith(last)).length;
      if (count > PREFIX_CAP && Buffer.byteLength(last) > LONGEST_TABLED_PREFIX) return "capped derivations";
      if (count >= PREFIX_TABLE_WORDS && Buffer.byteLength(last) <= LONGEST_TABLED_PREFIX)
        return "prefix table";
    }
    return query.some((word, at) => this.#isCapped(word, endsInPrefix && at === query.length - 1))
      ? "capped derivations"
      : "poorer dictionary";
  }

  #isCapped(word: string, isPrefix: boolean): boolean {
    const typos = word.length >= 9 ? 2 : word.length >= 5 ? 1 : 0;
    if (typos === 0) return false;
    let one = 0;
    let two = 0;
    for (const other of this.#words) {
      const compared = isPrefix ? other.slice(0, word.length + typos) : other;
      if (Math.abs(compared.length - word.length) > typos) continue;
      const distance = editDistance(word, compared);
      if (distance === 1) one++;
      if (distance === 2) two++;
    }
    return one > ONE_TYPO_CAP || (typos === 2 && two > TWO_TYPOS_CAP);
  }
}

function collectWords(values: readonly unknown[], words: Set<string>): void {
  for (const value of values) {
    if (typeof value === "string") for (const word of wordsOf(value)) words.add(word);
    else if (typeof value === "number") words.add(String(value));
    else if (typeof value === "object" && value !== null) collectWords(Object.values(value), words);
  }
}

function wordsOf(text: string): string[] {
  const plain = text
    .normalize("NFKD")
    .replace(/\p{Mn}/gu, "")
    .toLowerCase();
  return plain.match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Insertions, deletions, substitutions and swaps of neighbours that lead from one word to the other. */
function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let i = 1; i <= left.length; i++) {
    const current = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1];
      let best = Math.min(
        (previous[j] ?? 0) + 1,
        (current[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      current.push(best);
    }
    before = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}
