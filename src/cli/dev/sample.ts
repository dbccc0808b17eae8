import { readFileSync } from "node:fs";
import { startProgress } from "../progress.js";
import type { EnqueuedAnswer, ProxyApi } from "../proxy-api.js";

/** The index that holds the sample corpus. */
export const SAMPLE_INDEX = "movies";

const BATCH = 250;
const TASK_TIMEOUT_MS = 120_000;

/** The sample corpus that the package carries: one JSON document a line. */
export function sampleDocuments(): string[] {
  const file = new URL("../../../samples/movies.ndjson", import.meta.url);
  return readFileSync(file, "utf8").trimEnd().split("\n");
}

/** How the sample got into the fleet. */
export type SampleResult =
  | { readonly kind: "imported"; readonly documents: number }
  | { readonly kind: "present"; readonly documents: number };

/**
 * Imports the sample through the proxy, with progress, unless its index exists already.
 *
 * @throws CommandError when the fleet refuses a write or a task fails.
 */
export async function importSample(
  api: ProxyApi,
  now: () => number,
  stream: { write(text: string): unknown; readonly isTTY?: boolean },
): Promise<SampleResult> {
  const { results } = await api.call<{ results: { uid: string }[] }>("GET", "/indexes?limit=1000");
  if (results.some((index) => index.uid === SAMPLE_INDEX)) {
    const stats = await api.call<{ numberOfDocuments: number }>("GET", `/indexes/${SAMPLE_INDEX}/stats`);
    return { kind: "present", documents: stats.numberOfDocuments };
  }
  const documents = sampleDocuments();
  const progress = startProgress({ label: "importing the sample", total: documents.length, now, stream });
  progress.update(0);
  const created = await api.call<EnqueuedAnswer>("POST", "/indexes", { uid: SAMPLE_INDEX, primaryKey: "id" });
  await api.taskDone(created.taskUid, TASK_TIMEOUT_MS);
  await api.call<EnqueuedAnswer>("PATCH", `/indexes/${SAMPLE_INDEX}/settings`, {
    filterableAttributes: ["genres", "year", "decade"],
    sortableAttributes: ["title", "year"],
  });
  const tasks: { uid: number; documents: number }[] = [];
  for (let start = 0; start < documents.length; start += BATCH) {
    const batch = documents.slice(start, start + BATCH);
    const { taskUid } = await api.call<EnqueuedAnswer>(
      "POST",
      `/indexes/${SAMPLE_INDEX}/documents`,
      batch.join("\n"),
    );
    tasks.push({ uid: taskUid, documents: batch.length });
  }
  let done = 0;
  for (const task of tasks) {
    await api.taskDone(task.uid, TASK_TIMEOUT_MS);
    done += task.documents;
    progress.update(done);
  }
  progress.finish();
  return { kind: "imported", documents: documents.length };
}
