import { readFileSync } from "node:fs";
import { arrayElements, objectMembers } from "../../src/json/members.js";
import type { IndexFacts, SearchParameters } from "../../src/merge/index.js";

/** One recorded search: what three parts answered, and what a single node over the whole corpus did. */
export type RecordedCase = {
  /** Place in the file, from 0. */
  readonly index: number;
  readonly request: SearchParameters;
  /** Raw bodies, so that the order of facet labels and the digits of numbers survive. */
  readonly parts: readonly Buffer[];
  readonly whole: Buffer;
};

export type Recording = { readonly facts: IndexFacts; readonly cases: readonly RecordedCase[] };

/** Reads a file of golden search answers. */
export function readRecording(file: string): Recording {
  const bytes = readFileSync(file);
  const top = membersOf(bytes);
  const cases = required(top, "cases");
  return {
    // The recorded indexes had room for every hit, and the defaults for the rest.
    facts: {
      uid: "golden",
      primaryKey: "id",
      distinctAttribute: null,
      distinctAttributeIsFilterable: false,
      displayedAttributes: null,
      maxTotalHits: 1_000_000,
      maxValuesPerFacet: 100,
      sortFacetValuesBy: {},
    },
    cases: arrayElements(cases).map((span, index) => {
      const members = membersOf(cases.subarray(span.start, span.end));
      const parts = required(members, "parts");
      return {
        index,
        request: JSON.parse(required(members, "request").toString("utf8")) as SearchParameters,
        parts: arrayElements(parts).map((part) => parts.subarray(part.start, part.end)),
        whole: required(members, "whole"),
      };
    }),
  };
}

function membersOf(object: Buffer): Map<string, Buffer> {
  return new Map(
    objectMembers(object).map((member) => [member.key, object.subarray(member.valueStart, member.valueEnd)]),
  );
}

function required(members: ReadonlyMap<string, Buffer>, name: string): Buffer {
  const value = members.get(name);
  if (value === undefined) throw new Error(`the recording has no \`${name}\`; was it cut?`);
  return value;
}
