import { type LabelCount, readsAsNumber } from "./facets.js";

/** Asks all parts for their values in a range, `after` exclusive and `upTo` inclusive, null for no bound; undefined where they cannot tell. */
export type AskNumbers = (
  after: string | null,
  upTo: string | null,
) => Promise<readonly (readonly LabelCount[])[] | undefined>;

/**
 * The least `max` numbers over all parts, ascending, with the documents that have them, where parts cut their lists at `max` values in
 * the order of texts. None of the numbers wanted is greater than the `max`-th of those that are known, so that one ask for what is up to
 * it is mostly enough; where a part cuts again, the range is halved.
 *
 * @param lists what each part gave first
 * @param asks how often the parts are asked at most
 * @returns undefined where that is not enough
 */
export async function firstNumbers(
  lists: readonly (readonly LabelCount[])[],
  max: number,
  ask: AskNumbers,
  asks: number,
): Promise<readonly LabelCount[] | undefined> {
  const known = new Map<number, string>();
  const learn = (answered: readonly (readonly LabelCount[])[]): void => {
    for (const { label } of answered.flat()) if (readsAsNumber(label)) known.set(Number(label), label);
  };
  learn(lists);
  const found = new Map<number, LabelCount>();
  let after = Number.NEGATIVE_INFINITY;
  let upTo = ceiling(known, max);
  for (let asked = 0; asked < asks; asked++) {
    const answered = await ask(labelOf(known, after), labelOf(known, upTo));
    if (answered === undefined) return undefined;
    learn(answered);
    if (answered.some((list) => list.length >= max)) {
      const inside = ascending(known).filter((value) => value > after && value < upTo);
      const middle = inside[Math.floor((inside.length - 1) / 2)];
      if (middle === undefined) return undefined;
      upTo = middle;
      continue;
    }
    for (const { label, count } of answered.flat()) {
      const value = Number(label);
      if (!readsAsNumber(label) || value <= after || value > upTo) continue;
      found.set(value, { label, count: (found.get(value)?.count ?? 0) + count });
    }
    const wanted = ceiling(known, max);
    if (upTo >= wanted) return ascending(found).flatMap((value) => found.get(value) ?? []);
    after = upTo;
    upTo = wanted;
  }
  return undefined;
}

/** The `max`-th least of the known numbers; infinite where they are fewer. */
function ceiling(known: ReadonlyMap<number, unknown>, max: number): number {
  return ascending(known)[max - 1] ?? Number.POSITIVE_INFINITY;
}

function ascending(values: ReadonlyMap<number, unknown>): number[] {
  return [...values.keys()].sort((a, b) => a - b);
}

function labelOf(known: ReadonlyMap<number, string>, value: number): string | null {
  return known.get(value) ?? null;
}
