import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergeNetwork, type NetworkChange, NO_NETWORK } from "../../../src/proxy/http/network-merge.js";

const URL_A = "http://a.example";

const names = fc.constantFrom("a", "b", "c");
const owners = fc.uniqueArray(names);
const change: fc.Arbitrary<NetworkChange> = fc.record(
  {
    self: fc.option(names),
    remotes: fc.option(
      fc
        .array(
          fc.tuple(names, fc.option(fc.record({ url: fc.constant(URL_A), searchApiKey: fc.option(names) }))),
        )
        .map((entries) => new Map(entries)),
    ),
    shards: fc.option(
      fc
        .array(
          fc.tuple(
            names,
            fc.option(
              fc.record({ remotes: owners, addRemotes: owners, removeRemotes: owners }, { requiredKeys: [] }),
            ),
          ),
        )
        .map((entries) => new Map(entries)),
    ),
  },
  { requiredKeys: [] },
);

describe("merging a network", () => {
  it("leaves what is not mentioned, and keeps names in order and shards with owners", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), change, (before, last) => {
        const held = before.reduce((network, one) => mergeNetwork(network, one, "v"), NO_NETWORK);
        const next = mergeNetwork(held, last, "w");
        expect(next.version).toBe("w");
        if (last.self === undefined) expect(next.self).toBe(held.self);
        if (last.remotes === undefined) expect(next.remotes).toEqual(held.remotes);
        if (last.remotes === undefined && last.shards === undefined) expect(next.shards).toEqual(held.shards);
        if (last.remotes === null) expect(next.remotes).toEqual({});
        if (last.shards === null) expect(next.shards).toEqual({});
        expect(Object.keys(next.remotes)).toEqual(Object.keys(next.remotes).sort());
        for (const { remotes } of Object.values(next.shards)) {
          expect(remotes.length).toBeGreaterThan(0);
          expect(remotes).toEqual([...remotes].sort());
        }
        for (const [name, asked] of last.remotes ?? []) {
          if (asked !== null) continue;
          for (const { remotes } of Object.values(next.shards)) expect(remotes).not.toContain(name);
        }
      }),
    );
  });

  it("asks for a URL of a remote that is new, and of none that is there", () => {
    const remotes = (asked: object) => ({ remotes: new Map([["a", asked]]) });
    const held = mergeNetwork(NO_NETWORK, remotes({ url: URL_A, writeApiKey: "w" }), "v");
    expect(mergeNetwork(held, remotes({ searchApiKey: "s" }), "v").remotes).toEqual({
      a: { url: URL_A, searchApiKey: "s", writeApiKey: "w", status: "available" },
    });
    expect(() => mergeNetwork(NO_NETWORK, remotes({ searchApiKey: "s" }), "v")).toThrow("Missing field");
    expect(() => mergeNetwork(held, remotes({ url: null }), "v")).toThrow("cannot be set to `null`");
    expect(() => mergeNetwork(held, remotes({ url: "nowhere" }), "v")).toThrow("relative URL");
  });
});
