/** A search answer as parsed JSON, but for facets: they are the text that was sent. */
export interface SearchAnswer {
  readonly hits: readonly Readonly<Record<string, unknown>>[];
  readonly [member: string]: unknown;
}

/**
 * How an answer of the fleet compares with the single node's. `identical`: the same in everything but
 * timings. `equal-up-to-ties`: documents with equal score details in another order. `scored-differently`: the nodes gave some
 * document other score details than the single node did. `wrong`: anything else.
 */
export type Verdict =
  | { readonly verdict: "identical" }
  | { readonly verdict: "equal-up-to-ties" }
  | { readonly verdict: "scored-differently"; readonly rules: readonly string[] }
  | { readonly verdict: "wrong"; readonly reason: string };

/**
 * How the contents of the hits present in both compare, score members aside. `highlighted-differently`: only what is highlighted or
 * cropped differs, in hits with typos, whose words each node finds in its own dictionary.
 */
export type Contents = "same" | "highlighted-differently" | "different";

/** The comparison of one request's answers. */
export interface Comparison {
  readonly order: Verdict;
  readonly contents: Contents;
  readonly totals: boolean;
  /** The fleet's total beside the single node's. */
  readonly totalsSeen: string;
  /** Undefined where no facets were asked for. */
  readonly facets: boolean | undefined;
  /** Where the facets first differ. */
  readonly facetsSeen: string;
}

const TOTALS = ["estimatedTotalHits", "totalHits", "totalPages", "offset", "limit", "page", "hitsPerPage"];

/**
 * Compares two answers to one request made with `showRankingScoreDetails`. `deepWhole` is the single
 * node's answer to the same request with a far larger page, for documents that only the fleet's page has.
 *
 * @param byNodeFrequency whether which documents match depends on word counts, which every node has of its own
 */
export function compareAnswers(
  fleet: SearchAnswer,
  whole: SearchAnswer,
  deepWhole: SearchAnswer,
  primaryKey: string,
  byNodeFrequency = false,
): Comparison {
  const facetMembers = ["facetDistribution", "facetStats"].filter((name) => name in whole || name in fleet);
  const wrongFacet = facetMembers.find((name) => fleet[name] !== whole[name]);
  return {
    order: compareOrder(fleet, whole, deepWhole, primaryKey, byNodeFrequency),
    contents: compareContents(fleet, whole, primaryKey),
    totals: TOTALS.every((name) => fleet[name] === whole[name]),
    totalsSeen: TOTALS.filter((name) => fleet[name] !== whole[name])
      .map((name) => `${name} ${String(fleet[name])} instead of ${String(whole[name])}`)
      .join(", "),
    facets: facetMembers.length === 0 ? undefined : wrongFacet === undefined,
    facetsSeen:
      wrongFacet === undefined ? "" : firstDifference(String(fleet[wrongFacet]), String(whole[wrongFacet])),
  };
}

function compareOrder(
  fleet: SearchAnswer,
  whole: SearchAnswer,
  deepWhole: SearchAnswer,
  primaryKey: string,
  byNodeFrequency: boolean,
): Verdict {
  const key = (hit: Readonly<Record<string, unknown>>): string => JSON.stringify(hit[primaryKey]);
  const fleetKeys = fleet.hits.map(key);
  const wholeKeys = whole.hits.map(key);
  if (fleetKeys.length === wholeKeys.length && fleetKeys.every((id, at) => id === wholeKeys[at]))
    return { verdict: "identical" };

  const expected = new Map([...deepWhole.hits, ...whole.hits].map((hit) => [key(hit), detailsOf(hit)]));
  const rules = new Set<string>();
  for (const hit of fleet.hits) {
    const reference = expected.get(key(hit));
    if (reference === undefined) rules.add("matched only by a node");
    else for (const rule of differingRules(detailsOf(hit), reference)) rules.add(rule);
  }
  const found = new Set(fleetKeys);
  if (byNodeFrequency && wholeKeys.some((id) => !found.has(id))) rules.add("matched only by the single node");
  if (rules.size > 0) return { verdict: "scored-differently", rules: [...rules].sort() };
  if (fleetKeys.length !== wholeKeys.length)
    return { verdict: "wrong", reason: `${fleetKeys.length} hits instead of ${wholeKeys.length}` };
  if (new Set(fleetKeys).size !== fleetKeys.length)
    return { verdict: "wrong", reason: "a document appears twice" };
  if (findsCloser(fleet, whole, key)) return { verdict: "scored-differently", rules: ["vectorSort"] };
  for (const [at, hit] of fleet.hits.entries()) {
    const counterpart = whole.hits[at];
    if (counterpart === undefined || differingRules(detailsOf(hit), detailsOf(counterpart)).length > 0) {
      return { verdict: "wrong", reason: `hit ${at} is ${fleetKeys[at]} instead of ${wholeKeys[at]}` };
    }
  }
  return { verdict: "equal-up-to-ties" };
}

