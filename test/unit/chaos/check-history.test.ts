import { describe, expect, it } from "vitest";
import { checkHistory } from "../../chaos-harness/checker/check-history.js";
import { documentOf } from "../../chaos-harness/documents.js";
import { HistoryWriter, set } from "./histories.js";

const kinds = ({ records }: HistoryWriter): string[] => checkHistory(records).map(({ kind }) => kind);

describe("histories that one order explains", () => {
  it("takes either value while a task runs, and flips between replicas", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 10])
      .write("set", 2, [20, 21, 40])
      .read([5, 6], undefined)
      .read([7, 8], set(1))
      .read([9, 9.5], undefined)
      .read([22, 23], set(2))
      .read([24, 25], set(1))
      .read([41, 42], set(2));
    expect(kinds(history)).toEqual([]);
  });

  it("folds partial updates in one order for all readers", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("update", 2, [6, 9, 20])
      .write("update", 3, [6, 9, 20], { slot: 1 })
      .write("update", 4, [7, 9, 20])
      .read([10, 11], set(1, { f1: 3 }))
      .read([12, 13], set(1, { f0: 2, f1: 3 }))
      .read([21, 22], set(1, { f0: 4, f1: 3 }));
    expect(kinds(history)).toEqual([]);
  });

  it("allows a write of unknown outcome to have been made, or not, or late", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("set", 2, [6, 7], { outcome: "unknown" })
      .write("delete", 3, [8, 9], { outcome: "unknown" })
      .read([10, 11], set(1))
      .read([20, 21], set(2))
      .read([30, 31], undefined)
      .read([40, 41], undefined);
    expect(kinds(history)).toEqual([]);
  });

  it("lets a partial update make a document that was deleted", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("delete-by-filter", 2, [6, 7, 10])
      .write("update", 3, [6.5, 8, 12])
      .read([13, 14], documentOf("update", "k0", 3, 0));
    expect(kinds(history)).toEqual([]);
  });
});

describe("histories that no order explains", () => {
  it("finds an acknowledged write that is missing", () => {
    expect(kinds(new HistoryWriter().write("set", 1, [0, 1, 5]).read([6, 7], undefined))).toEqual(["lost"]);
  });

  it("finds a lost partial update", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("update", 2, [6, 7, 10])
      .read([11, 12], set(1));
    expect(kinds(history)).toEqual(["lost"]);
  });

  it("finds a document that is back after its deletion", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("delete", 2, [6, 7, 10])
      .read([11, 12], set(1));
    expect(kinds(history)).toEqual(["resurrected"]);
  });

  it("finds an older value where a newer one had been seen to succeed", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("set", 2, [6, 7, 10])
      .read([11, 12], set(1));
    expect(kinds(history)).toEqual(["stale"]);
  });

  it("finds values of refused, failed and later writes", () => {
    const refused = new HistoryWriter()
      .write("set", 1, [0, 1], { outcome: "refused", answer: "503" })
      .read([2, 3], set(1));
    expect(kinds(refused)).toEqual(["phantom"]);
    const later = new HistoryWriter().read([0, 1], set(1)).write("set", 1, [2, 3, 4]);
    expect(kinds(later)).toEqual(["phantom"]);
    const failed = new HistoryWriter()
      .write("set", 1, [0, 1], { task: { status: "failed", at: 2, error: "{}" } })
      .read([3, 4], set(1));
    expect(kinds(failed)).toEqual(["phantom", "task-failed"]);
  });

  it("finds replicas that took two concurrent writes in different orders", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 9, 10])
      .write("set", 2, [0, 9, 10])
      .read([11, 12], set(1))
      .read([13, 14], set(2));
    expect(kinds(history)).toEqual(["no-legal-order"]);
  });

  it("finds a partial update that was folded out of order", () => {
    const history = new HistoryWriter()
      .write("set", 1, [0, 1, 2])
      .write("update", 2, [3, 8, 20])
      .write("set", 3, [3, 8, 20])
      .read([9, 10], set(3))
      .read([11, 12], set(1, { f0: 2 }))
      .read([21, 22], set(3, { f0: 2 }));
    expect(kinds(history)).toEqual(["no-legal-order"]);
  });

  it("finds torn, foreign and doubled documents and wrong hits", () => {
    const wrote = (): HistoryWriter =>
      new HistoryWriter().write("set", 1, [0, 1, 2]).write("set", 2, [0, 1, 2], { keys: ["k1"] });
    expect(kinds(wrote().read([3, 4], { ...set(1), text: "other" }))).toEqual(["malformed"]);
    expect(kinds(wrote().read([3, 4], { ...set(1), _miroir_shard: "((((" }))).toEqual(["malformed"]);
    const hit = ["k0", JSON.stringify(set(1))] as const;
    expect(kinds(wrote().read([3, 4], undefined, { found: [hit, hit] }))).toEqual(["duplicate-hit"]);
    expect(kinds(wrote().read([3, 4], set(1), { via: "marker", marker: 2, expected: [] }))).toEqual([
      "wrong-hit",
    ]);
  });

  it("finds tasks that failed or never ended, and refusals of correct requests", () => {
    expect(kinds(new HistoryWriter().write("set", 1, [0, 1]))).toEqual(["task-unfinished"]);
    const refused = new HistoryWriter().write("set", 1, [0, 1], {
      outcome: "refused",
      answer: "404 index_not_found",
    });
    expect(kinds(refused)).toEqual(["unexpected-answer"]);
  });

  it("finds epochs that went back, and two contents of one epoch", () => {
    const back = new HistoryWriter().epoch("proxy-0", [0, 1], 2, 5).epoch("proxy-0", [2, 3], 2, 4);
    expect(kinds(back)).toEqual(["epoch-went-back"]);
    const overlapping = new HistoryWriter().epoch("proxy-0", [0, 5], 2, 5).epoch("proxy-0", [2, 3], 2, 4);
    expect(kinds(overlapping)).toEqual([]);
    const two = new HistoryWriter()
      .epoch("control-0", [0, 1], 2, 5, "a")
      .epoch("control-1", [2, 3], 2, 5, "b");
    expect(kinds(two)).toEqual(["two-leaders"]);
  });
});

describe("long histories", () => {
  it("orders hundreds of overlapping writes of one document", () => {
    const history = new HistoryWriter();
    for (let at = 0; at < 400; at++) {
      history.write(at % 7 === 6 ? "delete" : "set", at, [at * 10, at * 10 + 35, at * 10 + 60]);
      if (at % 7 !== 6) history.read([at * 10 + 36, at * 10 + 37], set(at));
    }
    expect(kinds(history)).toEqual([]);
  });
});
