import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ClientView, clientHit } from "../../../src/merge/client-hit.js";
import { parsePartAnswer } from "../../../src/merge/part-answer.js";
import { passThrough } from "../../../src/merge/pass-through.js";
import { jsonText, stringLiteral } from "../json/arbitraries.js";

const INJECTED = '"_miroir_shard":"(),;","_miroir_seq":"(),;[]{}(),;[]{}{}"';

const name = fc.oneof(
  { weight: 3, arbitrary: stringLiteral },
  fc.constantFrom(
    '"_miroir_shard"',
    '"_miroir_seq"',
    '"_miroir_expires_at"',
    '"_miroir_s"',
    '"\\u005fmiroir_seq"',
    '"_formatted"',
    '"_rankingScore"',
    '"metadata"',
    '"hits"',
  ),
);

const value = fc.oneof(
  { weight: 3, arbitrary: stringLiteral },
  { weight: 2, arbitrary: jsonText },
  fc.constantFrom(
    "12345678901234567890",
    '"{"',
    '"_miroir_shard"',
    '"\\"_miroir_seq\\":"',
    '",\\"_miroir_shard\\":\\"((((\\""',
    '["a","_miroir_seq"]',
    `{"a":1,${INJECTED}}`,
    `[{"a":1,${INJECTED}},{"b":2}]`,
    `{"a":[{"b":{${INJECTED}}}]}`,
  ),
);

const members = fc
  .array(fc.tuple(name, value), { maxLength: 5 })
  .map((list) => list.map((member) => member.join(":")));

/** Mostly as Miroir's writers leave them, at the end and both; else anything that may be taken for them. */
const injected = fc.oneof(
  { weight: 8, arbitrary: fc.constant(INJECTED) },
  fc.constantFrom(
    '"_miroir_shard":"(","_miroir_seq":"(),;[]{}(),;[]{}{}"',
    '"_miroir_shard":"(),;","_miroir_seq":"a","b":"cdefghijk"',
    '"_miroir_shard":"(),;", "_miroir_seq":"(),;[]{}(),;[]{}{}"',
    '"_miroir_seq":"(),;[]{}(),;[]{}{}"',
    `${INJECTED},${INJECTED}`,
    `${INJECTED},"a":1`,
    '"a":1',
  ),
);

const document = fc.tuple(members, injected).map(([own, last]) => `{${[...own, last].join(",")}}`);

const hit = fc
  .record({
    own: members,
    last: injected,
    formatted: fc.option(document, { freq: 2 }),
    score: fc.option(fc.constantFrom("1.0", "0.98765432109876543"), { freq: 2 }),
  })
  .map(({ own, last, formatted, score }) => {
    const tail = [
      ...(formatted === null ? [] : [`"_formatted":${formatted}`]),
      ...(score === null ? [] : [`"_rankingScore":${score}`]),
    ];
    return `{${[...own, last, ...tail].join(",")}}`;
  });

const rest = fc.constantFrom(
  '"query":"","processingTimeMs":1,"limit":20,"offset":0,"estimatedTotalHits":3',
  '"query":"_miroir_s","processingTimeMs":1,"hitsPerPage":1,"page":1,"totalPages":3,"totalHits":3',
  '"query":"","facetDistribution":{"genre":{"a":1}},"facetStats":{}',
);

const view: fc.Arbitrary<ClientView> = fc.record({
  attributes: fc.record({
    toRetrieve: fc.constant(undefined),
    extraInDocument: fc.constantFrom([], [], [], ["a"]),
    extraInFormatted: fc.constantFrom([], [], [], ["a"]),
    displayed: fc.constantFrom(null, null, null, ["a", "b"]),
    attributesToHighlight: fc.constant(undefined),
    attributesToCrop: fc.constant(undefined),
  }),
  tail: fc.subarray(["_formatted", "_matchesPosition", "_rankingScore", "_rankingScoreDetails"] as const),
  showRankingScore: fc.boolean(),
  showRankingScoreDetails: fc.boolean(),
});

/** The answer as those read it who read any JSON. */
function readWhole(answer: string, seen: ClientView): string {
  const { hits } = parsePartAnswer(Buffer.from(answer), 0);
  const texts = hits.map(({ bytes }) => clientHit(bytes, seen).toString());
  return `{"hits":[${texts.join(",")}]${answer.slice(answer.lastIndexOf(',"query":'))}`;
}

/** White space around members stays where it is, or goes: nobody sees the difference. */
function compact(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s+/gs, "$1");
}

function isPlain(text: string): boolean {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
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
  tail: [],
  showRankingScore: false,
  showRankingScoreDetails: false,
};

describe("passThrough", () => {
  it("gives what whoever reads all of the answer gives, or leaves it to them", () => {
    fc.assert(
      fc.property(fc.array(hit, { maxLength: 3 }), rest, view, (hits, behind, seen) => {
        const answer = `{"hits":[${hits.join(",")}],${behind}}`;
        fc.pre(isPlain(answer));
        const passed = passThrough(Buffer.from(answer), seen)?.toString();
        if (passed !== undefined) expect(compact(passed)).toBe(compact(readWhole(answer, seen)));
      }),
      { numRuns: 1_500 },
    );
  });

  it.each([
    ["flat documents", '{"id":1,"title":"\\"{\\" é"', [] as const],
    ["documents in documents", '{"id":1,"a":{"_miroir_seq":"mine","b":[{}]}', [] as const],
    ["documents that expire", '{"id":1,"_miroir_expires_at":3', [] as const],
    ["documents with highlights", '{"id":1,"title":"x"', ["_formatted"] as const],
    ["documents with scores", '{"id":1', ["_rankingScore"] as const],
    ["documents with both", '{"id":1,"a":{}', ["_formatted", "_rankingScore"] as const],
  ])("passes %s on", (_of, open, tail) => {
    const printed = (last: string): string => {
      const members = tail.map((member) =>
        member === "_formatted" ? `,"_formatted":${open}${last}}` : ',"_rankingScore":0.5',
      );
      const one = `${open}${last}${members.join("")}}`;
      return `{"hits":[${one},${one}],"query":"","processingTimeMs":0,"estimatedTotalHits":2}`;
    };
    const seen = { ...PLAIN_VIEW, tail, showRankingScore: true };
    expect(passThrough(Buffer.from(printed(`,${INJECTED}`)), seen)?.toString()).toBe(printed(""));
  });

  it("leaves answers with Miroir's fields behind the hits to others", () => {
    const facets = '{"hits":[],"query":"","facetDistribution":{"_miroir_shard":{"((((":1}}}';
    expect(passThrough(Buffer.from(facets), PLAIN_VIEW)).toBeUndefined();
  });
});