/** Whether one side shows documents by their vectors that are closer than what the other shows: neighbours are found approximately. */
function findsCloser(
  fleet: SearchAnswer,
  whole: SearchAnswer,
  key: (hit: Readonly<Record<string, unknown>>) => string,
): boolean {
  const similarity = (hit: Readonly<Record<string, unknown>>): number =>
    Number(detailsOf(hit).vectorSort?.similarity ?? -1);
  const closer = (one: SearchAnswer, other: SearchAnswer): boolean => {
    const shown = new Set(other.hits.map(key));
    const least = Math.min(...other.hits.map(similarity).filter((value) => value >= 0));
    return one.hits.some((hit) => !shown.has(key(hit)) && similarity(hit) > least);
  };
  return closer(fleet, whole) || closer(whole, fleet);
}

type Details = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

function detailsOf(hit: Readonly<Record<string, unknown>>): Details {
  return (hit._rankingScoreDetails ?? {}) as Details;
}

/** The ranking rules on which two documents' details say something different about the documents themselves. */
function differingRules(left: Details, right: Details): string[] {
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].filter(
    (rule) => corpusFree(rule, left[rule]) !== corpusFree(rule, right[rule]),
  );
}

/** What a rule's details say without the maxima that depend on a node's own corpus. */
function corpusFree(rule: string, details: Readonly<Record<string, unknown>> | undefined): string {
  if (details === undefined) return "absent";
  if (rule === "words") return String(details.matchingWords);
  if (rule === "typo") return String(details.typoCount);
  if (rule === "exactness") return `${details.matchType} ${details.matchingWords ?? ""}`;
  if ("distance" in details) return String(details.distance);
  if ("value" in details) return JSON.stringify(details.value);
  return typeof details.score === "number" ? details.score.toFixed(9) : JSON.stringify(details);
}

function compareContents(fleet: SearchAnswer, whole: SearchAnswer, primaryKey: string): Contents {
  const reference = new Map(whole.hits.map((hit) => [JSON.stringify(hit[primaryKey]), hit]));
  let contents: Contents = "same";
  for (const hit of fleet.hits) {
    const counterpart = reference.get(JSON.stringify(hit[primaryKey]));
    if (counterpart === undefined || visible(hit, SCORES) === visible(counterpart, SCORES)) continue;
    // A word may be found with typos in one attribute and without in another one that counts.
    const typos = Number(detailsOf(hit).typo?.maxTypoCount ?? 0);
    if (typos === 0 || visible(hit, MATCHES) !== visible(counterpart, MATCHES)) return "different";
    contents = "highlighted-differently";
  }
  return contents;
}

const SCORES = new Set(["_rankingScore", "_rankingScoreDetails"]);
const MATCHES = new Set([...SCORES, "_formatted", "_matchesPosition"]);

/** Members of a document come in the order in which a node met the fields first, which is the node's own. */
function visible(hit: Readonly<Record<string, unknown>>, without: ReadonlySet<string>): string {
  const members = Object.entries(hit).filter(([name]) => !without.has(name));
  return JSON.stringify(
    members
      .map(([name, value]) => [name, BY_FIELD.has(name) ? inOrder(Object.entries(value ?? {})) : value])
      .sort(byName),
  );
}

const BY_FIELD = new Set(["_formatted", "_matchesPosition"]);

function inOrder(members: [string, unknown][]): [string, unknown][] {
  return members.sort(byName);
}

function byName([left]: readonly unknown[], [right]: readonly unknown[]): number {
  return String(left) < String(right) ? -1 : 1;
}

/** Whether both answers have the same documents on their page, in whatever order. */
export function sharesDocuments(fleet: SearchAnswer, whole: SearchAnswer, primaryKey: string): boolean {
  const keys = (answer: SearchAnswer): string =>
    JSON.stringify(answer.hits.map((hit) => JSON.stringify(hit[primaryKey])).sort());
  return keys(fleet) === keys(whole);
}

function firstDifference(left: string, right: string): string {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  const from = Math.max(0, at - SHOWN_BEFORE);
  return `…${left.slice(from, at + SHOWN_BEHIND)}… instead of …${right.slice(from, at + SHOWN_BEHIND)}…`;
}

const SHOWN_BEFORE = 60;
const SHOWN_BEHIND = 60;
