import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { hitAt } from "../../../src/merge/hit.js";
import { parsePartAnswer } from "../../../src/merge/part-answer.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as (options?: { readonly type: "minor" }) => void;

const HIT =
  '{"id":1,"_rankingScoreDetails":{"words":{"order":0,"matchingWords":1,"maxMatchingWords":1,"score":1}}}';
const BODY = Buffer.from(
  `{"hits":[${Array(20).fill(HIT).join(",")}],"query":"a","processingTimeMs":1,"limit":20,"offset":0,"estimatedTotalHits":20}`,
);
const ROUNDS = 500;
const ATTEMPTS = 5;

/**
 * Bytes of the heap that each round of some work leaves behind when the young generation alone is collected: the least of some attempts,
 * since a full collection that has begun meanwhile keeps what there is.
 */
function leftBehind(work: () => unknown): number {
  const attempt = (): number => {
    collect();
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let round = 0; round < ROUNDS; round++) work();
    collect({ type: "minor" });
    collect({ type: "minor" });
    return (process.memoryUsage().heapUsed - before) / ROUNDS;
  };
  return Math.min(...Array.from({ length: ATTEMPTS }, attempt));
}

it("leaves nothing of an answer to full collections, which would come often and take long", () => {
  const answers = leftBehind(() => parsePartAnswer(BODY, 0).hits.map(({ details }) => details));
  const hits = leftBehind(() => hitAt(BODY.subarray(9, 9 + HIT.length), 0, 0).details);
  expect(answers).toBeLessThan(4_000);
  expect(hits).toBeLessThan(200);
});
