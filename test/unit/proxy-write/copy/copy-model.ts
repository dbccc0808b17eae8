import { CopyTracker, type TrackerFault } from "../../../../src/proxy/write/copy/copy-tracker.js";
import type { CopyUnit } from "../../../../src/proxy/write/copy/copy-unit.js";
import type { Touch } from "../../../../src/proxy/write/copy/lane-writes.js";
import { type SeededRandom, seededRandom } from "../../../support/random.js";

const SHARDS = 2;
const KEYS = ["a0", "b0", "c0", "d1", "e1", "f1"];
const shardOf = (key: string): number => Number(key.slice(-1));

type Documents = Map<string, Readonly<Record<string, number>>>;

/** What a write does to a node's documents of these shards. */
type Change = (documents: Documents, shards: readonly number[]) => void;

interface ModelTask {
  readonly uid: number;
  readonly run: (documents: Documents) => void;
  /** Fails as a whole, and changes nothing. */
  readonly fails: boolean;
}

/** A node: runs its tasks one after another, whenever the model lets it. */
class ModelNode {
  readonly documents: Documents = new Map();
  readonly ended: { readonly uid: number; readonly succeeded: boolean }[] = [];
  readonly #queue: ModelTask[] = [];
  #uid = 0;

  constructor(readonly id: string) {}

  get length(): number {
    return this.#queue.length;
  }

  enqueue(run: ModelTask["run"], fails = false): number {
    const uid = ++this.#uid;
    this.#queue.push({ uid, run, fails });
    return uid;
  }

  runNext(): void {
    const task = this.#queue.shift();
    if (task === undefined) return;
    if (!task.fails) task.run(this.documents);
    this.ended.push({ uid: task.uid, succeeded: !task.fails });
  }

  drain(): void {
    while (this.#queue.length > 0) this.runNext();
  }
}

/** Documents that were read, and that wait for their turn in the lane. */
interface Pending {
  readonly round: NonNullable<ReturnType<CopyTracker["choose"]>>;
  readonly wanted: ReadonlyMap<string, string | undefined>;
  readonly held: ReadonlyMap<string, string | undefined>;
}

const SOURCE = "s";
const TARGET = "t";

/**
 * Two nodes, a writer and a copy from one to the other, in an order drawn from a seed. Gives the keys of which the two hold different
 * documents once the tracker says that there are none, and the nodes are done.
 */
export function runCopyModel(seed: number, faults: ReadonlySet<TrackerFault> = new Set()): readonly string[] {
  return new CopyModel(seededRandom(seed), faults).run();
}

class CopyModel {
  readonly #source = new ModelNode(SOURCE);
  readonly #target = new ModelNode(TARGET);
  readonly #units: readonly CopyUnit[];
  #tracker: CopyTracker;
  #sequence = 0;
  #pending: Pending | undefined;

  constructor(
    private readonly random: SeededRandom,
    private readonly faults: ReadonlySet<TrackerFault>,
  ) {
    this.#units = Array.from({ length: SHARDS }, (_, shard) => ({ shard, from: SOURCE, to: TARGET }));
    for (const key of KEYS) {
      if (random.chance(0.7)) this.#source.documents.set(key, { v: random.below(3) });
      if (random.chance(0.5)) this.#target.documents.set(key, { v: random.below(3) });
    }
    this.#tracker = this.#begin();
  }

