import { beforeEach, describe, expect, it } from "vitest";
import { overloaded } from "../../../src/proxy/http/api-errors.js";
import { type Admission, createAdmission } from "../../../src/proxy/read/admission.js";
import { admittedSearch } from "../../../src/proxy/read/coalesced-search.js";
import type { ReadAnswer, SearchRequest, SearchService } from "../../../src/proxy/read/search.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

let world: ManualWorld;
let admission: Admission;
/** What was written so far, which every search sees that is sent. */
let written: number;
let sent: { readonly request: SearchRequest; readonly signal: AbortSignal; readonly end: () => void }[];
let joins: number;
let search: SearchService;

const nodes: SearchService = {
  search: (_indexUid, request, signal) =>
    new Promise((resolve, reject) => {
      const seen = written;
      const answer: ReadAnswer = { body: Buffer.from(String(seen)), headers: {} };
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      sent.push({ request, signal, end: () => resolve(answer) });
    }),
};

beforeEach(() => {
  world = createManualWorld();
  written = 0;
  sent = [];
  joins = 0;
  const limits = { maxRunning: 1, maxWaiting: 3, waitMs: 5_000, overloadWaitMs: 500 };
  admission = createAdmission(world, limits, overloaded);
  search = build(true);
});

const build = (coalesces: boolean): SearchService =>
  admittedSearch(nodes, { admission, coalesces, maxJoined: 3, onJoin: () => joins++ });

const ask = (
  body: string,
  { filter, metadata, signal, index = "films" }: Asked = {},
): Promise<string | Error> =>
  search
    .search(
      index,
      {
        parameters: filter === undefined ? {} : { filter },
        original: { method: "POST", path: "/search", body: Buffer.from(body) },
        includeMetadata: metadata ?? false,
      },
      signal ?? new AbortController().signal,
    )
    .then(
      (answer) => answer.body.toString(),
      (error: Error) => error,
    );

interface Asked {
  readonly filter?: string;
  readonly metadata?: boolean;
  readonly signal?: AbortSignal;
  readonly index?: string;
}

/** Ends what runs until nothing is left to run. */
const drain = async (): Promise<void> => {
  for (let at = 0; at < sent.length; at++) {
    sent[at]?.end();
    await world.advance(0);
  }
};

describe("searches that wait", () => {
  it("are sent once where they are equal, and all get the answer", async () => {
    const first = ask("busy");
    const equal = [ask("{}"), ask("{}"), ask("{}")];
    await drain();
    expect(await Promise.all([first, ...equal])).toEqual(["0", "0", "0", "0"]);
    expect([sent.length, joins]).toEqual([2, 2]);
  });

  it("do not join one that was sent, whose answer may be older than what they know of", async () => {
    const sentAlready = ask("{}");
    written = 1;
    const waiting = ask("{}");
    const joining = ask("{}");
    sent[0]?.end();
    await world.advance(0);
    written = 2;
    const later = ask("{}");
    await drain();
    expect(await Promise.all([sentAlready, waiting, joining, later])).toEqual(["0", "1", "1", "2"]);
  });

  it("are told apart by index, bytes and what the client may see, and where they ask for metadata", async () => {
    const all = [ask("busy")];
    all.push(ask("{}", { filter: "tenant = 1" }));
    all.push(ask("{}", { filter: "tenant = 2" }));
    all.push(ask("{}", { index: "books" }));
    expect([admission.waiting, joins]).toEqual([3, 0]);
    await drain();
    all.push(ask("busy"), ask("{ }"), ask("{}"), ask("{}", { metadata: true }));
    expect([admission.waiting, joins]).toEqual([3, 0]);
    await drain();
    expect(await Promise.all(all)).toEqual(all.map(() => "0"));
  });

  it("are not joined where that is switched off, or too many have joined", async () => {
    search = build(false);
    const apart = [ask("busy"), ask("{}"), ask("{}")];
    expect([admission.waiting, joins]).toEqual([2, 0]);
    await drain();
    search = build(true);
    const many = [ask("busy"), ...Array.from({ length: 5 }, () => ask("{}"))];
    expect([admission.waiting, joins]).toEqual([2, 3]);
    await drain();
    await Promise.all([...apart, ...many]);
  });
});

describe("a client that leaves", () => {
  it("does not stop a search that others wait for", async () => {
    const leaving = new AbortController();
    const first = ask("busy");
    const left = ask("{}", { signal: leaving.signal });
    const stays = ask("{}");
    leaving.abort(new Error("gone"));
    expect(await left).toMatchObject({ message: "gone" });
    await drain();
    expect(await Promise.all([first, stays])).toEqual(["0", "0"]);
  });

  it("stops it when it is the last one, before it was sent and after", async () => {
    const leaving = [new AbortController(), new AbortController(), new AbortController()];
    const first = ask("busy");
    const left = leaving.map(({ signal }) => ask("{}", { signal }));
    leaving[0]?.abort(new Error("gone"));
    sent[0]?.end();
    await world.advance(0);
    expect(sent).toHaveLength(2);
    leaving[1]?.abort(new Error("gone"));
    expect(sent[1]?.signal.aborted).toBe(false);
    leaving[2]?.abort(new Error("gone"));
    expect(sent[1]?.signal.aborted).toBe(true);
    await Promise.all([first, ...left]);
    expect([admission.running, admission.waiting]).toEqual([0, 0]);

    const busy = ask("busy");
    const only = new AbortController();
    const gone = ask("{}", { signal: only.signal });
    only.abort(new Error("gone"));
    const next = ask("{}");
    expect(joins).toBe(2);
    await drain();
    expect(await Promise.all([busy, gone, next])).toMatchObject(["0", { message: "gone" }, "0"]);
  });
});

describe("a refusal", () => {
  it("goes to all that wait for the same", async () => {
    const all = [ask("busy"), ask("{}"), ask("{}")];
    await world.advance(6_000);
    await drain();
    const [first, ...refused] = await Promise.all(all);
    expect(first).toBe("0");
    expect(refused).toMatchObject([{ status: 503 }, { status: 503 }]);
  });
});
