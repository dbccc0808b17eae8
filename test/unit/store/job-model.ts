import type { JobClaimToken, JobRow, JobState, NewJob } from "../../../src/store/task-store.js";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Jobs in memory, written to be obvious: every question is answered by looking at everything. */
export class JobModel {
  readonly #jobs: Mutable<JobRow>[] = [];
  now: number;

  constructor(now: number) {
    this.now = now;
  }

  enqueue({ id, type, paramsJson, maxAttempts = 5, delayMs = 0 }: NewJob): boolean {
    if (this.get(id) !== undefined) return false;
    this.#jobs.push({
      id,
      type,
      paramsJson,
      maxAttempts,
      runAfter: this.now + delayMs,
      state: "queued",
      claim: null,
      progressJson: "{}",
      attempts: 0,
      cancelRequested: false,
      error: null,
      createdAt: this.now,
      updatedAt: this.now,
      finishedAt: null,
    });
    return true;
  }

  get(id: string): JobRow | undefined {
    return this.#jobs.find((job) => job.id === id);
  }

  claim(holder: string, types: readonly string[] | undefined, ttlMs: number): JobRow | undefined {
    for (;;) {
      const [job] = this.#jobs
        .filter((job) => types === undefined || types.includes(job.type))
        .filter((job) =>
          job.claim === null
            ? job.state === "queued" && job.runAfter <= this.now
            : job.claim.expiresAt <= this.now,
        )
        .sort((a, b) => a.runAfter - b.runAfter || byCreation(a, b));
      if (job === undefined) return undefined;
      if (job.claim !== null && job.cancelRequested) this.#end(job, "canceled");
      else if (job.claim !== null && job.attempts >= job.maxAttempts) {
        this.#end(job, "failed");
        job.error = "The last attempt ended without a word: its holder stopped its heartbeats.";
      } else {
        job.state = "in_progress";
        job.claim = { holder, expiresAt: this.now + ttlMs };
        job.attempts++;
        job.updatedAt = this.now;
        return job;
      }
    }
  }

  heartbeat(token: JobClaimToken, ttlMs: number, progressJson: string | undefined): JobRow | undefined {
    return this.#held(token, (job) => {
      job.claim = { holder: token.holder, expiresAt: this.now + ttlMs };
      job.progressJson = progressJson ?? job.progressJson;
    });
  }

  complete(token: JobClaimToken, progressJson: string | undefined): JobRow | undefined {
    return this.#held(token, (job) => {
      this.#end(job, "completed");
      job.progressJson = progressJson ?? job.progressJson;
    });
  }

  fail(token: JobClaimToken, error: string, retry: boolean): JobRow | undefined {
    return this.#held(token, (job) => {
      job.error = error;
      if (job.cancelRequested) this.#end(job, "canceled");
      else if (!retry || job.attempts >= job.maxAttempts) this.#end(job, "failed");
      else {
        job.state = "queued";
        job.claim = null;
        let backoff = 1_000;
        for (let attempt = 1; attempt < job.attempts; attempt++) backoff = Math.min(backoff * 2, 300_000);
        job.runAfter = this.now + backoff;
      }
    });
  }

  release(token: JobClaimToken): JobRow | undefined {
    return this.#held(token, (job) => {
      if (job.cancelRequested) this.#end(job, "canceled");
      else {
        job.state = "queued";
        job.claim = null;
        job.maxAttempts++;
      }
    });
  }

  cancel(id: string): JobRow | undefined {
    const job = this.#jobs.find((candidate) => candidate.id === id);
    if (job?.state === "queued") {
      this.#end(job, "canceled");
      job.cancelRequested = true;
    }
    if (job?.state === "in_progress" && !job.cancelRequested) {
      job.cancelRequested = true;
      job.updatedAt = this.now;
    }
    return job;
  }

  list(states: readonly JobState[] | undefined, after: JobRow | undefined, limit: number): JobRow[] {
    return this.#jobs
      .filter((job) => states === undefined || states.includes(job.state))
      .filter((job) => after === undefined || byCreation(after, job) < 0)
      .sort(byCreation)
      .slice(0, limit);
  }

  count(state: JobState): number {
    return this.list([state], undefined, Number.POSITIVE_INFINITY).length;
  }

  prune(rule: { finishedBefore?: number; keepFinished?: number; limit: number }): number {
    const { finishedBefore = -Infinity, keepFinished = Infinity, limit } = rule;
    const finished = this.#jobs
      .filter((job) => job.finishedAt !== null)
      .sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0) || byCreation(a, b));
    const old = finished.filter((job) => (job.finishedAt ?? 0) < finishedBefore).slice(0, limit);
    const excess = finished.slice(old.length, Math.max(old.length, finished.length - keepFinished));
    const doomed = [...old, ...excess].slice(0, limit);
    for (const job of doomed) this.#jobs.splice(this.#jobs.indexOf(job), 1);
    return doomed.length;
  }

  #held(token: JobClaimToken, change: (job: Mutable<JobRow>) => void): JobRow | undefined {
    const job = this.#jobs.find((candidate) => candidate.id === token.id);
    if (job?.claim?.holder !== token.holder || job.attempts !== token.attempt) return undefined;
    change(job);
    job.updatedAt = this.now;
    return job;
  }

  #end(job: Mutable<JobRow>, state: "completed" | "failed" | "canceled"): void {
    job.state = state;
    job.claim = null;
    job.updatedAt = this.now;
    job.finishedAt = this.now;
  }
}

function byCreation(a: JobRow, b: JobRow): number {
  return a.createdAt - b.createdAt || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));
}
