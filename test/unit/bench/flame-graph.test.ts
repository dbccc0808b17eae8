import { expect, it } from "vitest";
import { type CpuProfile, frameTree, shares } from "../../bench/cpu-profile.js";
import { drawFlameGraph } from "../../bench/flame-graph.js";
import { bundleFiles, frameSource } from "../../bench/frame-sources.js";

const BUNDLE_URL = "file:///home/somebody/app/node_modules/.cache/child-programs/src-cli-main.mjs";
const BUNDLE = bundleFiles(
  [
    "import x from 'x';",
    "// src/json/scan.ts",
    "function scan() {",
    "}",
    "// src/merge/merge.ts",
    "merge",
  ].join("\n"),
);
const sourceOf = (url: string, line: number) =>
  frameSource(url, line, (of) => (of === BUNDLE_URL ? BUNDLE : undefined));

const frame = (
  id: number,
  functionName: string,
  url: string,
  lineNumber: number,
  children: number[] = [],
) => ({
  id,
  callFrame: { functionName, url, lineNumber },
  children,
});

/** Of ten milliseconds the loop is idle for two. Of the other eight: 3 scan, 1 merge itself, 2 undici, 1 node:net, 1 the collector. */
const PROFILE: CpuProfile = {
  nodes: [
    frame(1, "(root)", "", -1, [2, 3, 7]),
    frame(2, "(idle)", "", -1),
    frame(3, "merge<A>", BUNDLE_URL, 5, [4, 5, 8]),
    frame(4, "scan", BUNDLE_URL, 2),
    frame(5, "onData", "file:///home/somebody/app/node_modules/undici/lib/client.js", 9, [6]),
    frame(6, "", "node:net", 700),
    frame(7, "(garbage collector)", "", -1),
    frame(8, "scan", BUNDLE_URL, 3),
  ],
  samples: [2, 4, 3, 5, 6, 7, 8, 2],
  timeDeltas: [0, 1_500, 2_000, 1_000, 2_000, 1_000, 1_000, 1_000, 500],
};

it("adds up what each caller's callees took, without idle time", () => {
  const root = frameTree(PROFILE, sourceOf);
  expect(root.total).toBe(8_000);
  const merge = [...root.children.values()].find(({ name }) => name === "merge<A>");
  expect(merge).toMatchObject({
    self: 1_000,
    total: 7_000,
    source: { group: "miroir", file: "src/merge/merge.ts" },
  });
  expect([...(merge?.children.values() ?? [])].map(({ name, self, total }) => [name, self, total])).toEqual(
    expect.arrayContaining([
      ["scan", 3_000, 3_000],
      ["onData", 2_000, 3_000],
    ]),
  );
});

it("tells whose code took the time, by group, part and function", () => {
  const { areas, functions, groups } = shares(frameTree(PROFILE, sourceOf));
  expect(groups).toEqual([
    { group: "miroir", name: "miroir", percent: 50 },
    { group: "dependencies", name: "dependencies", percent: 25 },
    { group: "native", name: "native", percent: 12.5 },
    { group: "node", name: "node", percent: 12.5 },
  ]);
  expect(areas.map(({ name, percent }) => [name, percent])).toEqual([
    ["src/json", 37.5],
    ["undici", 25],
    ["(garbage collector)", 12.5],
    ["node:net", 12.5],
    ["src/merge", 12.5],
  ]);
  expect(functions[0]).toEqual({ group: "miroir", name: "scan (src/json/scan.ts)", percent: 37.5 });
});

it("draws every frame with its share, the same each time, and nothing of the machine", () => {
  const svg = drawFlameGraph("a search", frameTree(PROFILE, sourceOf), 0);
  expect(drawFlameGraph("a search", frameTree(PROFILE, sourceOf), 0)).toBe(svg);
  expect(svg).not.toContain("somebody");
  expect(svg).toContain("<title>scan src/json/scan.ts: 37.5 %</title>");
  expect(svg).toContain("<title>merge&lt;A> src/merge/merge.ts: 87.5 %, itself 12.5 %</title>");
  expect(svg).toContain("<title>onData undici/lib/client.js: 37.5 %, itself 25.0 %</title>");
  expect(svg).toContain("<title>(anonymous) node:net: 12.5 %</title>");
  expect(svg).not.toContain("(idle)");
});

it("leaves out frames that are too small to see", () => {
  const svg = drawFlameGraph("a search", frameTree(PROFILE, sourceOf), 20);
  expect(svg).toContain("undici");
  expect(svg).not.toContain("node:net");
});

it("names functions of a package that was not bundled by their place in it", () => {
  const source = (url: string) => sourceOf(url, 0);
  expect(source("file:///opt/miroir/dist/merge/merge.js")).toEqual({
    group: "miroir",
    file: "dist/merge/merge.js",
  });
  expect(source("wasm://wasm/00034eea")).toEqual({ group: "dependencies", file: "WebAssembly" });
  expect(source("file:///opt/app/node_modules/@grpc/grpc-js/build/src/call.js")).toEqual({
    group: "dependencies",
    file: "@grpc/grpc-js/build/src/call.js",
  });
});
