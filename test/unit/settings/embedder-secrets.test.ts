import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maskSecrets } from "../../../src/settings/canonical-settings.js";
import { embedderSecrets, unmaskSecrets } from "../../../src/settings/embedder-secrets.js";

const secret = fc.string({ minLength: 1, maxLength: 60 });
const embedder = fc.record(
  {
    source: fc.constantFrom("openAi", "rest", "composite"),
    apiKey: secret,
    dimensions: fc.nat(),
    searchEmbedder: fc.record({ source: fc.constant("rest"), apiKey: secret }, { requiredKeys: ["source"] }),
  },
  { requiredKeys: ["source"] },
);
const settings = fc.record({
  stopWords: fc.array(fc.string()),
  embedders: fc.dictionary(fc.string({ minLength: 1 }), embedder),
});
const parsed = (patch: Readonly<Record<string, unknown>>): unknown[] => {
  const text = embedderSecrets(patch);
  return text === undefined ? [] : [JSON.parse(text)];
};

describe("secrets of embedders", () => {
  it("go back where settings show their masks", () => {
    fc.assert(
      fc.property(settings, (given) => {
        const restored = unmaskSecrets(maskSecrets(given), parsed(given));
        expect(restored.masked).toEqual([]);
        expect(JSON.parse(JSON.stringify(restored.settings))).toEqual(JSON.parse(JSON.stringify(given)));
      }),
    );
  });

  it("hold nothing but keys", () => {
    const patch = {
      stopWords: ["the"],
      embedders: { a: { source: "rest", apiKey: "k", url: "u" }, b: { source: "userProvided" }, c: null },
    };
    expect(parsed(patch)).toEqual([{ a: { apiKey: "k" } }]);
    expect(embedderSecrets({ embedders: { b: { source: "userProvided" } } })).toBeUndefined();
    expect(embedderSecrets({ embedders: null })).toBeUndefined();
  });

  it("are the last ones that the mask fits", () => {
    const shown = maskSecrets({ embedders: { a: { apiKey: "sk-0123456789-old" } } });
    const known = [
      { a: { apiKey: "other-0123456789" } },
      { b: { apiKey: "sk-0123456789-of-b" } },
      { a: { apiKey: "sk-0123456789-new" } },
      { a: { apiKey: "sk-0123456789-old" } },
    ];
    const { settings: found, masked } = unmaskSecrets(shown, known);
    expect(found).toEqual({ embedders: { a: { apiKey: "sk-0123456789-new" } } });
    expect(masked).toEqual([]);
  });

  it("are said to be missing where none fits", () => {
    const shown = maskSecrets({ embedders: { a: { apiKey: "sk-0123456789" }, b: { apiKey: "key" } } });
    expect(unmaskSecrets(shown, [{ b: { apiKey: "key" } }])).toEqual({
      settings: { embedders: { a: { apiKey: "skXXXX..." }, b: { apiKey: "key" } } },
      masked: ["a"],
    });
  });
});
