import { corpusShape, createRequestGenerator } from "../fidelity/requests.js";
import { seededRandom } from "../support/random.js";
import { closedLoop, type LoadResult } from "./load.js";
import { type BenchRow, type BenchTarget, benchRow } from "./target.js";

/** How searches are measured. */
export interface SearchBenchOptions {
  readonly durationMs: number;
  readonly repeats: number;
  readonly clients: readonly number[];
}

const INDEX = "bench";
const BATCH = 5_000;
const DISTINCT_REQUESTS = 500;
const WARM_UP_MS = 1_000;

/** Loads the corpus into both sides and measures the same mixed searches on each, taking turns. */
export async function benchSearch(
  targets: readonly BenchTarget[],
  documents: readonly Record<string, unknown>[],
  options: SearchBenchOptions,
): Promise<BenchRow[]> {
  const shape = corpusShape(documents, "id");
  for (const target of targets) await load(target, documents, shape.settings);
  const next = createRequestGenerator(documents, shape, "id", seededRandom(7));
  const bodies = await answeredBodies(targets, () => JSON.stringify(next().body));
  const measure = (target: BenchTarget, clients: number, durationMs: number): Promise<LoadResult> =>
    closedLoop({
      url: target.api.url,
      ...(target.key === undefined ? {} : { key: target.key }),
      clients,
      durationMs,
      requests: bodies.map((body) => ({ method: "POST", path: `/indexes/${INDEX}/search`, body })),
    });
  const rows: BenchRow[] = [];
  for (const clients of options.clients) {
    const pairs: { node: LoadResult; miroir: LoadResult }[] = [];
    for (const target of targets) await measure(target, clients, WARM_UP_MS);
    for (let repeat = 0; repeat < options.repeats; repeat++) {
      const results: LoadResult[] = [];
      for (const target of targets) results.push(await measure(target, clients, options.durationMs));
      const [node, miroir] = results;
      if (node === undefined || miroir === undefined) throw new Error("two targets are needed");
      if (node.failures + miroir.failures > 0)
        throw new Error(`${node.failures} and ${miroir.failures} searches failed`);
      pairs.push({ node, miroir });
    }
    const plural = clients === 1 ? "1 client" : `${clients} clients`;
    for (const [name, unit] of [
      ["perSecond", "searches/s"],
      ["p50", "p50 ms"],
      ["p99", "p99 ms"],
    ] as const) {
      rows.push(
        benchRow(
          `${unit}, ${plural}`,
          pairs.map(({ node, miroir }) => ({ node: node[name], miroir: miroir[name] })),
        ),
      );
    }
  }
  return rows;
}

/** Requests that every side answers with 200: a refusal costs nothing, and would flatter whoever gives it. */
async function answeredBodies(targets: readonly BenchTarget[], next: () => string): Promise<string[]> {
  const bodies: string[] = [];
  while (bodies.length < DISTINCT_REQUESTS) {
    const body = next();
    const answers = await Promise.all(
      targets.map(({ api }) => api.send("POST", `/indexes/${INDEX}/search`, body)),
    );
    if (answers.every(({ status }) => status === 200)) bodies.push(body);
  }
  return bodies;
}

async function load(
  target: BenchTarget,
  documents: readonly Record<string, unknown>[],
  settings: unknown,
): Promise<void> {
  const tasks: number[] = [];
  const settingsTask = await target.api.ok<{ taskUid: number }>(
    "PATCH",
    `/indexes/${INDEX}/settings`,
    settings,
  );
  tasks.push(settingsTask.taskUid);
  for (let start = 0; start < documents.length; start += BATCH) {
    const path = `/indexes/${INDEX}/documents?primaryKey=id`;
    tasks.push(
      (await target.api.ok<{ taskUid: number }>("POST", path, documents.slice(start, start + BATCH))).taskUid,
    );
  }
  for (const task of tasks) await target.api.waitForTask(task, 600_000);
}
