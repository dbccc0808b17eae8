import fc from "fast-check";
import { request } from "undici";
import { isHarmless, type Operation } from "./operations.js";
import { type FuzzRequest, requestsFor } from "./requests.js";

/** One server. */
export interface FuzzSide {
  readonly url: string;
  readonly masterKey: string;
}

/** What to send, and where. */
export interface FuzzOptions {
  readonly plain: FuzzSide;
  readonly fleet: FuzzSide;
  readonly operations: readonly Operation[];
  readonly seed: number;
  /** How many requests; those that shrinking repeats come on top. */
  readonly count: number;
  /** Told of every failure when it was shrunk. */
  note(failure: FuzzFailure): void;
  /** Told of every request, with both answers in one line each. */
  trace?(request: FuzzRequest, plain: string, fleet: string): void;
  /** Called between rounds of requests, with how many were sent. */
  progress?(sent: number): Promise<void>;
}

/** What the fleet did that the plain node did not. */
export interface FuzzFailure {
  /** What made the round: with it, on servers in the same state, the same requests come again. */
  readonly seed: number;
  /** The smallest request found that fails. */
  readonly request: FuzzRequest;
  readonly reason: string;
}

/** Requests of one route. */
export interface RouteCount {
  sent: number;
  /** Answered with the same status by both. */
  same: number;
  /** 501 from the fleet, which does not serve them. */
  unserved: number;
  /** Pairs of other statuses, plain and fleet, and how often. */
  readonly others: Map<string, { count: number; example: string }>;
}

/** What came of a run. */
export interface FuzzReport {
  readonly sent: number;
  readonly routes: ReadonlyMap<string, RouteCount>;
  readonly failures: readonly FuzzFailure[];
  /** What the plain node answered: by the first digit of the status, how often. */
  readonly classes: ReadonlyMap<string, number>;
  /** Longest time that an answer of the fleet took, in milliseconds. */
  readonly slowestMs: number;
}

/** Requests of one round, which ends at its first failure. */
const ROUND = 50;
/** How long an answer may take. Milliseconds. */
const PATIENCE_MS = 20_000;
/** How long a task may take. Milliseconds. */
const TASK_PATIENCE_MS = 60_000;
/** Uid of the key that both sides have at first. */
const UUID = "01020304-0000-4000-8000-000000000001";
/** After so many, something is wrong with the fleet as a whole. */
const MAX_FAILURES = 20;

/** Gives every side two indexes with documents, and the keys that requests name. */
export async function prepare(sides: readonly FuzzSide[]): Promise<void> {
  const documents = Array.from({ length: 40 }, (_, at) => ({
    id: at + 1,
    title: ["star wars", "the star", "other"][at % 3],
    genre: ["drama", "comedy"][at % 2],
    year: 1980 + at,
    price: at / 4,
    _geo: { lat: at, lng: -at },
    _vectors: { small: [Math.cos(at), Math.sin(at)] },
  }));
  const settings = {
    filterableAttributes: ["genre", "year", "_geo"],
    sortableAttributes: ["year", "price", "_geo"],
    embedders: { small: { source: "userProvided", dimensions: 2 } },
  };
  const requests: readonly (readonly [method: string, path: string, body: unknown])[] = [
    ...["fuzz-a", "fuzz-b"].flatMap((uid) => [
      ["PATCH", `/indexes/${uid}/settings`, settings] as const,
      ["POST", `/indexes/${uid}/documents?primaryKey=id`, documents] as const,
    ]),
    ["POST", "/keys", { uid: UUID, actions: ["search"], indexes: ["fuzz-*"], expiresAt: null }],
  ];
  for (const side of sides) {
    for (const [method, path, body] of requests) {
      const route = `${method} ${path}`;
      const headers = { "content-type": "application/json" };
      const answer = await send(side, {
        route,
        method,
        path,
        headers,
        authorization: undefined,
        body: JSON.stringify(body),
      });
      if (answer.kind === "none" || answer.status >= 300)
        throw new Error(`${route} to ${side.url}: ${JSON.stringify(answer)}`);
      await taskEnds(side, answer);
    }
  }
}

