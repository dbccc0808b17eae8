import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type SeededRandom, seededRandom } from "../support/random.js";
import { adversarialCorpus } from "./adversarial-corpus.js";
import type { CorpusDocument } from "./requests.js";

/** Documents to compare a fleet and a node on. */
export interface Corpus {
  readonly name: string;
  readonly documents: readonly CorpusDocument[];
  /** Settings besides those that the requests need. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The embedder of documents with vectors, and how long these are. */
export const EMBEDDER = { name: "own", dimensions: 8 } as const;

const DATA = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const LARGE = 30_000;

/**
 * A corpus by name: `movies`, `airports`, `vectors` (the films, each with a vector), `large` (30,000 documents mixed from the films),
 * `adversarial`; or a file with a JSON array of documents; or a folder with the yearly files of `prust/wikipedia-movie-data`, of
 * which 30,000 films are taken. The same name gives the same documents on every machine.
 *
 * @throws Error where there is no such file
 */
export function loadCorpus(name: string): Corpus {
  switch (name) {
    case "vectors":
      return {
        name,
        documents: withVectors(readCorpus("movies"), seededRandom(1)),
        settings: {
          embedders: { [EMBEDDER.name]: { source: "userProvided", dimensions: EMBEDDER.dimensions } },
        },
      };
    case "large":
      return { name, documents: mixed(readCorpus("movies"), LARGE, seededRandom(2)), settings: {} };
    case "adversarial":
      return adversarialCorpus(seededRandom(3));
    default:
      return { name, documents: readCorpus(name), settings: {} };
  }
}

function readCorpus(name: string): CorpusDocument[] {
  const path = /[./]/.test(name) ? name : `${DATA}${name}.json`;
  if (!existsSync(path)) throw new Error(`there is no corpus ${name}: ${path} does not exist`);
  if (statSync(path).isDirectory()) return filmsOfDecades(path);
  return JSON.parse(readFileSync(path, "utf8")) as CorpusDocument[];
}

/** Films of all decades, evenly taken, in the form of `movies`. */
function filmsOfDecades(folder: string): CorpusDocument[] {
  const films = readdirSync(folder)
    .filter((file) => /^movies-\d+s\.json$/.test(file))
    .sort()
    .flatMap((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as CorpusDocument[]);
  const step = Math.max(1, films.length / LARGE);
  return Array.from({ length: Math.min(LARGE, films.length) }, (_, id) => {
    const film = films[Math.floor(id * step)] ?? {};
    return { id, ...film, decade: `${Math.floor(Number(film.year) / 10) * 10}s` };
  });
}

/** Vectors around a few centres, so that some documents are far more similar than others. */
function withVectors(documents: readonly CorpusDocument[], random: SeededRandom): CorpusDocument[] {
  const vector = (): number[] =>
    Array.from({ length: EMBEDDER.dimensions }, () => Math.round((random.next() * 2 - 1) * 1e4) / 1e4);
  const centres = Array.from({ length: 12 }, vector);
  return documents.map((document) => {
    const centre = random.pick(centres);
    const own = vector().map((value, at) => Math.round(((centre[at] ?? 0) + value * 0.5) * 1e4) / 1e4);
    return { ...document, _vectors: { [EMBEDDER.name]: own } };
  });
}

/** As many documents as asked for: the given ones, then mixtures of their texts and values. */
function mixed(documents: readonly CorpusDocument[], count: number, random: SeededRandom): CorpusDocument[] {
  const result: CorpusDocument[] = [...documents];
  for (let id = 1_000_000; result.length < count; id++) {
    const base = random.pick(documents);
    const other = random.pick(documents);
    const entries = Object.entries(base).map(([field, value]): [string, unknown] => {
      if (field === "id") return [field, id];
      if (typeof value === "string" && !value.startsWith("http"))
        return [field, mixedText(value, other[field], random)];
      return [field, random.chance(0.5) ? value : (other[field] ?? value)];
    });
    result.push(Object.fromEntries(entries));
  }
  return result;
}

function mixedText(own: string, other: unknown, random: SeededRandom): string {
  if (typeof other !== "string") return own;
  const theirs = other.split(" ");
  return own
    .split(" ")
    .map((word, at) => (random.chance(0.35) ? (theirs[at] ?? word) : word))
    .join(" ");
}
