import type { GroupRequest } from "../../../src/placement/capped-load.js";
import { type NodeShare, nodeShares, zoneOf } from "../../../src/placement/node-shares.js";
import type { PlanRequest } from "../../../src/placement/plan.js";
import { createRendezvous, type RendezvousScore } from "../../../src/placement/rendezvous.js";

interface Replica {
  readonly node: string;
  readonly shard: number;
}

type Movable = (replica: Replica) => boolean;

/** Numbers first to last, then texts: the first pair that differs decides. */
type Key = readonly (number | string)[];

/**
 * The rules of placement in the plainest words: one list of replicas, everything counted anew whenever it is asked for, every node looked
 * at for every replica, lists sorted whole. Planners are compared with it; it is far too slow for anything else.
 */
export class NaivePlacement {
  /** In the order in which they were placed. */
  #replicas: Replica[] = [];
  readonly #names: readonly string[];
  readonly #zones: ReadonlyMap<string, string>;
  readonly #shares: ReadonlyMap<string, NodeShare>;
  readonly #score: RendezvousScore;

  constructor(readonly request: GroupRequest) {
    this.#names = request.nodes.map(({ node }) => node).sort();
    this.#zones = new Map(request.nodes.map((node) => [node.node, zoneOf(node)]));
    this.#shares = nodeShares(request);
    this.#score = createRendezvous(request.instance);
  }