  run(): readonly string[] {
    const { random } = this;
    const steps = 20 + random.below(150);
    for (let step = 0; step < steps; step++) {
      const dice = random.below(12);
      if (dice < 3) this.#write();
      else if (dice < 5) this.#source.runNext();
      else if (dice < 7) this.#target.runNext();
      else if (dice < 8) this.#follow();
      else if (dice < 11) this.#copy();
      else if (random.chance(0.1)) this.#tracker = this.#begin();
    }
    for (let round = 0; round < 200; round++) {
      this.#source.drain();
      this.#target.drain();
      this.#follow();
      if (this.#tracker.isDone() && this.#pending === undefined) break;
      this.#copy();
    }
    if (!this.#tracker.isDone()) return ["the copy does not end"];
    return KEYS.filter((key) => print(this.#source, key) !== print(this.#target, key));
  }

  /** A copy begins behind all that was sent before. */
  #begin(): CopyTracker {
    this.#source.drain();
    this.#target.drain();
    this.#source.ended.length = 0;
    this.#target.ended.length = 0;
    this.#pending = undefined;
    return new CopyTracker(this.#units, {
      shardOf,
      faults: this.faults,
      maxWriteKeys: this.random.pick([2, 100]),
    });
  }

  #write(): void {
    const { random } = this;
    const value = random.below(1_000);
    const keys = KEYS.filter(() => random.chance(0.3));
    const pickOne: readonly [Touch, Change][] = [
      [
        { shards: "all", keys: undefined, overwrites: false, passesBy: false },
        (documents) => {
          for (const [key, document] of documents) if ((document.v ?? 0) % 2 === 0) documents.delete(key);
        },
      ],
      [
        { shards: [random.below(SHARDS)], keys: undefined, overwrites: false, passesBy: false },
        (documents, shards) => {
          for (const [key, document] of documents)
            if (shards.includes(shardOf(key))) documents.set(key, { ...document, v: (document.v ?? 0) + 1 });
        },
      ],
      [
        touchOf(keys, true),
        (documents) => {
          for (const key of keys) documents.delete(key);
        },
      ],
      [
        touchOf(keys, false, random.chance(0.5)),
        (documents) => {
          for (const key of keys) documents.set(key, { ...documents.get(key), u: value });
        },
      ],
      [
        touchOf(keys, true),
        (documents) => {
          for (const key of keys) documents.set(key, { v: value });
        },
      ],
      [
        touchOf(keys, true),
        (documents) => {
          for (const key of keys) documents.set(key, { v: value });
        },
      ],
    ];
    const [touch, change] = random.pick(pickOne);
    this.#send(touch, change);
  }

  #send(touch: Touch, change: Change): void {
    const sequence = ++this.#sequence;
    const shards = touch.shards === "all" ? Array.from({ length: SHARDS }, (_, at) => at) : touch.shards;
    const isLost = this.random.chance(0.05);
    this.#tracker.sending(sequence, touch);
    const tasks = new Map<string, number>();
    for (const node of touch.passesBy ? [this.#source] : [this.#source, this.#target]) {
      const fails = this.random.chance(0.08);
      if (!isLost)
        tasks.set(
          node.id,
          node.enqueue((documents) => change(documents, shards), fails),
        );
    }
    this.#tracker.settled(sequence, touch, tasks, false);
  }

  #follow(): void {
    for (const node of [this.#source, this.#target]) {
      for (const { uid, succeeded } of node.ended.splice(0)) this.#tracker.finished(node.id, uid, succeeded);
    }
  }

  /** One step of the copy: listing, reading, or a turn of the lane with what was read. */
  #copy(): void {
    for (const listing of this.#tracker.unlisted()) {
      const all = new Set([...this.#source.documents.keys(), ...this.#target.documents.keys()]);
      this.#tracker.list(
        listing,
        [...all].filter((key) => shardOf(key) === listing.unit.shard),
      );
    }
    const read = this.#pending;
    if (read === undefined) {
      const round = this.#tracker.choose(1 + this.random.below(4), () => true);
      if (round === undefined) return;
      const on = (node: ModelNode) => new Map(round.keys.map((key) => [key, print(node, key)] as const));
      this.#pending = { round, wanted: on(this.#source), held: on(this.#target) };
      return;
    }
    this.#pending = undefined;
    const { round, wanted, held } = read;
    const differing = round.keys.filter((key) => wanted.get(key) !== held.get(key));
    this.#tracker.equal(
      round,
      round.keys.filter((key) => !differing.includes(key)),
    );
    const valid = this.#tracker.stillValid(round, differing);
    if (valid.length === 0) return;
    const uid = this.#target.enqueue((documents) => {
      for (const key of valid) {
        const text = wanted.get(key);
        if (text === undefined) documents.delete(key);
        else documents.set(key, Object.fromEntries(JSON.parse(text) as [string, number][]));
      }
    }, this.random.chance(0.1));
    this.#tracker.sent(round, valid, uid);
  }
}

function touchOf(keys: readonly string[], overwrites: boolean, passesBy = false): Touch {
  return { shards: [...new Set(keys.map(shardOf))], keys, overwrites, passesBy };
}

function print(node: ModelNode, key: string): string | undefined {
  const document = node.documents.get(key);
  return document === undefined ? undefined : JSON.stringify(Object.entries(document).sort());
}
