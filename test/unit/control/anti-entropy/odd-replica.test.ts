import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { oddReplica } from "../../../../src/control/anti-entropy/odd-replica.js";

const versions = (entries: Readonly<Record<string, string>>) => new Map(Object.entries(entries));
const nobody = new Set<string>();

describe("the replica that is wrong", () => {
  it("is the one against which most replicas agree, however new its version is", () => {
    const documents = [versions({ a: "(( x", b: "(( x", c: ")) y" })];
    expect(oddReplica(documents, new Set(["a"]))).toEqual({ nodeId: "c", reason: "minority" });
  });

  it("is, of two, the one whose node was restarted", () => {
    const documents = [versions({ a: ")) x", b: "(( y" })];
    expect(oddReplica(documents, new Set(["a"]))).toEqual({ nodeId: "a", reason: "doubted" });
    expect(oddReplica(documents, new Set(["a", "b"]))).toEqual({ nodeId: "b", reason: "behind" });
  });

  it("is, of two, the one that holds older versions or lacks documents", () => {
    expect(oddReplica([versions({ a: "(( x", b: ")) y" })], nobody)).toEqual({
      nodeId: "a",
      reason: "behind",
    });
    expect(oddReplica([versions({ a: "(( x", b: "" })], nobody)).toEqual({ nodeId: "b", reason: "behind" });
    const mixed = [
      versions({ a: "(( x", b: "" }),
      versions({ a: "(( x", b: "" }),
      versions({ a: "", b: "(( x" }),
    ];
    expect(oddReplica(mixed, nobody)).toEqual({ nodeId: "b", reason: "behind" });
  });

  it("is the last one by name where nothing tells them apart", () => {
    expect(oddReplica([versions({ a: "(( x", b: "(( y" })], nobody)).toEqual({
      nodeId: "b",
      reason: "undecided",
    });
    expect(oddReplica([], nobody)).toBeUndefined();
  });

  it("is always one of the replicas, and never depends on the order in which they are told", () => {
    const version = fc.constantFrom("", "(( x", "(( y", ")) z");
    const document = fc.record({ a: version, b: version, c: version });
    fc.assert(
      fc.property(
        fc.array(document, { minLength: 1, maxLength: 5 }),
        fc.subarray(["a", "b", "c"]),
        (all, doubted) => {
          const found = oddReplica(all.map(versions), new Set(doubted));
          const reversed = oddReplica(
            all.map((entries) => new Map([...versions(entries)].reverse())),
            new Set(doubted),
          );
          expect(["a", "b", "c"]).toContain(found?.nodeId);
          expect(reversed).toEqual(found);
        },
      ),
    );
  });
});
