import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { createOutput, messageJson, table } from "../../../src/cli/output.js";
import { startProgress } from "../../../src/cli/progress.js";
import { EpochSchema } from "../../../src/gen/miroir/v1/topology_pb.js";

function written(isTTY = false) {
  const chunks: string[] = [];
  return {
    stream: { write: (text: string) => chunks.push(text), isTTY },
    text: () => chunks.join(""),
    chunks,
  };
}

describe("a table", () => {
  it("lines columns up, numbers to the right, without spaces at the end of a line", () => {
    expect(
      table(
        ["NODE", "SHARDS", "ERROR"],
        [
          ["node-0", 7, ""],
          ["node-10", 1_024n, "down"],
        ],
      ),
    ).toBe("NODE     SHARDS  ERROR\nnode-0        7\nnode-10    1024  down");
  });

  it("shows its heading where there are no rows", () => {
    expect(table(["INDEX", "SHARDS"], [])).toBe("INDEX  SHARDS");
  });

  it("keeps a row's text on the row's line", () => {
    expect(table(["NODE", "ERROR"], [["node-0", "refused:\n  tab\there"]])).toBe(
      "NODE    ERROR\nnode-0  refused: tab here",
    );
  });
});

describe("a command's result", () => {
  it("is one JSON document for programs, with members that are zero and 64-bit integers as strings", () => {
    const { stream, text } = written();
    const output = createOutput(true, stream);
    const epoch = create(EpochSchema, { clusterId: "c", counter: 9_007_199_254_740_993n });
    output.result(messageJson(EpochSchema, epoch), () => output.line("for people"));
    expect(JSON.parse(text())).toEqual({ clusterId: "c", term: "0", counter: "9007199254740993" });
    expect(text().endsWith("}\n")).toBe(true);
  });

  it("is what is printed for people otherwise", () => {
    const { stream, text } = written();
    const output = createOutput(false, stream);
    output.result({ any: 1 }, () => {
      output.line("for people");
      output.line();
    });
    expect(text()).toBe("for people\n\n");
  });
});

describe("progress", () => {
  it("is a line for every tenth where nobody watches a terminal", () => {
    const { stream, text } = written();
    let time = 0;
    const progress = startProgress({ label: "importing", total: 200, now: () => time, stream });
    for (let done = 0; done <= 200; done += 5) {
      time = done * 10;
      progress.update(done);
    }
    progress.finish();
    const lines = text().trimEnd().split("\n");
    expect(lines).toHaveLength(12);
    expect(lines[0]).toBe("importing   0 %  0/200");
    expect(lines[5]).toBe("importing  50 %  100/200  1 s left");
    expect(lines.at(-2)).toBe("importing 100 %  200/200");
    expect(lines.at(-1)).toBe("importing: 200 in 2.0 s");
  });

  it("is one bar that is drawn over on a terminal", () => {
    const { stream, chunks } = written(true);
    const progress = startProgress({ label: "importing", total: 4, now: () => 0, stream });
    progress.update(1);
    progress.update(4);
    progress.finish();
    expect(chunks.every((chunk) => chunk.startsWith("\r\u001b[K"))).toBe(true);
    expect(chunks[0]).toContain(`[${"█".repeat(8)}${"·".repeat(22)}]  25 %  1/4`);
    expect(chunks[1]).toContain(`[${"█".repeat(30)}] 100 %  4/4`);
    expect(chunks.filter((chunk) => chunk.endsWith("\n"))).toHaveLength(1);
  });

  it("is whole where there is nothing to do", () => {
    const { stream, text } = written();
    startProgress({ label: "importing", total: 0, now: () => 0, stream }).update(0);
    expect(text()).toBe("importing 100 %  0/0\n");
  });
});
