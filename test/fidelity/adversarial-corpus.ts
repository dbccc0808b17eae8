import type { SeededRandom } from "../support/random.js";
import type { Corpus } from "./corpora.js";
import type { CorpusDocument } from "./requests.js";

const COUNT = 3_000;

/** Words that are written together and apart. */
const COMPOUNDS = [
  "sun flower",
  "data base",
  "fire fly",
  "snow man",
  "book shelf",
  "rain bow",
  "tooth brush",
];

/** Labels that are one facet value in several writings. */
const LABELS = ["Blue", "BLUE", "blue", "Élan", "élan", "Elan", "red", "Red", "green", "  green ", "10", "9"];

/**
 * A corpus of what nodes are likely to judge differently when each holds a part: words that are written together in some
 * documents and apart in others, prefixes that begin just about as many words as a prefix table needs, words with more
 * neighbours at one typo than a node looks at, values that are lists, null, or of several types, a sort rule among the ranking
 * rules, and places on both sides of the date line.
 */
export function adversarialCorpus(random: SeededRandom): Corpus {
  const words = vocabulary(random);
  const text = (count: number): string =>
    Array.from({ length: count }, () => {
      if (!random.chance(0.15)) return random.pick(words);
      const compound = random.pick(COMPOUNDS);
      return random.chance(0.5) ? compound : compound.replace(" ", "");
    }).join(" ");
  const documents = Array.from({ length: COUNT }, (_, id): CorpusDocument => {
    const document: Record<string, unknown> = { id, title: text(1 + random.below(3)) };
    if (random.chance(0.8)) document.body = text(3 + random.below(20));
    if (random.chance(0.9)) document.colours = colours(random);
    document.series = random.pick([null, [], "first", "First", "second", 7, `s${random.below(300)}`]);
    if (random.chance(0.9)) document.size = random.below(400) / (random.chance(0.5) ? 1 : 4);
    document.rank = random.below(6);
    if (random.chance(0.7))
      document._geo = {
        lat: Math.round((random.next() * 160 - 80) * 1e4) / 1e4,
        lng: Math.round((random.next() * 360 - 180) * 1e4) / 1e4,
      };
    return document;
  });
  return {
    name: "adversarial",
    documents,
    settings: {
      rankingRules: [
        "words",
        "typo",
        "rank:desc",
        "proximity",
        "attributeRank",
        "sort",
        "wordPosition",
        "exactness",
      ],
      searchableAttributes: ["title", "body", "colours"],
    },
  };
}

function colours(random: SeededRandom): unknown {
  if (random.chance(0.1)) return null;
  if (random.chance(0.4)) return random.pick(LABELS);
  return Array.from({ length: random.below(4) }, () => random.pick(LABELS));
}

function vocabulary(random: SeededRandom): string[] {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const tail = (length: number): string =>
    Array.from({ length }, () => letters[random.below(letters.length)]).join("");
  const stems = ["ban", "car", "mo", "st", "pre", "inter", "con"];
  const prefixed = stems.flatMap((stem) =>
    Array.from({ length: 60 + random.below(120) }, () => stem + tail(2 + random.below(4))),
  );
  const near = Array.from({ length: 260 }, () => {
    const word = [..."manderin"];
    word[random.below(word.length)] = letters[random.below(letters.length)] ?? "a";
    if (random.chance(0.5)) word.splice(1 + random.below(word.length - 1), 0, tail(1));
    return word.join("");
  });
  const common = [
    "the",
    "of",
    "and",
    "river",
    "mountain",
    "mandarin",
    "mandarins",
    "manderin",
    "sunny",
    "database",
  ];
  return [...prefixed, ...near, ...common, ...common, ...common];
}
