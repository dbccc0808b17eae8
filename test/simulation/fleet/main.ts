import { createShardHasher } from "../../../src/placement/shard.js";
import { simulate } from "./run.js";

const [from = "1", count = "1", mode = ""] = process.argv.slice(2);
const hasher = await createShardHasher();
const started = performance.now();
let virtual = 0;
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const report = await simulate(seed, {
    hasher,
    ...(mode === "trace" ? { say: (line: string) => process.stdout.write(`${line}\n`) } : {}),
  });
  virtual += report.virtualMs;
  if (report.findings.length > 0 || mode !== "") process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
}
const seconds = (performance.now() - started) / 1_000;
process.stdout.write(
  `${count} runs in ${seconds.toFixed(1)} s (${((seconds * 1_000) / Number(count)).toFixed(1)} ms each), ${(virtual / Number(count) / 1000).toFixed(1)} virtual s each\n`,
);
process.exit(0);
