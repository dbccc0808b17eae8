import fc from "fast-check";
import { expect, it } from "vitest";
import {
  type FencingToken,
  type JobClaimToken,
  type JobRow,
  jobId,
  jobStates,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { JobModel } from "../job-model.js";

interface Model {
  readonly jobs: JobModel;
  /** Every claim that was ever given, so that old ones are tried again. */
  readonly claims: JobClaimToken[];
}

interface Real {
  readonly harness: StoreHarness;
  /** Two handles on one store, which take turns. */
  readonly handles: [TaskStore, TaskStore];
  readonly fence: FencingToken;
  turn: number;
}

type Command = fc.AsyncCommand<Model, Real>;

// Of two alike in their first bytes, one in more bytes; `_` and `:` mean something in keys.
const id = fc.constantFrom("a", "b", "B", "a0", "ä", "_by", "a:b", "a%3Ab", "𝄞").map(jobId);
const type = fc.constantFrom("copy", "dump", "co:py", "_copy");
const types = fc.option(fc.array(type, { minLength: 1, maxLength: 3 }), { nil: undefined });
const holder = fc.constantFrom("p1", "p2", "p3");
const json = fc.option(fc.constantFrom('{"n":1}', '{"n": 9007199254740993}'), { nil: undefined });
const ttl = fc.constantFrom(1, 100, 30_000);
/** Which claim: counted from the latest, mostly. */
const claimIndex = fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 2 }) }, fc.nat({ max: 20 }));

function command(
  name: string,
  args: unknown,
  run: (model: Model, jobs: TaskStore["jobs"], real: Real) => Promise<void>,
): Command {
  return {
    check: () => true,
    toString: () => `${name}(${fc.stringify(args)})`,
    run: async (model, real) => {
      model.jobs.now = real.harness.clock.now();
      real.turn = 1 - real.turn;
      await run(model, real.handles[real.turn === 0 ? 0 : 1].jobs, real);
    },
  };
}

/** A write by the holder of some claim. */
function held<T>(
  name: string,
  args: fc.Arbitrary<T>,
  real: (jobs: TaskStore["jobs"], claim: JobClaimToken, args: T) => Promise<JobRow | undefined>,
  model: (jobs: JobModel, claim: JobClaimToken, args: T) => JobRow | undefined,
): fc.Arbitrary<Command> {
  return fc.tuple(claimIndex, args).map(([index, values]) =>
    command(name, [index, values], async ({ jobs, claims }, table) => {
      const claim = claims.at(-1 - index) ?? { id: jobId("a"), holder: "p1", attempt: 1 };
      expect(await real(table, claim, values)).toEqual(model(jobs, claim, values));
    }),
  );
}

const optional = <K extends string, V>(name: K, value: V | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [key in K]?: V };

