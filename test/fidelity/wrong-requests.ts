import type { SeededRandom } from "../support/random.js";
import type { CorpusShape } from "./requests.js";

type Body = Readonly<Record<string, unknown>>;

/** A search that a node refuses: unknown members, values out of range or of another type, filters and sorts that do not read. */
export function wrongRequest(shape: CorpusShape, random: SeededRandom): Body {
  const field = random.pick([...shape.labelFields, ...shape.numberFields]);
  const unknown = random.pick(["nowhere", "no where", "é", "_geo.x", ""]);
  return random.pick<() => Body>([
    () => ({ q: 7 }),
    () => ({ q: "a", limit: random.pick([-1, "ten", 1.5, null, {}]) }),
    () => ({ q: "a", offset: random.pick([-1, "ten", []]) }),
    () => ({ q: "a", page: random.pick([-1, "one"]), hitsPerPage: 3 }),
    () => ({ q: "a", [unknown]: 1 }),
    () => ({ filter: `${unknown} = 1` }),
    () => ({ filter: `${field} =` }),
    () => ({ filter: `(${field} = 1 AND ${unknown} = 2` }),
    () => ({ filter: [[`${field} > 1`, `${field} !!`], `${field} = "a`] }),
    () => ({ filter: random.pick([7, { a: 1 }, [[["deep"]]], [7]]) }),
    () => ({ filter: `_geoRadius(${random.pick(["1", "1, 2", "900, 1, 2", "a, b, c"])})` }),
    () => ({ filter: `_geoBoundingBox([1, 2], ${random.pick(["[3]", "[91, 2]", "3, 4"])})` }),
    () => ({ sort: [`${unknown}:asc`] }),
    () => ({ sort: [`${field}:${random.pick(["up", "", "ASC"])}`] }),
    () => ({ sort: random.pick(["text", [7], [field]]) }),
    () => ({ sort: [`_geoPoint(${random.pick(["1", "91, 2", "a, b"])}):asc`] }),
    () => ({ facets: [unknown] }),
    () => ({ facets: random.pick(["text", [1], { a: 1 }]) }),
    () => ({ distinct: unknown }),
    () => ({ distinct: 7 }),
    () => ({ q: "a", attributesToSearchOn: [unknown] }),
    () => ({ q: "a", attributesToRetrieve: "id" }),
    () => ({ q: "a", matchingStrategy: random.pick(["none", 1, null]) }),
    () => ({ q: "a", rankingScoreThreshold: random.pick([1.1, -0.1, "high"]) }),
    () => ({ q: "a", cropLength: -1, attributesToCrop: ["*"] }),
    () => ({ q: "a", highlightPreTag: 7 }),
    () => ({ q: "a", hybrid: random.pick([{ embedder: "missing" }, { semanticRatio: 0.5 }, 7]) }),
    () => ({ q: "a", vector: random.pick([[1, 2], "text", ["a"]]), hybrid: { embedder: "default" } }),
    () => ({ q: "a", locales: ["nowhere"] }),
    () => ({ q: "a", showRankingScore: "yes" }),
  ])();
}