  /** Holders by shard, preferred ones first. */
  get placement(): Map<number, string[]> {
    return new Map(
      this.#shards().map((shard) => [
        shard,
        first(this.#holders(shard), (node) => [-this.#prefers(shard, node)]),
      ]),
    );
  }

  /** As `assignGroup` does. */
  assign(): this {
    this.#place(
      () => 0,
      () => true,
    );
    return this;
  }

  /** As `planGroup` does. */
  plan({ behind, current, fill = [], rebalance = false }: PlanRequest): this {
    for (const shard of this.#shards()) {
      for (const node of current.get(shard) ?? []) if (this.#names.includes(node)) this.#add({ node, shard });
    }
    for (const shard of this.#shards()) {
      while (this.#holders(shard).length > this.request.replicationFactor) {
        const keep = first(this.#holders(shard), (node) => [
          behind?.has(node) === true ? 1 : 0,
          this.#crowding(shard, node),
          this.#fill(node),
          node,
        ]);
        this.#remove({ node: keep.at(-1) ?? "", shard });
      }
    }
    const before = this.#replicas;
    const isNew: Movable = ({ node, shard }) => !holds(before, node, shard);
    const want = (node: string) =>
      [Math.floor, Math.ceil].filter((round) => this.#load(node) >= round(this.#share(node))).length;
    this.#place(want, isNew);
    const givers = this.#names.filter((node) => !fill.includes(node));
    while (this.#feed(fill, givers, isNew) || this.#feed(fill, givers, () => true) || this.#relieve(fill));
    while (
      rebalance &&
      (this.#relieve(this.#names) ||
        this.#passThrough() ||
        this.#spread() ||
        this.#feed(this.#names, this.#names, () => true))
    );
    return this;
  }

  #place(want: (node: string) => number, movable: Movable): void {
    for (const shard of this.#shards()) {
      while (this.#holders(shard).length < this.request.replicationFactor) {
        const open = this.#names.filter((node) => !holds(this.#replicas, node, shard));
        const crowding = (node: string) => this.#crowding(shard, node);
        const least = Math.min(...open.map(crowding));
        const [best] = first(
          open.filter((node) => this.#hasRoom(node)),
          (node) => [
            crowding(node),
            want(node),
            this.#elsewhere(shard, node),
            -this.#prefers(shard, node),
            node,
          ],
        );
        if (best !== undefined && crowding(best) === least) this.#add({ node: best, shard });
        else if (
          this.#makeRoom(
            shard,
            open.filter((node) => crowding(node) === least),
            movable,
          )
        )
          continue;
        else if (best !== undefined) this.#add({ node: best, shard });
        else if (!this.#makeRoom(shard, open, movable)) {
          this.#add({ node: first(open, (node) => [this.#fill(node), node])[0] ?? "", shard });
        }
      }
    }
  }

  /** Breadth first over the nodes that a replica can be passed on to, each by the replica that suits the next one best. */
  #makeRoom(shard: number, targets: readonly string[], movable: Movable): boolean {
    const chains = targets
      .filter((node) => !holds(this.#replicas, node, shard))
      .map((node) => ({ end: node, passed: [] as readonly Replica[] }));
    const seen = new Set(chains.map(({ end }) => end));
    for (const { end, passed } of chains) {
      if (this.#hasRoom(end)) {
        const holders = [...passed.map(({ node }) => node), end];
        passed.forEach((replica, i) => {
          this.#remove(replica);
          this.#add({ node: holders[i + 1] ?? "", shard: replica.shard });
        });
        this.#add({ node: holders[0] ?? "", shard });
        return true;
      }
      const busy = [shard, ...passed.map((replica) => replica.shard)];
      for (const node of this.#names.filter((name) => !seen.has(name))) {
        const suits = this.#suits(end, node, (replica) => !busy.includes(replica.shard) && movable(replica));
        if (suits === undefined) continue;
        seen.add(node);
        chains.push({ end: node, passed: [...passed, suits] });
      }
    }
    return false;
  }

  #suits(from: string, to: string, movable: Movable): Replica | undefined {
    const gain = ({ shard }: Replica) => this.#crowding(shard, from) - this.#crowding(shard, to, from);
    const [best] = first(
      this.#replicas.filter(
        (replica) =>
          replica.node === from &&
          !holds(this.#replicas, to, replica.shard) &&
          movable(replica) &&
          gain(replica) >= 0,
      ),
      (replica) => [-gain(replica), -this.#prefers(replica.shard, to), replica.shard],
    );
    return best;
  }

  #pass(from: string, to: string, movable: Movable = () => true): boolean {
    const replica = this.#suits(from, to, movable);
    if (replica === undefined) return false;
    this.#remove(replica);
    this.#add({ node: to, shard: replica.shard });
    return true;
  }

  #feed(takers: readonly string[], givers: readonly string[], movable: Movable): boolean {
    const whole = (node: string) => Math.floor(this.#share(node));
    const hungry = takers.filter((node) => this.#load(node) < whole(node));
    const full = givers.filter((node) => this.#load(node) > whole(node));
    const fullest = first(full, (node) => [this.#fill(node), node]).reverse();
    return first(hungry, (node) => [this.#fill(node), node]).some((to) =>
      fullest.some((from) => this.#pass(from, to, movable)),
    );
  }

  #relieve(takers: readonly string[]): boolean {
    const roomy = first(
      takers.filter((node) => this.#hasRoom(node)),
      (node) => [this.#fill(node), node],
    );
    return this.#crowded().some((from) => roomy.some((to) => this.#pass(from, to)));
  }

  #passThrough(): boolean {
    return this.#crowded().some((node) =>
      this.#replicas
        .filter((replica) => replica.node === node)
        .some((replica) => {
          const { shard } = replica;
          const crowding = this.#crowding(shard, node);
          this.#remove(replica);
          const targets = this.#names.filter(
            (other) => other !== node && this.#crowding(shard, other) <= crowding,
          );
          if (this.#makeRoom(shard, targets, (other) => other.node !== node)) return true;
          this.#add(replica);
          return false;
        }),
    );
  }

  #spread(): boolean {
    return this.#shards().some((shard) =>
      this.#holders(shard)
        .sort()
        .some((node) => {
          const crowding = this.#crowding(shard, node);
          if (crowding === 0) return false;
          this.#remove({ node, shard });
          const targets = first(
            this.#names.filter(
              (other) => !holds(this.#replicas, other, shard) && this.#crowding(shard, other) < crowding,
            ),
            (other) => [this.#fill(other), other],
          );
          const roomy = targets.find((other) => this.#hasRoom(other));
          if (roomy !== undefined) this.#add({ node: roomy, shard });
          else if (!this.#makeRoom(shard, targets, () => true)) {
            this.#add({ node, shard });
            return false;
          }
          return true;
        }),
    );
  }

  #shards(): number[] {
    return Array.from({ length: this.request.shards }, (_, shard) => shard);
  }

  #holders(shard: number): string[] {
    return this.#replicas.filter((replica) => replica.shard === shard).map(({ node }) => node);
  }

  #crowded(): string[] {
    return this.#names.filter((node) => this.#load(node) > (this.#shares.get(node)?.cap ?? 0));
  }

  #hasRoom(node: string): boolean {
    return this.#load(node) < (this.#shares.get(node)?.cap ?? 0);
  }

  #load(node: string): number {
    return this.#replicas.filter((replica) => replica.node === node).length;
  }

  #share(node: string): number {
    return this.#shares.get(node)?.share ?? 0;
  }

  #fill(node: string): number {
    return this.#load(node) / Math.max(this.#share(node), 1e-9);
  }

  #prefers(shard: number, name: string): number {
    const node = this.request.nodes.find((candidate) => candidate.node === name);
    return node === undefined ? 0 : this.#score(shard, node);
  }

  #crowding(shard: number, node: string, instead?: string): number {
    const zone = this.#zones.get(node);
    const others = this.#holders(shard).filter((other) => other !== node && other !== instead);
    return others.filter((other) => this.#zones.get(other) === zone).length;
  }

  #elsewhere(shard: number, node: string): number {
    const zone = this.#zones.get(node);
    return (this.request.elsewhere?.get(shard) ?? []).filter((other) => other === zone).length;
  }

  #add(replica: Replica): void {
    this.#replicas = [...this.#replicas, replica];
  }

  #remove({ node, shard }: Replica): void {
    this.#replicas = this.#replicas.filter((replica) => replica.node !== node || replica.shard !== shard);
  }
}

function holds(replicas: readonly Replica[], node: string, shard: number): boolean {
  return replicas.some((replica) => replica.node === node && replica.shard === shard);
}

/** Sorted by key, the least first. */
function first<T>(items: readonly T[], key: (item: T) => Key): T[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  return keyed.sort((a, b) => compareKeys(a.key, b.key)).map(({ item }) => item);
}

function compareKeys(a: Key, b: Key): number {
  const differs = a.findIndex((part, i) => part !== b[i]);
  const [left, right] = [a[differs] ?? 0, b[differs] ?? 0];
  return left < right ? -1 : left > right ? 1 : 0;
}
