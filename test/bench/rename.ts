import type { World } from "../../src/runtime/world.js";
import { startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { type ProxyProcess, startProxyProcess } from "../support/proxy-process.js";

/** What the renames are measured behind. */
export interface RenameOptions {
  readonly world: World;
  /** Documents of the batch that the node works on when the rename is asked for. */
  readonly batchDocuments: number;
  /** Finished tasks of the index, in the second measurement. */
  readonly tasks: number;
  readonly progress: (text: string) => void;
}

/** One figure. */
export interface RenameRow {
  readonly situation: string;
  readonly figure: string;
  readonly value: string;
}

const WORDS = Array.from({ length: 5_000 }, (_, at) => `w${((at * 2_654_435_761) >>> 0).toString(36)}`);
const READ_EVERY_MS = 10;

/**
 * What a change of generation costs readers and writers: the rename of an index on one real node, behind a long batch and with a long history of
 * tasks, and the change of writers that rests on it, through proxies.
 */
export async function benchRename(options: RenameOptions): Promise<readonly RenameRow[]> {
  const started = await startNodes(1, { backend: "real" });
  try {
    const [node] = started.nodes;
    if (node === undefined) throw new Error("no node");
    const api = meilisearchHttp(node.url, node.masterKey);
    return [
      ...(await behindBatch(api, options)),
      ...(await withHistory(api, options)),
      ...(await betweenProxies(options)),
    ];
  } finally {
    await started.stop();
  }
}

/** The rename is asked for while a batch of the index runs; a reader and a writer go on meanwhile. */
async function behindBatch(api: MeilisearchHttp, options: RenameOptions): Promise<RenameRow[]> {
  const { batchDocuments, progress, world } = options;
  const situation = `behind a batch of ${batchDocuments} documents`;
  await add(api, "m_1", documents(0, 1_000));
  const big = await enqueue(api, "m_1", documents(1_000, batchDocuments));
  await until(world, async () => (await statusOf(api, big)) === "processing");
  progress("the batch runs");
  const reader = read(world, api, ["m_1", "m_2"]);
  const began = world.clock.monotonic();
  const rename = await renameTo(api, "m_1", "m_2");
  const acceptedMs = world.clock.monotonic() - began;
  const writes: number[] = [];
  let last = rename;
  for (let at = 0; at < 20; at++) {
    const from = world.clock.monotonic();
    last = await enqueue(api, "m_2", documents(500_000 + at, 1));
    writes.push(world.clock.monotonic() - from);
  }
  await api.waitForTask(rename, 300_000);
  const doneMs = world.clock.monotonic() - began;
  await api.waitForTask(last, 300_000);
  const reads = await reader.stop();
  const task = await api.ok<{ duration: string }>("GET", `/tasks/${rename}`);
  const row = (figure: string, value: string) => ({ situation, figure, value });
  return [
    row("rename accepted after", ms(acceptedMs)),
    row("rename done after", ms(doneMs)),
    row("of which the rename itself (ISO 8601)", task.duration),
    row("writes to the new name accepted within, at most", ms(Math.max(...writes))),
    row("reads, and failed ones", `${reads.count}, ${reads.failed}`),
    row("longest read", ms(reads.longestMs)),
    row("longest time without an answered read", ms(reads.longestGapMs)),
  ];
}

/** The rename of an index with a long history of tasks, which the node rewrites. */
async function withHistory(api: MeilisearchHttp, options: RenameOptions): Promise<RenameRow[]> {
  const { tasks, progress, world } = options;
  const situation = `with ${tasks} finished tasks of the index`;
  let last = 0;
  let made = 0;
  const client = async (): Promise<void> => {
    while (made < tasks) {
      const id = made++;
      last = Math.max(last, await enqueue(api, "h_1", [{ id: id % 100 }]));
      if (id % 10_000 === 0) progress(`${id} tasks`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  await api.waitForTask(last, 1_200_000);
  const reader = read(world, api, ["h_1", "h_2"]);
  await world.timers.sleep(500);
  const began = world.clock.monotonic();
  const rename = await renameTo(api, "h_1", "h_2");
  const acceptedMs = world.clock.monotonic() - began;
  const from = world.clock.monotonic();
  const write = await enqueue(api, "h_2", [{ id: 1 }]);
  const writeMs = world.clock.monotonic() - from;
  await api.waitForTask(rename, 300_000);
  const doneMs = world.clock.monotonic() - began;
  await api.waitForTask(write, 300_000);
  await world.timers.sleep(500);
  const reads = await reader.stop();
  const task = await api.ok<{ duration: string }>("GET", `/tasks/${rename}`);
  const row = (figure: string, value: string) => ({ situation, figure, value });
  return [
    row("rename accepted after", ms(acceptedMs)),
    row("rename done after", ms(doneMs)),
    row("of which the rename itself (ISO 8601)", task.duration),
    row("the next write accepted after", ms(writeMs)),
    row("reads, and failed ones", `${reads.count}, ${reads.failed}`),
    row("longest read", ms(reads.longestMs)),
  ];
}

/** An index passes from proxy to proxy while its node works on a long batch: as one stops, and as one is killed. */
async function betweenProxies(options: RenameOptions): Promise<RenameRow[]> {
  const { batchDocuments, progress, world } = options;
  const situation = `proxies, behind a batch of ${batchDocuments} documents`;
  const fleet = await startFleet({ nodes: 1, replicationFactor: 1 });
  const rows: RenameRow[] = [];
  try {
    await fleet.stopProxy();
    const keeper = await startProxyProcess(fleet, "keeper");
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const leaving = await startProxyProcess(fleet, "leaving");
      const uid = await indexOf(fleet.controlAddress(), leaving);
      const big = await enqueue(leaving.api, uid, documents(1_000, batchDocuments));
      await until(world, async () => (await statusOf(keeper.api, big)) === "processing");
      progress(`the batch runs; ${signal}`);
      const reader = read(world, keeper.api, [uid]);
      const began = world.clock.monotonic();
      const killed = leaving.kill(signal);
      let refused = 0;
      const written = await until(world, async () => {
        const { status, text } = await keeper.api.send(
          "POST",
          `/indexes/${uid}/documents`,
          documents(900_000, 1),
        );
        if (status === 202) return (JSON.parse(text) as { taskUid: number }).taskUid;
        refused++;
        return undefined;
      });
      const pauseMs = world.clock.monotonic() - began;
      await killed;
      await keeper.api.waitForTask(written, 300_000);
      const reads = await reader.stop();
      const how = signal === "SIGTERM" ? "its writer stops" : "its writer is killed";
      rows.push(
        { situation, figure: `${how}: next write accepted after`, value: ms(pauseMs) },
        { situation, figure: `${how}: writes refused meanwhile (503)`, value: String(refused) },
        { situation, figure: `${how}: reads, and failed ones`, value: `${reads.count}, ${reads.failed}` },
        { situation, figure: `${how}: longest time without an answered read`, value: ms(reads.longestGapMs) },
      );
    }
    await keeper.kill("SIGKILL");
  } finally {
    await fleet.stop();
  }
  return rows;
}

interface Reads {
  readonly count: number;
  readonly failed: number;
  readonly longestMs: number;
  readonly longestGapMs: number;
}

/** Searches again and again, as a reader does that tries the neighbouring name where one is not found. */
function read(world: World, api: MeilisearchHttp, names: readonly string[]): { stop(): Promise<Reads> } {
  let [isOver, count, failed, longestMs, longestGapMs] = [false, 0, 0, 0, 0];
  const run = (async () => {
    let answeredAt = world.clock.monotonic();
    while (!isOver) {
      const from = world.clock.monotonic();
      let ok = false;
      for (const name of names) {
        const { status } = await api.send("POST", `/indexes/${name}/search`, { q: "w1", limit: 5 });
        ok = status === 200;
        if (ok) break;
      }
      const now = world.clock.monotonic();
      count++;
      if (!ok) failed++;
      longestMs = Math.max(longestMs, now - from);
      if (ok) {
        longestGapMs = Math.max(longestGapMs, now - answeredAt);
        answeredAt = now;
      }
      await world.timers.sleep(READ_EVERY_MS);
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await run;
      return { count, failed, longestMs, longestGapMs };
    },
  };
}

function documents(first: number, count: number): readonly Record<string, unknown>[] {
  return Array.from({ length: count }, (_, at) => {
    const id = first + at;
    const words = Array.from(
      { length: 60 },
      (__, word) => WORDS[(id * 31 + word * word * 17) % WORDS.length],
    );
    return { id, text: words.join(" ") };
  });
}

async function enqueue(
  api: MeilisearchHttp,
  uid: string,
  body: readonly Record<string, unknown>[],
): Promise<number> {
  const ndjson = body.map((document) => JSON.stringify(document)).join("\n");
  const path = `/indexes/${uid}/documents?primaryKey=id`;
  const { taskUid } = await api.ok<{ taskUid: number }>("POST", path, ndjson, "application/x-ndjson");
  return taskUid;
}

async function add(
  api: MeilisearchHttp,
  uid: string,
  body: readonly Record<string, unknown>[],
): Promise<void> {
  await api.waitForTask(await enqueue(api, uid, body));
}

async function renameTo(api: MeilisearchHttp, from: string, to: string): Promise<number> {
  const body = [{ indexes: [from, to], rename: true }];
  return (await api.ok<{ taskUid: number }>("POST", "/swap-indexes", body)).taskUid;
}

async function statusOf(api: MeilisearchHttp, task: number): Promise<string> {
  return (await api.ok<{ status: string }>("GET", `/tasks/${task}`)).status;
}

/** An index that this proxy writes. */
async function indexOf(control: string, { id, api }: ProxyProcess): Promise<string> {
  for (let at = 0; ; at++) {
    const uid = `index-${at}`;
    await add(api, uid, documents(0, 1_000));
    if ((await writerOf(control, uid)) === id) return uid;
  }
}

async function writerOf(control: string, uid: string): Promise<string | undefined> {
  const { topology } = await meilisearchHttp(`http://${control}`).ok<{
    topology: { indexes: readonly { uid: string; writer?: { proxyId: string } }[] };
  }>("POST", "/miroir.v1.TopologyService/GetTopology", {});
  return topology.indexes.find((index) => index.uid === uid)?.writer?.proxyId;
}

/** The first outcome that is neither false nor undefined. */
async function until<T>(world: World, attempt: () => Promise<T | false | undefined>): Promise<T> {
  for (;;) {
    const outcome = await attempt();
    if (outcome !== false && outcome !== undefined) return outcome;
    await world.timers.sleep(20);
  }
}

function ms(value: number): string {
  return value < 10_000 ? `${value.toFixed(0)} ms` : `${(value / 1_000).toFixed(1)} s`;
}
