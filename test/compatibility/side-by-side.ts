import { request } from "undici";
import { type Fleet, startFleet } from "../support/fleet.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";
import { plainBody } from "../support/plain-body.js";
import { differInMissedHitsAlone } from "./approximate-hits.js";
import { withMembersInOrder } from "./member-order.js";

/** What a step carries besides its method, path and body. */
export interface StepOptions {
  /** `null` sends none; default `application/json` where there is a body. */
  readonly contentType?: string | null;
  /** The whole `Authorization` header; `null` sends none; default the master key. */
  readonly authorization?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Shares no batch of a node with other steps: nodes batch as they like, and one bad task can fail its neighbours. */
  readonly alone?: boolean;
}

/** A request. A string or a buffer goes as it is, anything else as JSON. */
export type Step = readonly [method: string, path: string, body?: unknown, options?: StepOptions];

/** Requests sent in order to both sides. Reads wait for the tasks of their index in front of them. `{task:n}` in a path stands for the n-th task of its side, and `{webhook:n}` for the n-th webhook. */
export interface Script {
  readonly name: string;
  /** Every step is {@link StepOptions.alone}. */
  readonly alone?: boolean;
  /** Hits are found by vectors, of which each side may miss some. */
  readonly approximate?: boolean;
  readonly steps: readonly Step[];
}

/** One difference between the two sides' answers to a step, readable on its own. */
export type Difference = string;

/** A step that both sides have answered. */
export interface ComparedStep {
  readonly step: Step;
  /** Whether the plain node refused the request, or failed its task. */
  readonly refused: boolean;
  readonly difference: Difference | undefined;
}

/** A plain Meilisearch node and a Miroir fleet, empty at first. */
export interface SideBySide {
  readonly fleet: Fleet;
  /** Sends a script to both and tells of every step. */
  compareSteps(script: Script): Promise<ComparedStep[]>;
  /** Sends a script to both and names every difference. */
  compare(script: Script): Promise<Difference[]>;
  stop(): Promise<void>;
}

type Volatile = readonly (readonly [pattern: RegExp, stand: string])[];

