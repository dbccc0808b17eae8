import type { Clock } from "../../runtime/world.js";
import { LatencyQuantile } from "./latency-quantile.js";

/** How much a further answer moves the mean. */
const WEIGHT = 0.1;
/** A single answer counts for so many times the mean at most, so that no pause of a process makes its replicas slow. */
const MAX_RATIO = 4;
/** Answers before which a mean says nothing. */
const LEAST_ANSWERS = 10;
/** A replica is slow whose mean is so many times that of its peers… */
const SLOW_RATIO = 3;
/** …and above it by more than anybody would overlook. Milliseconds. */
const SLOW_BY_MS = 5;
/** A node is late that takes so many times what its peers take. */
const OVERDUE_RATIO = 5;
/** It is so no more when it has answered thus many times in a row… */
const GOOD_ANSWERS = 3;
/** …in less than so many times what its peers take. */
const GOOD_RATIO = 2;
/** A mean to which nothing was added for so long says nothing any more. Milliseconds. */
const STALE_MS = 5_000;
/** Below it nothing is told apart. Milliseconds. */
const LEAST_MS = 1;
/** Between two samples of a slow replica. Milliseconds. */
const SAMPLE_MS = 500;
/** How long a replica takes to come back to a whole share of the reads. Milliseconds. */
export const SLOW_START_MS = 10_000;
/** Answers between two looks at what is usual. */
const LOOK_EVERY = 16;
/** Replicas that are remembered, over all indexes. */
const MAX_REPLICAS = 16_384;

/** What this proxy has seen of how long the replicas of an index take to answer. */
export interface IndexLatency {
  /** Grows whenever a replica becomes slow, or ceases to be. */
  readonly version: number;
  /** A node has answered after `ms`. */
  answered(nodeId: string, ms: number): void;
  /** A node had not answered after `ms`, when another one had, and was waited for no longer. */
  outrun(nodeId: string, ms: number): void;
  /** How long the node may be expected to take: its mean, or what is usual for the index. Milliseconds; never less than 1. */
  expectedMs(nodeId: string): number;
  /** After how long a node is late, and no longer merely slower than others: `leastMs`, more where all replicas take long. Milliseconds. */
  overdueMs(leastMs: number): number;
  /** What 95 of 100 answers of the node took no longer than; undefined before there were enough. Milliseconds. */
  p95Ms(nodeId: string): number | undefined;
  /** Whether the node takes several times as long as its peers. */
  isSlow(nodeId: string): boolean;
  /** How much of its share of reads a node is to get after it was slow: from 0 to 1. */
  warmth(nodeId: string): number;
  /** A slow node that is to be asked once more to see whether it still is; the next one only after a while. */
  takeSample(): string | undefined;
  /** Forgets all nodes but these. */
  keepOnly(nodes: { has(nodeId: string): boolean }): void;
}

/** Latencies of the replicas of every index that is read. */
export interface ReplicaLatencies {
  /** @param instance names the index whatever becomes of its uid */
  of(instance: string): IndexLatency;
  /** Replicas that are slow now. */
  slow(): number;
}

interface Replica {
  readonly p95: LatencyQuantile;
  mean: number;
  answers: number;
  seenAt: number;
  isSlow: boolean;
  goodAnswers: number;
  recoveredAt: number;
  sampledAt: number;
}

/**
 * Remembers the replicas of the indexes that were read last.
 *
 * @param judges whether replicas are called slow at all
 */
export function createReplicaLatencies(clock: Clock, judges = true): ReplicaLatencies {
  const byIndex = new Map<string, Latencies>();
  let replicas = 0;
  let newest: { readonly instance: string; readonly latencies: Latencies } | undefined;
  const resized = (of: Latencies, by: number): void => {
    if (!of.isRemembered) return;
    replicas += by;
    for (const [instance, latencies] of byIndex) {
      if (replicas <= MAX_REPLICAS || latencies === of) break;
      byIndex.delete(instance);
      latencies.isRemembered = false;
      replicas -= latencies.size;
    }
  };
  return {
    of(instance) {
      if (newest?.instance === instance) return newest.latencies;
      const latencies = byIndex.get(instance) ?? new Latencies(clock, judges, resized);
      byIndex.delete(instance);
      byIndex.set(instance, latencies);
      newest = { instance, latencies };
      return latencies;
    },
    slow: () => [...byIndex.values()].reduce((sum, { slow }) => sum + slow.size, 0),
  };
}

class Latencies implements IndexLatency {
  version = 0;
  isRemembered = true;
  readonly slow = new Set<string>();
  private readonly replicas = new Map<string, Replica>();
  private usual: number | undefined;
  private sinceLook = 0;

  constructor(
    private readonly clock: Clock,
    private readonly judges: boolean,
    private readonly resized: (of: Latencies, by: number) => void,
  ) {}

