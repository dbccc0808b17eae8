import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { DEFAULT_MASTER_KEY, hasRealNode, type StartedNodes, startNodes } from "../support/nodes.js";
import { WRITE_CASES, type WriteCase } from "./proxy-write-cases.js";

/** What a client sees of one write: the answer, or the task that it became, and what can be read afterwards. */
interface Seen {
  readonly status: number;
  readonly body?: string;
  readonly task?: unknown;
  readonly read?: string;
}

const AUTHORIZATION = `Bearer ${DEFAULT_MASTER_KEY}`;
/** `MIROIR_WRITE_CASES=all` makes every write; else of those that are accepted into an index of their own one in this many. */
const SAMPLE = process.env.MIROIR_WRITE_CASES === "all" ? 1 : 5;
/** Cases that are under way at once; each of them has an index of its own. */
const CONCURRENCY = 6;

async function get(url: string): Promise<string> {
  const answer = await request(url, { headers: { authorization: AUTHORIZATION } });
  return answer.body.text();
}

async function finishedTask(base: string, uid: number): Promise<Record<string, unknown>> {
  for (;;) {
    const task = JSON.parse(await get(`${base}/tasks/${uid}`)) as Record<string, unknown>;
    if (task.status !== "enqueued" && task.status !== "processing") return task;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function send(base: string, write: WriteCase, index: string) {
  const answer = await request(base + write.path.replace("{i}", index), {
    method: write.method,
    body: write.body ?? null,
    headers: {
      authorization: AUTHORIZATION,
      ...(typeof write.contentType === "string" ? { "content-type": write.contentType } : {}),
    },
  });
  return { status: answer.statusCode, body: await answer.body.text() };
}

async function follow(
  base: string,
  write: WriteCase,
  index: string,
  { status, body }: { readonly status: number; readonly body: string },
): Promise<Seen> {
  if (status !== 202) return { status, body };
  const summary = JSON.parse(body) as { taskUid: number; indexUid: string; type: string };
  const { details, error, indexUid, type, status: outcome } = await finishedTask(base, summary.taskUid);
  const task = { details, error, indexUid, type, outcome, announced: [summary.indexUid, summary.type] };
  if (write.read === undefined) return { status, task };
  return { status, task, read: await get(base + write.read.replace("{i}", index)) };
}

/**
 * The same write to both; undefined where it is left out of this run. What reads do not show at once on a fleet is looked at until it
 * is there, but not for long.
 */
async function compared(
  plain: string,
  fleet: string,
  write: WriteCase,
  index: string,
  wanted: boolean,
): Promise<readonly [Seen, Seen] | undefined> {
  const first = await send(plain, write, index);
  // An accepted write costs every node some half a second, a refused one nothing.
  if (first.status === 202 && !wanted) return undefined;
  const [expected, seen] = await Promise.all([
    follow(plain, write, index, first),
    send(fleet, write, index).then((answer) => follow(fleet, write, index, answer)),
  ]);
  if (write.read === undefined || expected.read === undefined) return [expected, seen];
  let { read } = seen;
  for (let attempt = 0; read !== expected.read && attempt < 100; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    read = await get(fleet + write.read.replace("{i}", index));
  }
  return [expected, read === undefined ? seen : { ...seen, read }];
}

describe.runIf(hasRealNode)("writes answer as one node's", () => {
  let fleet: Fleet;
  let plain: StartedNodes;

  beforeAll(async () => {
    [fleet, plain] = await Promise.all([
      startFleet({ nodes: 2, replicationFactor: 1, shards: 4, masterKey: DEFAULT_MASTER_KEY }),
      startNodes(1),
    ]);
  });
  afterAll(async () => {
    await fleet?.stop();
    await plain?.stop();
  });

  for (const [kind, cases] of Object.entries(WRITE_CASES)) {
    it(`${kind}: ${cases.length} requests`, { timeout: 300_000 }, async () => {
      const plainUrl = plain.nodes[0]?.url ?? "";
      let skipped = 0;
      const run = async (write: WriteCase, at: number) => {
        const index = `${kind.replaceAll(/[^a-z]/g, "")}${at}`;
        const wanted = !write.path.includes("{i}") || at % SAMPLE === 0;
        const pair = await compared(plainUrl, fleet.api.url, write, index, wanted);
        if (pair === undefined) {
          skipped++;
          return;
        }
        const [expected, seen] = pair;
        expect({ name: write.name, ...seen }).toEqual({ name: write.name, ...expected });
      };
      const own: [WriteCase, number][] = [];
      for (const [at, write] of cases.entries()) {
        if (write.path.includes("{i}")) own.push([write, at]);
        else await run(write, at);
      }
      const workers = Array.from({ length: CONCURRENCY }, async () => {
        for (let next = own.shift(); next !== undefined; next = own.shift()) await run(...next);
      });
      await Promise.all(workers);
      if (skipped > 0)
        process.stderr.write(
          `[writes] ${kind}: ${skipped} of ${cases.length} left out (MIROIR_WRITE_CASES=all)\n`,
        );
    });
  }
});