const commands: fc.Arbitrary<Command>[] = [
  fc
    .record(
      {
        id,
        type,
        paramsJson: fc.constantFrom("{}", "[1.0]"),
        maxAttempts: fc.integer({ min: 1, max: 3 }),
        delayMs: fc.constantFrom(0, 1, 500),
      },
      { requiredKeys: ["id", "type", "paramsJson"] },
    )
    .map((job) =>
      command("enqueue", job, async ({ jobs }, table, { fence }) => {
        expect(await table.enqueue(job, fence)).toBe(jobs.enqueue(job));
      }),
    ),
  fc.tuple(holder, types, ttl).map(([who, which, ttlMs]) =>
    command("claim", [who, which, ttlMs], async ({ jobs, claims }, table) => {
      const row = await table.claim({ holder: who, ttlMs, ...optional("types", which) });
      expect(row).toEqual(jobs.claim(who, which, ttlMs));
      if (row !== undefined) claims.push({ id: row.id, holder: who, attempt: row.attempts });
    }),
  ),
  held(
    "heartbeat",
    fc.tuple(ttl, json),
    (table, claim, [ttlMs, progressJson]) =>
      table.heartbeat(claim, { ttlMs, ...optional("progressJson", progressJson) }),
    (jobs, claim, [ttlMs, progressJson]) => jobs.heartbeat(claim, ttlMs, progressJson),
  ),
  held(
    "complete",
    json,
    (table, claim, progressJson) => table.complete(claim, progressJson),
    (jobs, claim, progressJson) => jobs.complete(claim, progressJson),
  ),
  held(
    "fail",
    fc.tuple(fc.constantFrom("", "no luck"), fc.boolean()),
    (table, claim, [error, retry]) => table.fail(claim, { error, retry }),
    (jobs, claim, [error, retry]) => jobs.fail(claim, error, retry),
  ),
  held(
    "release",
    fc.constant(null),
    (table, claim) => table.release(claim),
    (jobs, claim) => jobs.release(claim),
  ),
  id.map((job) =>
    command("cancel", job, async ({ jobs }, table, { fence }) => {
      expect(await table.cancel(job, fence)).toEqual(jobs.cancel(job));
    }),
  ),
  fc
    .tuple(fc.option(fc.subarray([...jobStates]), { nil: undefined }), fc.integer({ min: 1, max: 4 }))
    .map(([states, limit]) =>
      command("list by pages", [states, limit], async ({ jobs }, table) => {
        let after: JobRow | undefined;
        for (;;) {
          const page = await table.list({
            limit,
            ...optional("states", states),
            ...optional("after", after),
          });
          expect(page).toEqual(jobs.list(states, after, limit));
          after = page.at(-1);
          if (page.length < limit) break;
        }
      }),
    ),
  fc.tuple(id, fc.constant(null)).map(([job]) =>
    command("get and count", job, async ({ jobs }, table) => {
      expect(await table.get(job)).toEqual(jobs.get(job));
      const counts = jobStates.map((state) => [state, jobs.count(state)]);
      expect(await table.countByState()).toEqual(Object.fromEntries(counts));
    }),
  ),
  fc
    .record(
      {
        ageMs: fc.constantFrom(0, 100, 5_000),
        keepFinished: fc.nat({ max: 3 }),
        limit: fc.integer({ min: 1, max: 3 }),
      },
      { requiredKeys: ["limit"] },
    )
    .map(({ ageMs, ...rest }) =>
      command("prune", { ageMs, ...rest }, async ({ jobs }, _table, { handles, fence, harness }) => {
        const rule = {
          ...rest,
          ...optional("finishedBefore", ageMs === undefined ? undefined : harness.clock.now() - ageMs),
        };
        expect(await handles[0].retention.pruneJobs(rule, fence)).toBe(jobs.prune(rule));
      }),
    ),
  fc
    .constantFrom(1, 99, 100, 1_000, 30_000, 600_000)
    .map((ms) => command("wait", ms, async (_model, _table, { harness }) => harness.clock.advance(ms))),
  fc.constant(
    command("reopen", null, async (_model, _table, real) => {
      await real.handles[0].close();
      real.handles[0] = await real.harness.open();
    }),
  ),
];

/** Queueing and claiming come first in the list, and more often than the rest. */
const weighted = [...commands, ...commands.slice(0, 2), ...commands.slice(0, 2)];

/** Runs of up to 120 commands each; more by the environment for long runs. */
const numRuns = Number(process.env.MIROIR_STORE_MODEL_RUNS ?? 60);

export function describeJobsModel(factory: StoreFactory): void {
  it("answer any sequence of calls as an in-memory model does", {
    timeout: 30_000 + numRuns * 500,
  }, async () => {
    let ran = 0;
    await fc.assert(
      fc.asyncProperty(fc.commands(weighted, { size: "max", maxCommands: 120 }), async (sequence) => {
        const harness = await factory();
        try {
          const handles: [TaskStore, TaskStore] = [await harness.open(), await harness.open()];
          const fence = await lead(handles[0]);
          const model: Model = { jobs: new JobModel(harness.clock.now()), claims: [] };
          await fc.asyncModelRun(() => ({ model, real: { harness, handles, fence, turn: 0 } }), sequence);
          ran += [...sequence].length;
        } finally {
          await harness.dispose();
        }
      }),
      { numRuns },
    );
    expect(ran).toBeGreaterThan(numRuns * 34);
  });
}
