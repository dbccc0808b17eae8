import type { Hit } from "./hit.js";
import { type PartAnswer, parsePartAnswer } from "./part-answer.js";
import type { Ask } from "./part-request.js";

/** The bodies that one part answered, in the order of the plan's asks. */
export type PartAnswers = {
  /**
   * Null for a semantic half whose text could not be embedded: Meilisearch then answers with the keyword
   * half alone. Every other answer must be there.
   */
  readonly answers: readonly (Buffer | null)[];
};

/** What the parts answered to one ask more, see {@link nextRound}. */
export type FurtherAnswers = { readonly ask: Ask; readonly parts: readonly PartAnswers[] };

/** How many documents have one of the values of the documents that were settled, where that was asked for. */
export function countsOf(rounds: readonly FurtherAnswers[]): readonly PartAnswer[] | undefined {
  const round = rounds.find(({ ask }) => ask.role === "universe");
  return round && answersOf(round.parts, 0);
}

/** Each part's hits beyond the page, where ties of its last document were asked for. */
export function tiedHits(rounds: readonly FurtherAnswers[]): readonly (readonly Hit[])[] | undefined {
  const round = rounds.findLast(({ ask }) => ask.role === "ties");
  return round && hitsOf(round.parts);
}

/** What rounds for the page's own hits brought. */
export function furtherHits(rounds: readonly FurtherAnswers[]): Hit[][][] {
  return rounds.filter(({ ask }) => ask.role === "page").map((round) => hitsOf(round.parts));
}

/** The parts' answers to their ask number `at`, without those that are missing. */
export function answersOf(parts: readonly PartAnswers[], at: number): PartAnswer[] {
  return parts.flatMap(({ answers }, part) => {
    const body = answers[at];
    return body === null || body === undefined ? [] : [parsePartAnswer(body, part)];
  });
}

function hitsOf(parts: readonly PartAnswers[]): Hit[][] {
  return parts.map(({ answers: [body] }, part) =>
    body === null || body === undefined ? [] : [...parsePartAnswer(body, part).hits],
  );
}
