import type { IndexSettings } from "../settings.js";
import { fieldOf, type Place, type TextIndex } from "./text-index.js";
import { MAX_WORD_BYTES } from "./tokenizer.js";
import { closeWords, withPrefix } from "./typos.js";

/** Consecutive words; `null` stands for a stop word. */
export type Phrase = readonly (string | null)[];

/** One thing that a query term stands for. */
export type Derivation =
  | {
      readonly kind: "word";
      readonly word: string;
      readonly typos: 0 | 1 | 2;
      readonly exact: boolean;
      readonly prefixOf: boolean;
      /** Found through a prefix that very many words share. */
      readonly common: boolean;
    }
  | { readonly kind: "phrase"; readonly phrase: Phrase; readonly typos: 0 | 1; readonly exact: boolean };

/** How one document matches a term: where the words begin and end. */
export interface Match {
  readonly typos: 0 | 1 | 2;
  readonly exact: boolean;
  readonly phrase: Phrase | undefined;
  /** Whether the match counts as near another word only where it follows it. */
  readonly forwardOnly: boolean;
  readonly first: readonly Place[];
  readonly last: readonly Place[];
}

/** A term of the query, or two or three neighbouring ones written together. */
export interface QueryNode {
  readonly firstTerm: number;
  readonly lastTerm: number;
  /** Positions in the query, in which hard separators leave gaps. */
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly word: string;
  readonly isPrefix: boolean;
  readonly isNgram: boolean;
  /** The quoted phrase that the term is. */
  readonly phrase: Phrase | undefined;
  /** The exact word or phrase, where the index has it. */
  readonly exactTerm: Phrase | undefined;
  /** The highest number of typos that the term may cost. */
  readonly maxTypos: number;
  readonly derivations: readonly Derivation[];
  /** How each document of the universe matches. */
  readonly matches: ReadonlyMap<number, readonly Match[]>;
}

/** A query made ready for an index. */
export interface ParsedQuery {
  readonly termCount: number;
  readonly nodes: readonly QueryNode[];
  readonly negativeWords: readonly string[];
  readonly negativePhrases: readonly Phrase[];
}

interface Term {
  readonly word: string;
  readonly phrase: Phrase | undefined;
  readonly isPrefix: boolean;
  readonly first: number;
  readonly last: number;
}

const MAX_TERMS = 10;

/** Meilisearch looks prefixes of this many words and no more than this many letters up as wholes. */
const COMMON_PREFIX_WORDS = 100;
const COMMON_PREFIX_LENGTH = 4;

/** What a search restricts of the index. */
export interface SearchScope {
  readonly text: TextIndex;
  readonly settings: IndexSettings;
  readonly universe: ReadonlySet<number>;
  /** Fields to search; `undefined` searches all. */
  readonly fields: ReadonlySet<number> | undefined;
}

/** Reads a query: words, `"phrases"`, `-words` and `-"phrases"` that must not occur. */
export function parseQuery(scope: SearchScope, query: string): ParsedQuery {
  const { text, settings } = scope;
  const tokens = text.tokenizer.tokenize(query);
  const terms: Term[] = [];
  const negativeWords: string[] = [];
  const negativePhrases: Phrase[] = [];
  let position = -1;
  let phrase: { words: (string | null)[]; first: number } | undefined;
  let negativePhrase = false;
  let negateNext = false;
  let afterSpace = true;
  const closePhrase = () => {
    if (phrase?.words.some((word) => word !== null)) {
      if (negativePhrase) negativePhrases.push(phrase.words);
      else
        terms.push({ word: "", phrase: phrase.words, isPrefix: false, first: phrase.first, last: position });
    }
    phrase = undefined;
  };
  for (const [i, token] of tokens.entries()) {
    if (terms.length >= MAX_TERMS) break;
    if (token.kind === "word" || token.kind === "stopWord") {
      position++;
      const isLast = i === tokens.length - 1;
      if (phrase !== undefined) {
        if (phrase.words.length === 0) phrase.first = position;
        phrase.words.push(token.kind === "stopWord" ? null : token.lemma);
      } else if (negateNext) negativeWords.push(token.lemma);
      else if (isLast || token.kind === "word") {
        const isPrefix = isLast && settings.prefixSearch !== "disabled";
        terms.push({ word: token.lemma, phrase: undefined, isPrefix, first: position, last: position });
      }
      negateNext = false;
    } else if (token.kind !== "unknown") {
      if (token.kind === "hard") {
        position += 7;
        if (phrase !== undefined) {
          closePhrase();
          phrase = { words: [], first: position };
        }
      }
      if (token.lemma === '"') {
        if (phrase === undefined) {
          negativePhrase = negateNext;
          phrase = { words: [], first: position };
        } else {
          closePhrase();
          negativePhrase = false;
        }
      }
      negateNext = phrase === undefined && token.lemma === "-" && afterSpace;
    }
    afterSpace = /\s$/.test(token.lemma);
  }
  closePhrase();
  const kept = terms.slice(0, MAX_TERMS);
  return { termCount: kept.length, nodes: buildNodes(scope, kept), negativeWords, negativePhrases };
}