/** What two servers may say differently of the same thing: times, durations, sizes on disk, and names drawn at random. */
const VOLATILE: Volatile = [
  [
    /"(enqueuedAt|startedAt|finishedAt|createdAt|updatedAt|lastUpdate)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"/g,
    '"$1":"<time>"',
  ],
  [/"duration":"PT[0-9.]+S"/g, '"duration":"<duration>"'],
  [/"dumpUid":"\d{8}-\d{9}"/g, '"dumpUid":"<uid>"'],
  [/"processingTimeMs":\d+/g, '"processingTimeMs":"<ms>"'],
  [/"batchUid":\d+/g, '"batchUid":"<uid>"'],
  [/"(databaseSize|usedDatabaseSize|rawDocumentDbSize|avgDocumentSize)":("[^"]*"|\d+)/g, '"$1":"<size>"'],
  [/"(requestUid|queryUid)":"[0-9a-f-]{36}"/g, '"$1":"<uuid>"'],
  [/"version":"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"/g, '"version":"<uuid>"'],
  [/"(preCompactionSize|postCompactionSize)":"[^"]*"/g, '"$1":"<size>"'],
  [/for the webhook `[0-9a-f-]{36}`/g, "for the webhook `<uuid>`"],
  // What a batch did inside of the node.
  [/,"(progressTrace|writeChannelCongestion|internalDatabaseSizes)":\{[^{}]*\}/g, ""],
  [/\btask with id \d+/g, "task with id <uid>"],
  [/\b(Task|Batch) `\d+` not found/g, "$1 `<uid>` not found"],
  [/"originalFilter":"\?(uids|batchUids|canceledBy)=[\d,]+/g, '"originalFilter":"?$1=<uids>'],
];

/** Task uids, where scripts run side by side and so take them in any order. */
const TASK_UIDS: Volatile = [
  [/"taskUid":\d+/g, '"taskUid":"<uid>"'],
  [/"uid":\d+/g, '"uid":"<uid>"'],
];

/** Headers of the connection rather than of the answer. */
const IGNORED_HEADERS = new Set([
  "date",
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "x-request-id",
]);

/** Headers whose value is a list that has no order; Meilisearch's differs from run to run. */
const LISTS = new Set(["allow", "access-control-allow-methods"]);

function sortedList(value: string): string {
  return value.split(", ").sort().join(", ");
}

interface Seen {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
  readonly task?: string;
}

/**
 * Starts both sides with the same master key.
 *
 * @param tasksInOrder compares the order of tasks too; for scripts that run one after the other
 * @param nodeArgs further command-line arguments of all nodes
 */
export async function startSideBySide({
  tasksInOrder = false,
  nodeArgs = [],
}: {
  readonly tasksInOrder?: boolean;
  readonly nodeArgs?: readonly string[];
} = {}): Promise<SideBySide> {
  const volatile = tasksInOrder ? VOLATILE : [...VOLATILE, ...TASK_UIDS];
  const [plain, fleet] = await Promise.all([
    startNodes(1, { args: ["--http-payload-size-limit", `${PAYLOAD_LIMIT}`, ...nodeArgs] }),
    startFleet({
      nodeArgs,
      nodes: 2,
      replicationFactor: 1,
      shards: 8,
      masterKey: DEFAULT_MASTER_KEY,
      payloadLimitBytes: PAYLOAD_LIMIT,
    }),
  ]);
  const sides: readonly Side[] = [urlOf(plain), fleet.api.url].map((url) => ({
    url,
    taskUids: [],
    webhooks: [],
  }));
  const compareSteps = async (script: Script): Promise<ComparedStep[]> => {
    const perSide = await Promise.all(sides.map((side) => runScript(side, script)));
    const [wanted = [], got = []] = perSide;
    return script.steps.map((step, at) => ({
      step,
      refused: wanted[at] !== undefined && isRefusal(wanted[at]),
      difference: differenceOf(step, wanted[at], got[at], {
        volatile,
        approximate: script.approximate === true,
      }),
    }));
  };
  return {
    fleet,
    compareSteps,
    compare: async (script) =>
      (await compareSteps(script)).flatMap(({ difference }) =>
        difference === undefined ? [] : [difference],
      ),
    stop: async () => {
      await Promise.all([plain.stop(), fleet.stop()]);
    },
  };
}

/** The largest body that both sides take. Bytes. */
export const PAYLOAD_LIMIT = 200_000;

function urlOf(started: StartedNodes): string {
  const [node] = started.nodes;
  if (node === undefined) throw new Error("the plain node is missing");
  return node.url;
}

interface Side {
  readonly url: string;
  /** Of every task enqueued so far, in order. */
  readonly taskUids: number[];
  /** The uuid of every webhook made so far, in order. */
  readonly webhooks: string[];
}

async function runScript(side: Side, script: Script): Promise<Seen[]> {
  const answers: { readonly seen: Seen; readonly taskUid: number | undefined }[] = [];
  const tasks = new Map<number, string>();
  const settle = async (indexUid?: string): Promise<void> => {
    for (const { seen, taskUid } of answers) {
      if (taskUid === undefined || tasks.has(taskUid)) continue;
      if (indexUid !== undefined && !seen.body.includes(`"indexUid":"${indexUid}"`)) continue;
      tasks.set(taskUid, await finishedTask(side.url, taskUid));
    }
  };
  for (const [method, path, body, options = {}] of script.steps) {
    const alone = script.alone === true || options.alone === true;
    if (alone) await settle();
    else if (isRead(method, path)) await settle(/^\/indexes\/([^/?]+)/.exec(path)?.[1]);
    const asked = path.replace(/\{(task|webhook):(\d+)\}/g, (_, kind: string, at: string) =>
      String((kind === "task" ? side.taskUids : side.webhooks)[Number(at)]),
    );
    const seen = await send(side.url, method, asked, body, options);
    const enqueued = /^\{"taskUid":(\d+)/.exec(seen.body)?.[1];
    const taskUid = enqueued === undefined ? undefined : Number(enqueued);
    if (taskUid !== undefined) side.taskUids.push(taskUid);
    const webhook = seen.status === 201 ? /^\{"uuid":"([0-9a-f-]{36})"/.exec(seen.body)?.[1] : undefined;
    if (webhook !== undefined) side.webhooks.push(webhook);
    answers.push({ seen, taskUid });
    if (alone) await settle();
  }
  await settle();
  return answers.map(({ seen, taskUid }) => ({
    ...seen,
    body: withOrdinals(seen.body, side),
    ...(taskUid === undefined ? {} : { task: withOrdinals(tasks.get(taskUid) ?? "", side) }),
  }));
}

function isRead(method: string, path: string): boolean {
  return method === "GET" || /\/(search|fetch|facet-search|similar|fields)(\?|$)/.test(path);
}

/** Task uids, and uuids of webhooks, as their places in the order in which they were made: Miroir's uids grow, but leave gaps. */
function withOrdinals(text: string, side: Side): string {
  const named = side.webhooks.reduce((found, uuid, at) => found.replaceAll(uuid, `<webhook ${at}>`), text);
  return named.replace(/"(taskUid|uid|from|next)":(\d+)/g, (found, name: string, uid: string) => {
    const at = side.taskUids.indexOf(Number(uid));
    return at === -1 ? found : `"${name}":${at}`;
  });
}

async function send(
  url: string,
  method: string,
  path: string,
  body: unknown,
  options: StepOptions,
): Promise<Seen> {
  const { contentType = body === undefined ? null : "application/json" } = options;
  const { authorization = `Bearer ${DEFAULT_MASTER_KEY}` } = options;
  const response = await request(url + path, {
    method: method as "GET",
    headers: {
      ...(authorization === null ? {} : { authorization }),
      ...(contentType === null ? {} : { "content-type": contentType }),
      ...options.headers,
    },
    body:
      body === undefined
        ? null
        : typeof body === "string" || Buffer.isBuffer(body)
          ? body
          : JSON.stringify(body),
  });
  const headers = Object.entries(response.headers)
    .filter(([name]) => !IGNORED_HEADERS.has(name) && !name.startsWith("x-miroir-"))
    .map(([name, value]) => `${name}: ${LISTS.has(name) ? sortedList(String(value)) : String(value)}`)
    .sort();
  return { status: response.statusCode, headers: headers.join("\n"), body: await plainBody(response) };
}

const PATIENCE_MS = 60_000;

async function finishedTask(url: string, uid: number): Promise<string> {
  for (const deadline = performance.now() + PATIENCE_MS; ; ) {
    const { body } = await send(url, "GET", `/tasks/${uid}`, undefined, {});
    if (!/"status":"(enqueued|processing)"/.test(body)) return body;
    if (performance.now() > deadline) throw new Error(`task ${uid} of ${url} does not end: ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function isRefusal({ status, task }: Seen): boolean {
  return status >= 400 || task?.includes('"status":"failed"') === true;
}

function differenceOf(
  step: Step,
  wanted: Seen | undefined,
  got: Seen | undefined,
  { volatile, approximate }: { readonly volatile: Volatile; readonly approximate: boolean },
): Difference | undefined {
  const [method, path, body] = step;
  const shown =
    typeof body === "string" || body === undefined
      ? body
      : Buffer.isBuffer(body)
        ? "<bytes>"
        : JSON.stringify(body);
  const title = readable(`${method} ${path} ${shown ?? ""}`).trim();
  if (wanted === undefined || got === undefined) return `${title}\n  not sent`;
  const parts = (["status", "headers", "body", "task"] as const).flatMap((part) => {
    const [want, have] = [stable(wanted[part], volatile), stable(got[part], volatile)];
    // Errors are compared to the byte.
    const isAnswer = part === "body" && wanted.status < 300 && got.status < 300;
    const same =
      want === have ||
      (isAnswer && withMembersInOrder(want) === withMembersInOrder(have)) ||
      (isAnswer && approximate && differInMissedHitsAlone(want, have));
    return same ? [] : [`  ${part}: wanted ${readable(want)}\n  ${part}:    got ${readable(have)}`];
  });
  return parts.length === 0 ? undefined : [title, ...parts].join("\n");
}

function stable(part: string | number | undefined, volatile: Volatile): string {
  return volatile.reduce((text, [pattern, stand]) => text.replace(pattern, stand), String(part));
}

/** A text of a size to be printed: long runs of one character shortened, and the rest cut. */
function readable(text: string): string {
  const short = text.replace(/(.)\1{30,}/gsu, (run, one: string) => `${one}{${run.length}}`);
  return short.length <= 1_500 ? short : `${short.slice(0, 1_500)}…`;
}
