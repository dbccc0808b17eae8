import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arrayElements } from "../../../src/json/members.js";
import { Pieces } from "../../../src/json/pieces.js";
import { type ClientView, clientHit } from "../../../src/merge/client-hit.js";
import { HitsInAnswer, hitAt } from "../../../src/merge/hit.js";
import { hitPrinter } from "../../../src/merge/hit-printer.js";
import { parsePartAnswer } from "../../../src/merge/part-answer.js";
import { jsonText, objectText, stringLiteral } from "../json/arbitraries.js";

/** Names that a document may have too, for all that a hit knows. */
const name = fc.oneof(
  { weight: 2, arbitrary: stringLiteral },
  fc.constantFrom(
    '"_miroir_shard"',
    '"_miroir_seq"',
    '"_miroir_5eq"',
    '"_miroir_seq2"',
    '"_rankingScore"',
    '"_rankingScoreDetails"',
    '"_rankingScor\\u0065"',
    '"_formatted"',
    '"_matchesPosition"',
    '"_vectors"',
    '"_geo"',
    '"\\u005fmiroir_seq"',
    '"hits"',
    '"query"',
  ),
);

const value = fc.oneof(
  jsonText,
  fc.constantFrom(
    '"x"',
    "12345678901234567890",
    '{"words":{"order":0,"matchingWords":1,"maxMatchingWords":1,"score":1.0}}',
    '[],"query":"","estimatedTotalHits":1}',
    '[{"_miroir_seq":"theirs"}]',
    '"],\\"query\\":"',
  ),
);

const DETAILS = '"words":{"order":0,"matchingWords":1,"maxMatchingWords":1,"score":1.0}';
const IMPOSTOR = `"_miroir_shard":"((((","_miroir_seq":"((((((((((((((((((","_rankingScoreDetails":{${DETAILS}}`;

const symbols = (count: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(..."(),;[]{}"), { minLength: count, maxLength: count }).map((all) => all.join(""));

/** Hits as nodes print them that Miroir asks, with all that may look like what it added in front, and what they were asked for. */
const fleetHitAsked = fc
  .record({
    members: fc.array(
      fc.tuple(
        // Documents with members of such names are refused.
        name.filter((text) => !String(JSON.parse(text)).startsWith("_miroir_s")),
        fc.oneof(
          value,
          fc.constantFrom(
            `{${IMPOSTOR}}`,
            `[{${IMPOSTOR}},{"b":1}]`,
            JSON.stringify(`,${IMPOSTOR}},{`),
            '"{"',
          ),
        ),
      ),
      { maxLength: 4 },
    ),
    shard: symbols(4),
    sequence: symbols(18),
    rules: fc.constantFrom("", `${DETAILS},`),
    isInjected: fc.constantFrom(true, true, true, false),
    later: fc.constantFrom("", "", ',"a":1', ',"a":["b"],"c":"}"'),
    formatted: fc.constantFrom("none", "alike", "bare", "other"),
    score: fc.constantFrom("", "", ',"_rankingScore":0.5', ',"_rankingScore":"1"'),
    ends: fc.constantFrom("}", ',"more":1}'),
  })
  .map(({ members, shard, sequence, rules, isInjected, later, formatted, score, ends }) => {
    const injected = isInjected ? `,"_miroir_shard":"${shard}","_miroir_seq":"${sequence}"${later}` : later;
    const document = ['"id":1', ...members.map((member) => member.join(":"))].join(",");
    const highlights = { none: "", alike: `${document}${injected}`, bare: '"id":"1"', other: '"a":{"b":1}' };
    const shown = formatted === "none" ? "" : `,"_formatted":{${highlights[formatted]}}`;
    const order = rules === "" ? 0 : 1;
    const details = `{${rules}"_miroir_seq:asc":{"order":${order},"value":"${sequence}"}}`;
    const text = `{${document}${injected}${shown}${score},"_rankingScoreDetails":${details}${ends}`;
    return { text, isFormatted: formatted !== "none", isScored: score !== "" };
  })
  .filter(({ text }) => isJson(text));

const fleetHit = fleetHitAsked.map(({ text }) => text);

/** A hit as Meilisearch prints it, or any object at all. */
const hit = fc.oneof(
  { weight: 3, arbitrary: objectText },
  { weight: 5, arbitrary: fleetHit },
  {
    weight: 7,
    arbitrary: fc
      .array(fc.tuple(name, value), { maxLength: 7 })
      .map((members) => `{${members.map((member) => member.join(":")).join(",")}}`)
      .filter((text) => isJson(text)),
  },
);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function plainHit(text: string, seen: ClientView): string | undefined {
  try {
    return clientHit(Buffer.from(text.trim()), seen).toString();
  } catch {
    return undefined;
  }
}

