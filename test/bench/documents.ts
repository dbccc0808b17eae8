import { readFileSync } from "node:fs";
import type { SeededRandom } from "../support/random.js";

/** A document of a benchmark; its primary key is `id`. */
export type BenchDocument = Readonly<Record<string, unknown>>;

/**
 * The documents of files, JSON arrays or one a line; the shipped sample's unless files are given. Those without an `id` are given their place
 * in all files together.
 */
export function readDocuments(files: readonly string[] | undefined): BenchDocument[] {
  const paths = files ?? [new URL("../../samples/movies.ndjson", import.meta.url)];
  return paths
    .flatMap(readFile)
    .map((document, at) => ("id" in document ? document : { id: at, ...document }));
}

function readFile(path: string | URL): BenchDocument[] {
  const text = readFileSync(path, "utf8");
  if (text.trimStart().startsWith("[")) return JSON.parse(text) as BenchDocument[];
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as BenchDocument);
}

const SYLLABLES = ["ka", "lo", "mi", "ter", "van", "sol", "dra", "phi", "nor", "bel", "qui", "zan"] as const;

/** Words that stand in many made-up documents, for queries. */
export const COMMON_WORDS = Array.from({ length: 64 }, (_, at) => word(at * 7 + 5, 3));

/** Made-up films of about `bytes` bytes each, in which each of {@link COMMON_WORDS} is common. */
export function madeUpDocuments(count: number, bytes: number, random: SeededRandom): BenchDocument[] {
  return Array.from({ length: count }, (_, id) => {
    const document = {
      id,
      title: `${random.pick(COMMON_WORDS)} ${word(random.below(5_000), 4)}`,
      year: 1920 + random.below(100),
      genres: [random.pick(["Drama", "Comedy", "Action"]), random.pick(["Silent", "War", "Romance"])],
      overview: "",
    };
    const words: string[] = [];
    for (let size = JSON.stringify(document).length; size < bytes; ) {
      const next = random.chance(0.3) ? random.pick(COMMON_WORDS) : word(random.below(5_000), 4);
      words.push(next);
      size += next.length + 1;
    }
    return { ...document, overview: words.join(" ") };
  });
}

function word(seed: number, syllables: number): string {
  let text = "";
  for (let rest = seed, at = 0; at < syllables; at++) {
    text += SYLLABLES[rest % SYLLABLES.length] ?? "";
    rest = Math.floor(rest / SYLLABLES.length) + at;
  }
  return text;
}
