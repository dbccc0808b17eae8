import { describe, expect, it } from "vitest";
import { checkReplicas } from "../../chaos-harness/checker/check-replicas.js";
import { checkVacuity, countRun } from "../../chaos-harness/checker/check-vacuity.js";
import { minimumOf } from "../../chaos-harness/run-options.js";
import { HistoryWriter, set } from "./histories.js";

describe("replicas at the end of a run", () => {
  const replica = (node: string, documents: readonly string[]) => ({
    index: "left",
    shard: 3,
    node,
    documents,
  });

  it("are the same where every shard is, whatever other shards hold", () => {
    const others = [{ ...replica("node-2", ["z"]), shard: 4 }];
    expect(checkReplicas([replica("node-0", ["a", "b"]), replica("node-1", ["a", "b"]), ...others])).toEqual(
      [],
    );
  });

  it("are told apart by what each holds alone", () => {
    const [found] = checkReplicas([replica("node-0", ["a", "b"]), replica("node-1", ["a", "c"])]);
    expect(found?.kind).toBe("divergent-replicas");
    expect(found?.detail).toBe("left, shard 3: node-0 alone holds b; node-1 alone holds c");
  });
});

describe("a run that met nothing", () => {
  it("is vacuous", () => {
    const { records } = new HistoryWriter()
      .write("set", 1, [0, 1, 5])
      .write("set", 2, [6, 7, 9])
      .read([8, 9], set(1));
    const figures = countRun(records, { kills: 0, switches: 0 });
    expect(figures).toMatchObject({ writes: 2, acknowledged: 2, reads: 1, overlaps: 0, kills: 0 });
    const found = checkVacuity(figures, minimumOf(60_000, ["kill", "topology"], true));
    expect(found.map(({ kind }) => kind)).toEqual(new Array(5).fill("vacuous"));
    expect(checkVacuity(figures, minimumOf(1_000, [], true)).map(({ detail }) => detail)).toEqual([
      "1 reads, at least 2 are needed",
    ]);
  });

  it("counts writes to one document that are under way at once", () => {
    const { records } = new HistoryWriter().write("set", 1, [0, 1, 5]).write("delete", 2, [3, 4, 9]);
    expect(countRun(records, { kills: 0, switches: 0 }).overlaps).toBe(1);
  });
});
