import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import { statusName } from "../../../src/tasks/task-names.js";
import { documentOf, keysOfGroup, SLOTS } from "../../chaos-harness/documents.js";
import type {
  HistoryRecord,
  ReadVia,
  SeenTask,
  WriteKind,
  WriteRecord,
} from "../../chaos-harness/history.js";
import type { VirtualWorld } from "../virtual-world.js";
import type { Fleet } from "./fleet.js";
import { type ClientWrite, NotConnectedError, type ReadAnswer } from "./proxy.js";

/** Groups of documents in use: few, so that writes meet. */
const GROUPS_IN_USE = 3;
const WRITE_KINDS = ["set", "set", "set", "update", "update", "delete", "delete-by-filter"] as const;

/** The group of documents that are edited and not judged until the end: their edits are no part of the history. */
const COUNTED_GROUP = 99;
const COUNTED = ["c0", "c1", "c2"].map((id) => ({ id, g: COUNTED_GROUP }));

/** Every key of a simulated run. */
export const KEYS: readonly string[] = Array.from({ length: GROUPS_IN_USE }, (_, group) =>
  keysOfGroup(0, group),
).flat();

/** Clients that write, follow their tasks and read; everything that they are told goes into the history. */
export class Workload {
  readonly history: HistoryRecord[] = [];
  /** Writes that were made while another one to a common key was under way. */
  overlapping = 0;
  /** Reads by proxies that were cut off from the control plane, and from replicas before their failures were known: nothing is promised of them. */
  outdatedReads = 0;
  private writes = 0;
  private readonly underWay = new Map<number, readonly string[]>();
  private open = 0;

  constructor(
    private readonly fleet: Fleet,
    private readonly world: VirtualWorld,
    private readonly say: (line: string) => void,
  ) {}

  /** Whether nothing is being asked, and no task is being followed. */
  idle(): boolean {
    return this.open === 0;
  }

  now(): number {
    return this.world.clock.monotonic();
  }

  /** A client that edits documents of its own, which nobody reads before all is over. */
  async editor(until: number, pauseMs: number): Promise<void> {
    const { seeded, timers } = this.world;
    while (this.now() < until) {
      const [kind, body] = seeded.chance(0.2)
        ? (["update", COUNTED] as const)
        : (["edit", { function: "doc.edits += 1", filter: `g = ${COUNTED_GROUP}` }] as const);
      const proxy = this.fleet.proxy(seeded.below(this.fleet.shape.proxies));
      if (!this.isQuiet()) {
        await proxy
          .write({ kind, body: JSON.stringify(body) })
          .catch((error: unknown) => this.say(`${kind}: ${String(error)}`));
      }
      await timers.sleep(seeded.below(pauseMs));
    }
  }

  private isQuiet(): boolean {
    const { nodes, planted, quiet } = this.fleet;
    return planted.scenario?.quietWhileAway === true && (quiet || [...nodes.values()].some(({ up }) => !up));
  }

  /** A client that writes from now on until a moment. */
  async writer(client: number, until: number, pauseMs: number): Promise<void> {
    const { seeded, timers } = this.world;
    while (this.now() < until) {
      if (!this.isQuiet()) await this.write(client, seeded.below(this.fleet.shape.proxies));
      await timers.sleep(seeded.below(pauseMs));
    }
  }

  /** A client that reads from now on until a moment. */
  async reader(client: number, until: number, pauseMs: number): Promise<void> {
    const { seeded, timers } = this.world;
    while (this.now() < until) {
      const at = seeded.below(this.fleet.shape.proxies);
      if (seeded.chance(0.4)) await this.readListing(client, at, "listing");
      else await this.readDocument(client, at, seeded.pick(KEYS));
      await timers.sleep(seeded.below(pauseMs));
    }
  }

  /** Makes the documents' groups filterable; resolves true once that is so everywhere. */
  async makeFilterable(): Promise<boolean> {
    try {
      const body = JSON.stringify({ filterableAttributes: ["g"] });
      const { taskUid } = await this.fleet.proxy(0).write({ kind: "settings", body });
      for (;;) {
        await this.world.timers.sleep(50);
        const task = await this.seenTask(taskUid);
        if (task !== undefined) return task.status === "succeeded";
      }
    } catch (error) {
      this.say(`settings: ${String(error)}`);
      return false;
    }
  }

  /** One write, drawn by chance; resolves once the client has an answer. */
  write(
    client: number,
    at: number,
    kind: WriteKind = this.world.seeded.pick(this.fleet.planted.scenario?.writes ?? WRITE_KINDS),
  ): Promise<WriteRecord["outcome"] | "not-connected"> {
    const { seeded } = this.world;
    if (kind === "delete-by-filter") {
      const group = seeded.below(GROUPS_IN_USE);
      return this.send(client, at, kind, keysOfGroup(0, group), 0, {
        kind: "delete-by-filter",
        body: JSON.stringify({ filter: `g = ${group}` }),
      });
    }
    if (kind === "delete" && seeded.chance(0.1)) {
      return this.send(client, at, kind, KEYS, 0, { kind: "delete-all", body: "" });
    }
    const wanted = seeded.chance(0.5) ? 1 : 1 + seeded.below(6);
    const keys = [...new Set(Array.from({ length: wanted }, () => seeded.pick(KEYS)))];
    const slot = seeded.below(SLOTS);
    const id = this.writes + 1;
    const body = kind === "delete" ? keys : keys.map((key) => documentOf(kind, key, id, slot));
    const made = { set: "replace", update: "update", delete: "delete-batch" } as const;
    return this.send(client, at, kind, keys, slot, { kind: made[kind], body: JSON.stringify(body) });
  }

