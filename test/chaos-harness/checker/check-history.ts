/** The judge of a run: everything that its history shows and that must not be. */
import { type HistoryRecord, recordsOf, type WriteRecord } from "../history.js";
import { checkEpochs } from "./check-epochs.js";
import { checkReads } from "./check-reads.js";
import { described, keyHistories } from "./key-history.js";
import type { Violation } from "./violation.js";

/** Statuses that no correct request to an existing index gets; 5xx are the fleet's to give while it is hurt. */
const WRONG_STATUS = /^4(?!04 document_not_found|08|29)\d\d /;

/**
 * Judges a history whose last reads were made once the fleet had come to rest: no acknowledged write lost, none back
 * from the dead, every read explained by one order of each document's writes, hits neither doubled, missing nor wrong,
 * every acknowledged write's task succeeded, epochs that only grow. Empty where all of that holds.
 */
export function checkHistory(history: readonly HistoryRecord[]): readonly Violation[] {
  const writes = recordsOf(history, "write");
  const byNumber = new Map(writes.map((write) => [write.id, write]));
  const { histories, violations } = keyHistories(history);
  return [
    ...violations,
    ...histories.flatMap((key) => checkReads(key, byNumber)),
    ...checkMarkers(history),
    ...writes.flatMap(checkTask),
    ...checkAnswers(history),
    ...checkEpochs(recordsOf(history, "epoch")),
  ];
}

function checkMarkers(history: readonly HistoryRecord[]): readonly Violation[] {
  return recordsOf(history, "read").flatMap((read): Violation[] => {
    if (read.marker === undefined) return [];
    const wrong = read.found.filter(
      ([, text]) => (JSON.parse(text) as { base?: unknown }).base !== read.marker,
    );
    return wrong.map(([key, text]) => ({
      kind: "wrong-hit",
      detail: `${described(read)} for the word of write ${read.marker} found ${key}: ${text}`,
    }));
  });
}

function checkTask(write: WriteRecord): readonly Violation[] {
  if (write.outcome !== "acknowledged") return [];
  if (write.task === undefined) {
    return [
      { kind: "task-unfinished", detail: `task ${write.taskUid} of write ${write.id} was never seen to end` },
    ];
  }
  if (write.task.status === "succeeded") return [];
  const error = write.task.error ?? "";
  return [
    {
      kind: "task-failed",
      detail: `task ${write.taskUid} of write ${write.id} ${write.task.status}: ${error}`,
    },
  ];
}

function checkAnswers(history: readonly HistoryRecord[]): readonly Violation[] {
  const answers = [
    ...recordsOf(history, "failed-read").map(({ via, answer }) => ({ what: via, answer })),
    ...recordsOf(history, "write")
      .filter(({ outcome }) => outcome !== "acknowledged")
      .map(({ write, answer }) => ({ what: write, answer })),
  ];
  const counts = new Map<string, number>();
  for (const { what, answer } of answers) {
    if (!WRONG_STATUS.test(answer)) continue;
    const key = `${what}: ${answer}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([answer, count]) => ({
    kind: "unexpected-answer",
    detail: `${answer} (${count} times)`,
  }));
}