function leading(text = ""): number {
  return text.length - text.trimStart().length;
}

const PLAIN_VIEW: ClientView = {
  attributes: {
    toRetrieve: undefined,
    extraInDocument: [],
    extraInFormatted: [],
    displayed: null,
    attributesToHighlight: undefined,
    attributesToCrop: undefined,
  },
  tail: ["_rankingScoreDetails"],
  showRankingScore: false,
  showRankingScoreDetails: false,
};

const view: fc.Arbitrary<ClientView> = fc.record({
  attributes: fc.record({
    toRetrieve: fc.constant(undefined),
    extraInDocument: fc.constantFrom([], [], ["a"]),
    extraInFormatted: fc.constant([]),
    displayed: fc.constantFrom(null, null, ["a", "b"]),
    attributesToHighlight: fc.constant(undefined),
    attributesToCrop: fc.constant(undefined),
  }),
  tail: fc.subarray(["_formatted", "_matchesPosition", "_rankingScore", "_rankingScoreDetails"] as const),
  showRankingScore: fc.boolean(),
  showRankingScoreDetails: fc.boolean(),
});

function printed(hits: readonly string[], seen: ClientView): string {
  const answer = Buffer.from(`[${hits.join(",")}]`);
  const list = new HitsInAnswer(answer, hits.length === 0 ? -1 : 1 + leading(hits[0]), 0);
  const pieces = new Pieces();
  const print = hitPrinter(pieces, seen);
  for (const found of list.all()) print(found);
  return pieces.toBuffer().toString();
}

describe("hitPrinter", () => {
  it("prints the bytes that clientHit gives of hits that nodes print as they were asked", () => {
    fc.assert(
      fc.property(fleetHitAsked, fc.boolean(), ({ text, isFormatted, isScored }, showRankingScore) => {
        const tail = [
          ...(isFormatted ? (["_formatted"] as const) : []),
          ...(isScored ? (["_rankingScore"] as const) : []),
          "_rankingScoreDetails" as const,
        ];
        const seen: ClientView = { ...PLAIN_VIEW, tail, showRankingScore };
        expect(printed([text, text], seen)).toBe(`${plainHit(text, seen)}${plainHit(text, seen)}`);
      }),
      { numRuns: 800 },
    );
  });

  it("prints the bytes that clientHit gives, of whatever there is in a hit", () => {
    fc.assert(
      fc.property(fc.array(hit, { maxLength: 4 }), view, (hits, seen) => {
        const plain = hits.map((text) => plainHit(text, seen));
        // No node prints anything but an object where it prints highlights.
        fc.pre(!plain.includes(undefined));
        expect(printed(hits, seen)).toBe(plain.join(""));
      }),
      { numRuns: 800 },
    );
  });
});

describe("parsePartAnswer", () => {
  const answer = fc
    .tuple(
      fc.array(hit, { maxLength: 4 }),
      stringLiteral,
      fc.option(jsonText),
      fc.constantFrom("", " ", "\n"),
    )
    .map(
      ([hits, query, facets, space]) =>
        `{"hits":[${hits.join(`${space},`)}${space}],"query":${query},"estimatedTotalHits":3${facets === null ? "" : `,"facetDistribution":${facets}`}}${space}`,
    );

  it("finds what a whole walk over the body finds, hit by hit and in any order", () => {
    fc.assert(
      fc.property(answer, fc.nat({ max: 4 }), (text, asked) => {
        const body = Buffer.from(text);
        const plain = JSON.parse(text) as { hits: unknown[] };
        const { list, hits, members } = parsePartAnswer(body, 7);
        expect(list.at(asked)?.bytes.toString()).toBe(hits[asked]?.bytes.toString());
        expect(hits.map(({ bytes }) => JSON.parse(bytes.toString()) as unknown)).toEqual(plain.hits);
        const spans = arrayElements(body, text.indexOf("["));
        expect(hits.map(({ bytes, part, position }) => [bytes.toString(), part, position])).toEqual(
          spans.map(({ start, end }, at) => [body.toString("utf8", start, end), 7, at]),
        );
        expect(
          Object.fromEntries([...members].map(([key, raw]) => [key, JSON.parse(raw.toString())])),
        ).toEqual(Object.fromEntries(Object.entries(plain).filter(([key]) => key !== "hits")));
      }),
      { numRuns: 500 },
    );
  });

  it("reads a hit's details as they are read without its answer", () => {
    fc.assert(
      fc.property(hit, (text) => {
        const found = parsePartAnswer(Buffer.from(`{"hits":[${text}],"query":""}`), 0).hits[0];
        expect(found?.details).toEqual(hitAt(Buffer.from(text.trim()), 0, 0).details);
      }),
      { numRuns: 500 },
    );
  });
});
