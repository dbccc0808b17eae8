import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { table } from "../../src/cli/output.js";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";
import { authorization } from "./wrong-requests/authorization.js";
import { bodies } from "./wrong-requests/bodies.js";
import { filtersAndSorts } from "./wrong-requests/filters.js";
import { routes } from "./wrong-requests/routes.js";
import { failingTasks } from "./wrong-requests/tasks.js";
import { validation } from "./wrong-requests/validation.js";

const realIt = realNodeOnly();

const categories = [validation, filtersAndSorts, authorization, bodies, routes, failingTasks];

describe("wrong requests, as one Meilisearch refuses them", () => {
  let sides: SideBySide;
  const counts: string[][] = [];
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(async () => {
    await sides?.stop();
    if (counts.length === 0) return;
    const sum = (column: number) => `${counts.reduce((total, row) => total + Number(row[column]), 0)}`;
    const all = ["in all", sum(1), sum(2), sum(3)];
    process.stderr.write(`${table(["CATEGORY", "QUOTA", "REQUESTS", "EQUAL"], [...counts, all])}\n`);
  });

  it("has no request twice, and enough of every category", () => {
    const texts = categories.flatMap(({ requests }) => requests.map((request) => JSON.stringify(request)));
    expect(texts.filter((text, at) => texts.indexOf(text) !== at)).toEqual([]);
    for (const { category, quota, requests } of categories) {
      expect(requests.length, category).toBeGreaterThanOrEqual(quota);
    }
  });

  for (const { category, quota, prepare, requests, alone = false } of categories) {
    realIt(category, { timeout: 120_000 }, async () => {
      const prepared = await sides.compareSteps({ name: "prepare", alone: true, steps: prepare });
      expect(prepared.filter(({ refused, difference }) => refused || difference !== undefined)).toEqual([]);
      const compared = await sides.compareSteps({ name: category, alone, steps: requests });
      const different = compared.flatMap(({ difference }) => difference ?? []);
      counts.push([category, `${quota}`, `${compared.length}`, `${compared.length - different.length}`]);
      expect(different.join("\n")).toBe("");
      expect(compared.filter(({ refused }) => !refused).map(({ step }) => JSON.stringify(step))).toEqual([]);
    });
  }
});