function buildNodes(scope: SearchScope, terms: readonly Term[]): QueryNode[] {
  const nodes: QueryNode[] = [];
  for (const [i, term] of terms.entries()) {
    nodes.push(buildNode(scope, [term], i));
    for (const size of [2, 3]) {
      const parts = terms.slice(i + 1 - size, i + 1);
      if (i + 1 < size || parts.some((part) => part.phrase !== undefined)) continue;
      if (parts.some((part, j) => j > 0 && (parts[j - 1]?.last ?? 0) + 1 !== part.first)) continue;
      if (Buffer.byteLength(parts.map((part) => part.word).join("")) > MAX_WORD_BYTES) continue;
      nodes.push(buildNode(scope, parts, i + 1 - size));
    }
  }
  return nodes;
}

/** How many typos a word may have under the index's settings. */
function allowedTypos(word: string, { typoTolerance: rules }: IndexSettings): 0 | 1 | 2 {
  const length = [...word].length;
  if (!rules.enabled || length < rules.minWordSizeForTypos.oneTypo) return 0;
  if (rules.disableOnWords.includes(word) || (rules.disableOnNumbers && Number.isFinite(Number(word))))
    return 0;
  return length < rules.minWordSizeForTypos.twoTypos ? 1 : 2;
}

function buildNode(scope: SearchScope, parts: readonly Term[], firstTerm: number): QueryNode {
  const { text, settings } = scope;
  const [head] = parts;
  const tail = parts.at(-1);
  const isNgram = parts.length > 1;
  const phrase = head?.phrase;
  const word = parts.map((part) => part.word).join("");
  const isPrefix = tail?.isPrefix ?? false;
  const derivations: Derivation[] = [];
  let maxTypos = 0;
  if (phrase !== undefined) derivations.push({ kind: "phrase", phrase, typos: 0, exact: true });
  else {
    const allowed = Math.max(0, allowedTypos(word, settings) - (parts.length - 1)) as 0 | 1 | 2;
    maxTypos = Math.max(allowed, 1);
    derivations.push(...wordDerivations(text, word, allowed, isPrefix, isNgram));
    for (const synonym of synonymsOf(
      scope,
      parts.map((part) => part.word),
    )) {
      derivations.push({ kind: "phrase", phrase: synonym, typos: 0, exact: false });
    }
    const split = bestSplit(text, word);
    if (split !== undefined && !(isNgram && split.join(" ") === parts.map((part) => part.word).join(" "))) {
      derivations.push({ kind: "phrase", phrase: split, typos: 1, exact: false });
    }
  }
  const exactTerm = isNgram ? undefined : (phrase ?? (text.has(word) ? [word] : undefined));
  return {
    firstTerm,
    lastTerm: firstTerm + parts.length - 1,
    firstPosition: head?.first ?? 0,
    lastPosition: tail?.last ?? 0,
    word,
    isPrefix,
    isNgram,
    phrase,
    exactTerm,
    maxTypos,
    derivations,
    matches: collectMatches(scope, derivations),
  };
}