  private async send(
    client: number,
    proxy: number,
    write: WriteKind,
    keys: readonly string[],
    slot: number,
    request: ClientWrite,
  ): Promise<WriteRecord["outcome"] | "not-connected"> {
    const id = ++this.writes;
    const start = this.now();
    if ([...this.underWay.values()].some((others) => others.some((key) => keys.includes(key))))
      this.overlapping++;
    this.underWay.set(id, keys);
    this.open++;
    const record = { kind: "write", id, client, write, keys, slot, proxy, start } as const;
    try {
      const { taskUid } = await this.fleet.proxy(proxy).write(request);
      const end = this.now();
      this.say(
        `write ${id} (${write} ${keys.join(" ")}) from ${Math.round(start)}: accepted as task ${taskUid}`,
      );
      const known = { ...record, end, outcome: "acknowledged", answer: "202", taskUid } as const;
      this.follow(known).catch((error: unknown) =>
        this.say(`following task ${taskUid} broke: ${String(error)}`),
      );
      return "acknowledged";
    } catch (error) {
      if (error instanceof NotConnectedError) return "not-connected";
      const outcome = isRefusal(error) ? "refused" : "unknown";
      const answer = error instanceof MeilisearchError ? `${error.status} ${error.body.code}` : String(error);
      this.say(
        `write ${id} (${write} ${keys.join(" ")}) from ${Math.round(start)}: ${outcome}: ${String(error)}`,
      );
      this.history.push({ ...record, end: this.now(), outcome, answer });
      return outcome;
    } finally {
      this.underWay.delete(id);
      this.open--;
    }
  }

  /** Asks for a task until it is final, and records its write then, or when the run ends. */
  private async follow(write: WriteRecord): Promise<void> {
    const at = this.history.push(write) - 1;
    this.open++;
    try {
      for (let pauseMs = 40; ; pauseMs = Math.min(2_000, pauseMs * 2)) {
        await this.world.timers.sleep(pauseMs);
        const task = await this.seenTask(write.taskUid ?? -1);
        if (task === undefined) continue;
        this.say(`task ${write.taskUid} of write ${write.id} has ${task.status} ${task.error ?? ""}`);
        this.history[at] = { ...write, task };
        return;
      }
    } finally {
      this.open--;
    }
  }

  private async seenTask(uid: number): Promise<SeenTask | undefined> {
    try {
      const task = await this.fleet.proxy(this.world.seeded.below(this.fleet.shape.proxies)).task(uid);
      const status = task === undefined ? "enqueued" : statusName(task.status);
      if (status !== "succeeded" && status !== "failed" && status !== "canceled") return undefined;
      const error = task?.error === undefined ? {} : { error: JSON.stringify(task.error.message) };
      return { status, at: this.now(), ...error };
    } catch {
      // Not there, or not reachable: asked again.
      return undefined;
    }
  }

  async readDocument(client: number, at: number, key: string): Promise<boolean> {
    return this.read(client, at, "document", [key], async () => {
      const { found, isCurrent } = await this.fleet.proxy(at).document(key);
      return { found: found === undefined ? [] : [[key, found] as const], isCurrent };
    });
  }

  /** Everything at once, or the documents of one group, or some by their ids. */
  async readListing(client: number, at: number, via: ReadVia): Promise<boolean> {
    const { seeded } = this.world;
    const fetched = async (query: object) => {
      const { found, isCurrent } = await this.fleet.proxy(at).list({ limit: 100, ...query });
      return {
        found: found
          .filter(({ g }) => g !== COUNTED_GROUP)
          .map((document) => [String(document.id), JSON.stringify(document)] as const),
        isCurrent,
      };
    };
    if (via === "final" || seeded.chance(0.5)) return this.read(client, at, via, KEYS, () => fetched({}));
    if (seeded.chance(0.5)) {
      const group = seeded.below(GROUPS_IN_USE);
      return this.read(client, at, "group-search", keysOfGroup(0, group), () =>
        fetched({ filter: `g = ${group}` }),
      );
    }
    const ids = KEYS.filter(() => seeded.chance(0.4));
    return this.read(client, at, "fetch", ids, () => fetched({ ids }));
  }

  private async read(
    client: number,
    proxy: number,
    via: ReadVia,
    expected: readonly string[],
    work: () => Promise<ReadAnswer<readonly (readonly [string, string])[]>>,
  ): Promise<boolean> {
    const start = this.now();
    this.open++;
    try {
      const { found, isCurrent } = await work();
      if (!isCurrent || (this.fleet.network.showsFailures && via !== "final")) {
        this.outdatedReads++;
        return false;
      }
      this.history.push({ kind: "read", client, via, proxy, start, end: this.now(), found, expected });
      return true;
    } catch (error) {
      if (error instanceof NotConnectedError) return false;
      const answer = error instanceof MeilisearchError ? `${error.status} ${error.body.code}` : String(error);
      this.history.push({ kind: "failed-read", client, via, proxy, start, end: this.now(), answer });
      return false;
    } finally {
      this.open--;
    }
  }
}

/** Whether a write was certainly not made. */
function isRefusal(error: unknown): boolean {
  return error instanceof MeilisearchError && error.body.code !== "miroir_write_outcome_unknown";
}