  get size(): number {
    return this.replicas.size;
  }

  answered(nodeId: string, ms: number): void {
    const replica = this.replicaOf(nodeId);
    replica.p95.add(ms);
    this.learn(nodeId, replica, ms);
  }

  outrun(nodeId: string, ms: number): void {
    const replica = this.replicaOf(nodeId);
    // How long it would have taken is unknown: twice as long is a guess, which says nothing where it is known to take longer.
    if (2 * ms > replica.mean) this.learn(nodeId, replica, 2 * ms);
  }

  expectedMs(nodeId: string): number {
    const replica = this.replicas.get(nodeId);
    const isKnown = replica !== undefined && this.clock.monotonic() - replica.seenAt <= STALE_MS;
    return Math.max(LEAST_MS, (isKnown && this.judges ? replica.mean : this.usual) ?? 0);
  }

  overdueMs(leastMs: number): number {
    return Math.max(leastMs, OVERDUE_RATIO * (this.usual ?? 0));
  }

  p95Ms(nodeId: string): number | undefined {
    return this.replicas.get(nodeId)?.p95.value();
  }

  isSlow(nodeId: string): boolean {
    return this.slow.has(nodeId);
  }

  warmth(nodeId: string): number {
    const replica = this.replicas.get(nodeId);
    if (replica === undefined) return 1;
    return replica.isSlow ? 0 : Math.min(1, (this.clock.monotonic() - replica.recoveredAt) / SLOW_START_MS);
  }

  takeSample(): string | undefined {
    if (this.slow.size === 0) return undefined;
    const now = this.clock.monotonic();
    for (const nodeId of this.slow) {
      const replica = this.replicaOf(nodeId);
      if (now - replica.sampledAt < SAMPLE_MS) continue;
      replica.sampledAt = now;
      return nodeId;
    }
    return undefined;
  }

  keepOnly(nodes: { has(nodeId: string): boolean }): void {
    for (const nodeId of [...this.replicas.keys()]) {
      if (nodes.has(nodeId)) continue;
      this.replicas.delete(nodeId);
      this.slow.delete(nodeId);
      this.resized(this, -1);
    }
  }

  private replicaOf(nodeId: string): Replica {
    const known = this.replicas.get(nodeId);
    if (known !== undefined) return known;
    const replica: Replica = {
      p95: new LatencyQuantile(0.95),
      mean: 0,
      answers: 0,
      seenAt: Number.NEGATIVE_INFINITY,
      isSlow: false,
      goodAnswers: 0,
      recoveredAt: Number.NEGATIVE_INFINITY,
      sampledAt: Number.NEGATIVE_INFINITY,
    };
    this.replicas.set(nodeId, replica);
    this.resized(this, 1);
    return replica;
  }

  private learn(nodeId: string, replica: Replica, ms: number): void {
    const now = this.clock.monotonic();
    if (now - replica.seenAt > STALE_MS) {
      replica.mean = ms;
      replica.answers = Math.min(replica.answers, LEAST_ANSWERS - GOOD_ANSWERS);
    } else {
      replica.mean += WEIGHT * (Math.min(ms, MAX_RATIO * replica.mean) - replica.mean);
    }
    replica.seenAt = now;
    replica.answers++;
    if (this.usual === undefined || ++this.sinceLook >= LOOK_EVERY) this.look();
    if (this.judges) this.judge(nodeId, replica, ms, now);
  }

  /** The median of what the others take, the lower one of two: most replicas are as they should be. */
  private look(): void {
    this.sinceLook = 0;
    const means = [...this.replicas.values()]
      .filter(({ isSlow, answers }) => !isSlow && answers >= LEAST_ANSWERS)
      .map(({ mean }) => mean)
      .sort((a, b) => a - b);
    this.usual = means[(means.length - 1) >> 1] ?? this.usual;
  }

  private judge(nodeId: string, replica: Replica, ms: number, now: number): void {
    if (!replica.isSlow) {
      if (replica.answers < LEAST_ANSWERS || !this.exceeds(replica.mean, SLOW_RATIO)) return;
      // All may have become slower at once.
      this.look();
      if (!this.exceeds(replica.mean, SLOW_RATIO)) return;
      replica.isSlow = true;
      replica.goodAnswers = 0;
      this.slow.add(nodeId);
      this.version++;
      return;
    }
    replica.goodAnswers = this.exceeds(ms, GOOD_RATIO) ? 0 : replica.goodAnswers + 1;
    if (replica.goodAnswers < GOOD_ANSWERS) return;
    replica.isSlow = false;
    replica.recoveredAt = now;
    replica.mean = ms;
    this.slow.delete(nodeId);
    this.version++;
  }

  private exceeds(ms: number, ratio: number): boolean {
    return this.usual !== undefined && ms > ratio * this.usual && ms - this.usual > SLOW_BY_MS;
  }
}
