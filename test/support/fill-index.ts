import type { MeilisearchHttp } from "./meilisearch-http.js";

const BATCH = 5_000;

/** Adds documents with the primary key `id`, batch after batch, and waits until each is indexed. */
export async function fillIndex(
  api: MeilisearchHttp,
  index: string,
  documents: readonly object[],
): Promise<void> {
  for (let at = 0; at < documents.length; at += BATCH) {
    const path = `/indexes/${index}/documents?primaryKey=id`;
    const { taskUid } = await api.ok<{ taskUid: number }>("POST", path, documents.slice(at, at + BATCH));
    await api.waitForTask(taskUid, 600_000);
  }
}
