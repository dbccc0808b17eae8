import { type BenchRow, type BenchTarget, benchRow } from "./target.js";

const BATCH = 1_000;

/** Sends the corpus in batches to a fresh index of each side, taking turns; seconds until accepted and until searchable. */
export async function benchIngest(
  targets: readonly BenchTarget[],
  documents: readonly Record<string, unknown>[],
  repeats: number,
): Promise<BenchRow[]> {
  const accepted: { node: number; miroir: number }[] = [];
  const searchable: { node: number; miroir: number }[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const times: { accepted: number; searchable: number }[] = [];
    for (const target of targets) times.push(await ingest(target, `ingest-${repeat}`, documents));
    const [node, miroir] = times;
    if (node === undefined || miroir === undefined) throw new Error("two targets are needed");
    accepted.push({ node: node.accepted, miroir: miroir.accepted });
    searchable.push({ node: node.searchable, miroir: miroir.searchable });
  }
  return [
    benchRow("seconds until all are accepted", accepted),
    benchRow("seconds until all are searchable", searchable),
  ];
}

async function ingest(
  target: BenchTarget,
  index: string,
  documents: readonly Record<string, unknown>[],
): Promise<{ accepted: number; searchable: number }> {
  const bodies: string[] = [];
  for (let start = 0; start < documents.length; start += BATCH)
    bodies.push(JSON.stringify(documents.slice(start, start + BATCH)));
  const started = performance.now();
  const tasks: number[] = [];
  for (const body of bodies) {
    tasks.push(
      (await target.api.ok<{ taskUid: number }>("POST", `/indexes/${index}/documents?primaryKey=id`, body))
        .taskUid,
    );
  }
  const accepted = (performance.now() - started) / 1_000;
  for (const task of tasks) await target.api.waitForTask(task, 600_000);
  const searchable = (performance.now() - started) / 1_000;
  const { taskUid } = await target.api.ok<{ taskUid: number }>("DELETE", `/indexes/${index}`);
  await target.api.waitForTask(taskUid);
  return { accepted, searchable };
}