function wordDerivations(
  text: TextIndex,
  word: string,
  allowed: 0 | 1 | 2,
  isPrefix: boolean,
  isNgram: boolean,
): Derivation[] {
  const derivations: Derivation[] = [];
  if (text.has(word))
    derivations.push({ kind: "word", word, typos: 0, exact: !isNgram, prefixOf: false, common: false });
  if (isPrefix) {
    const longer = withPrefix(text.dictionary, word);
    const common = longer.length >= COMMON_PREFIX_WORDS && [...word].length <= COMMON_PREFIX_LENGTH;
    for (const other of longer) {
      if (other !== word)
        derivations.push({ kind: "word", word: other, typos: 0, exact: false, prefixOf: true, common });
    }
  }
  const close = closeWords(text.dictionary, word, allowed, isPrefix);
  for (const other of close.one)
    derivations.push({ kind: "word", word: other, typos: 1, exact: false, prefixOf: false, common: false });
  for (const other of close.two)
    derivations.push({ kind: "word", word: other, typos: 2, exact: false, prefixOf: false, common: false });
  return derivations;
}

function synonymsOf({ text, settings }: SearchScope, words: readonly string[]): string[][] {
  const lemmas = (source: string) =>
    text.tokenizer.tokenize(source).flatMap((token) => (token.kind === "word" ? [token.lemma] : []));
  const wanted = words.join(" ");
  return Object.entries(settings.synonyms)
    .filter(([name]) => lemmas(name).join(" ") === wanted)
    .flatMap(([, synonyms]) => synonyms.map(lemmas))
    .filter((phrase) => phrase.length > 0)
    .slice(0, 50);
}

/** Splits a word into the two words that most often stand next to each other. */
function bestSplit(text: TextIndex, word: string): [string, string] | undefined {
  let best: [string, string] | undefined;
  let most = 0;
  for (let i = 1; i < word.length; i++) {
    const [left, right] = [word.slice(0, i), word.slice(i)];
    if (!text.has(left) || !text.has(right)) continue;
    const others = text.postings(right);
    let count = 0;
    for (const [id, places] of text.postings(left)) {
      const following = others.get(id);
      if (following !== undefined && places.some((place) => following.includes(place + 1))) count++;
    }
    if (count > most) {
      most = count;
      best = [left, right];
    }
  }
  return best;
}

function collectMatches(scope: SearchScope, derivations: readonly Derivation[]): Map<number, Match[]> {
  const matches = new Map<number, Match[]>();
  const add = (id: number, match: Match) => {
    const list = matches.get(id);
    if (list === undefined) matches.set(id, [match]);
    else list.push(match);
  };
  for (const derivation of derivations) {
    const { typos, exact } = derivation;
    if (derivation.kind === "phrase") {
      const { phrase } = derivation;
      for (const [id, first] of phrasePlaces(scope, phrase)) {
        add(id, {
          typos,
          exact,
          phrase,
          forwardOnly: false,
          first,
          last: first.map((place) => place + phrase.length - 1),
        });
      }
      continue;
    }
    const tolerant = derivation.typos === 0 || !scope.text.hasExactFields;
    for (const [id, all] of scope.text.postings(derivation.word)) {
      if (!scope.universe.has(id)) continue;
      const places = visiblePlaces(scope, all, !tolerant);
      if (places.length > 0) {
        add(id, {
          typos,
          exact,
          phrase: undefined,
          forwardOnly: derivation.common,
          first: places,
          last: places,
        });
      }
    }
  }
  return matches;
}

function visiblePlaces(
  scope: SearchScope,
  places: readonly Place[],
  withoutExactFields: boolean,
): readonly Place[] {
  if (scope.fields === undefined && !withoutExactFields) return places;
  return places.filter((place) => {
    const field = fieldOf(place);
    return (scope.fields?.has(field) ?? true) && !(withoutExactFields && scope.text.isExact(field));
  });
}

/** Where a phrase begins in each document of the universe that holds it. */
export function phrasePlaces(scope: SearchScope, phrase: Phrase): Map<number, Place[]> {
  const found = new Map<number, Place[]>();
  const start = phrase.findIndex((word) => word !== null);
  const head = phrase[start];
  if (head === undefined || head === null) return found;
  for (const [id, all] of scope.text.postings(head)) {
    if (!scope.universe.has(id)) continue;
    const places = visiblePlaces(scope, all, false).filter((place) =>
      phrase.every(
        (word, i) =>
          word === null ||
          (scope.text
            .postings(word)
            .get(id)
            ?.includes(place - start + i) ??
            false),
      ),
    );
    if (places.length > 0)
      found.set(
        id,
        places.map((place) => place - start),
      );
  }
  return found;
}