/** Sends seeded requests to both servers, one after the other. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { plain, fleet, seed, count, note, progress } = options;
  const requests = requestsFor(options.operations.filter(isHarmless));
  const routes = new Map<string, RouteCount>();
  const failures: FuzzFailure[] = [];
  let sent = 0;
  const classes = new Map<string, number>();
  let slowestMs = 0;

  const attempt = async (one: FuzzRequest): Promise<string | undefined> => {
    const began = performance.now();
    const [wanted, got] = await Promise.all([
      send(plain, one),
      send(fleet, one).finally(() => {
        slowestMs = Math.max(slowestMs, performance.now() - began);
      }),
    ]);
    const kind = wanted.kind === "answer" ? `${Math.floor(wanted.status / 100)}xx` : "no answer";
    classes.set(kind, (classes.get(kind) ?? 0) + 1);
    sent++;
    record(routes, one, wanted, got);
    options.trace?.(one, printed(wanted), printed(got));
    const fault = faultOf(wanted, got);
    if (fault !== undefined) return fault;
    await taskEnds(plain, wanted);
    return (await taskEnds(fleet, got)) ? undefined : "the task does not end";
  };

  for (let round = 0; sent < count && failures.length < MAX_FAILURES; round++) {
    const roundSeed = seed * 1_000_003 + round;
    let reason = "";
    const outcome = await fc.check(
      fc.asyncProperty(requests, async (one) => {
        const fault = await attempt(one);
        if (fault !== undefined) reason = fault;
        return fault === undefined;
      }),
      { seed: roundSeed, numRuns: Math.min(ROUND, count - sent) },
    );
    const [counterexample] = outcome.counterexample ?? [];
    if (counterexample !== undefined) {
      const failure = { seed: roundSeed, request: counterexample, reason };
      failures.push(failure);
      note(failure);
    }
    await progress?.(sent);
  }
  return { sent, routes, failures, classes, slowestMs };
}

type Answer =
  | { readonly kind: "answer"; readonly status: number; readonly body: string }
  | { readonly kind: "none"; readonly why: string };

async function send({ url, masterKey }: FuzzSide, one: FuzzRequest): Promise<Answer> {
  const { authorization = `Bearer ${masterKey}` } = one;
  try {
    const response = await request(url + one.path, {
      method: one.method as "GET",
      headers: { ...one.headers, ...(authorization === null ? {} : { authorization }) },
      body: one.body ?? null,
      headersTimeout: PATIENCE_MS,
      bodyTimeout: PATIENCE_MS,
    });
    return { kind: "answer", status: response.statusCode, body: await response.body.text() };
  } catch (error) {
    return { kind: "none", why: error instanceof Error ? error.message : String(error) };
  }
}

function printed(answer: Answer): string {
  return answer.kind === "none"
    ? `no answer: ${answer.why}`
    : `${answer.status} ${answer.body.slice(0, 300)}`;
}

/** What of the fleet's answer no node would have given. */
function faultOf(wanted: Answer, got: Answer): string | undefined {
  if (wanted.kind === "none") {
    // A plain node that breaks a connection is no judge.
    return got.kind === "none" ? `neither answers: ${wanted.why}; ${got.why}` : undefined;
  }
  if (got.kind === "none") return `no answer (${got.why}), where a node gives ${wanted.status}`;
  if (got.status < 500 || wanted.status >= 500 || isUnserved(got)) return undefined;
  return `status ${got.status}, where a node gives ${wanted.status}: ${got.body.slice(0, 300)}`;
}

function isUnserved(answer: Answer): boolean {
  return answer.kind === "answer" && answer.status === 400 && answer.body.includes("feature_not_available");
}

function record(
  routes: Map<string, RouteCount>,
  { route, path, body }: FuzzRequest,
  wanted: Answer,
  got: Answer,
): void {
  const counted: RouteCount = routes.get(route) ?? { sent: 0, same: 0, unserved: 0, others: new Map() };
  routes.set(route, counted);
  counted.sent++;
  if (isUnserved(got)) {
    counted.unserved++;
    return;
  }
  const statuses = [wanted, got].map((answer) => (answer.kind === "answer" ? answer.status : "none"));
  if (statuses[0] === statuses[1]) {
    counted.same++;
    return;
  }
  const pair = statuses.join(" / ");
  const other = counted.others.get(pair) ?? { count: 0, example: `${path} ${shown(body)}` };
  other.count++;
  counted.others.set(pair, other);
}

/** A body in a form to be read. */
export function shown(body: string | Buffer | undefined): string {
  if (body === undefined) return "";
  return (Buffer.isBuffer(body) ? `<bytes> ${body.toString("latin1")}` : body).slice(0, 400);
}

/** Waits for the task that an answer tells of; false where it does not end. */
async function taskEnds({ url, masterKey }: FuzzSide, answer: Answer): Promise<boolean> {
  const uid = answer.kind === "answer" ? /^\{"taskUid":(\d+)/.exec(answer.body)?.[1] : undefined;
  if (uid === undefined) return true;
  for (const deadline = performance.now() + TASK_PATIENCE_MS; performance.now() < deadline; ) {
    const response = await request(`${url}/tasks/${uid}`, {
      headers: { authorization: `Bearer ${masterKey}` },
    });
    const body = await response.body.text();
    // A task that was deleted by another one has ended as well.
    if (response.statusCode === 404 || !/"status":"(enqueued|processing)"/.test(body)) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}
