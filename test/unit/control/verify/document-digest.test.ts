import { describe, expect, it } from "vitest";
import { documentDigest } from "../../../../src/json/document-digest.js";

const digest = (text: string) => documentDigest(Buffer.from(text));

describe("the digest of a document", () => {
  it("does not depend on the order of members", () => {
    expect(digest('{"id":1,"a":{"x":1,"y":2}}')).toBe(digest('{"a":{"x":1,"y":2},"id":1}'));
  });

  it.each([
    ['{"id":1,"a":1}', '{"id":1,"a":1.0}'],
    ['{"id":9007199254740993}', '{"id":9007199254740992}'],
    ['{"id":1,"a":"b"}', '{"id":1,"a":"c"}'],
    ['{"id":1}', '{"id":1,"a":null}'],
    [
      '{"id":1,"_vectors":{"e":{"embeddings":[[1]],"regenerate":false}}}',
      '{"id":1,"_vectors":{"e":{"embeddings":[[2]],"regenerate":false}}}',
    ],
  ])("tells %s from %s", (a, b) => {
    expect(digest(a)).not.toBe(digest(b));
  });

  it("leaves out what a node embedded itself", () => {
    expect(digest('{"id":1,"_vectors":{"e":{"embeddings":[[1]],"regenerate":true}}}')).toBe(
      digest('{"id":1,"_vectors":{"e":{"embeddings":[[1.1]],"regenerate":true}}}'),
    );
  });
});
