import { describe, expect, it } from "vitest";
import { decodeJob, encodeJob, type JobRecord } from "../../../src/store/job-record.js";
import { checkNewJob, queueJob } from "../../../src/store/job-transitions.js";
import { jobId, StoreCorruptError } from "../../../src/store/task-store.js";

const queued = encodeJob(queueJob(checkNewJob({ id: jobId("j"), type: "t", paramsJson: "{}" }), 1_000));

describe("a stored job that makes no sense", () => {
  const damaged: Record<string, Partial<JobRecord>> = {
    "has a state that there is not": { state: "paused" },
    "is queued, and finished": { finished_at: 5 },
    "is completed, and was never finished": { state: "completed" },
    "is in progress, and claimed by nobody": { state: "in_progress", claim_expires_at: 5 },
    "is in progress, and claimed for ever": { state: "in_progress", claimed_by: "p" },
    "is queued, and claimed": { claimed_by: "p", claim_expires_at: 5 },
  };
  for (const [name, change] of Object.entries(damaged)) {
    it(`is reported as damage where it ${name}`, () => {
      expect(() => decodeJob({ ...queued, ...change })).toThrow(StoreCorruptError);
    });
  }

  it("is told from one that does", () => {
    expect(encodeJob(decodeJob(queued))).toEqual(queued);
  });
});
