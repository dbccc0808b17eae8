/** Of the values in a bucket the largest is this many times the smallest: how exact a quantile can be. */
const BUCKETS_PER_DOUBLING = 4;
/** Milliseconds below which all values count as one. */
const SMALLEST_MS = 0.25;
/** Sixteen doublings: up to 16 s. */
const BUCKETS = 64;
/** After so many values what was seen before counts half. */
const HALF_LIFE = 256;
/** Below so many values nothing is said: one of them would be the answer. */
const LEAST_VALUES = 20;
/** How many values come in between two looks at the buckets. */
const LOOK_EVERY = 16;

/**
 * A quantile of latencies that forgets what is long past: counts in buckets that grow by a fifth, halved every now and then. Takes 128
 * bytes and a logarithm a value.
 */
export class LatencyQuantile {
  private readonly counts = new Uint16Array(BUCKETS);
  private sinceHalving = 0;
  private sinceLook = 0;
  private total = 0;
  private known: number | undefined;

  /** @param fraction how much of the values lies below the quantile: 0.95 for the p95 */
  constructor(private readonly fraction: number) {}

  /** Adds a value in milliseconds. */
  add(ms: number): void {
    const bucket = bucketOf(ms);
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.total++;
    if (++this.sinceHalving >= HALF_LIFE) this.halve();
    if (this.total >= LEAST_VALUES && (this.known === undefined || ++this.sinceLook >= LOOK_EVERY)) {
      this.sinceLook = 0;
      this.known = this.look();
    }
  }

  /** The quantile in milliseconds, off by a fifth at most; undefined before there are values enough. */
  value(): number | undefined {
    return this.known;
  }

  private look(): number {
    let left = this.total * this.fraction;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.counts[bucket] ?? 0;
      if (count >= left && count > 0) return upTo(bucket - 1 + left / count);
      left -= count;
    }
    return upTo(BUCKETS);
  }

  private halve(): void {
    this.sinceHalving = 0;
    this.total = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const half = (this.counts[bucket] ?? 0) >> 1;
      this.counts[bucket] = half;
      this.total += half;
    }
  }
}

function bucketOf(ms: number): number {
  const bucket = Math.ceil(Math.log2(ms / SMALLEST_MS) * BUCKETS_PER_DOUBLING);
  return Math.min(BUCKETS - 1, Math.max(0, bucket));
}

/** The latency at the upper end of a bucket, or at some place inside one. */
function upTo(bucket: number): number {
  return SMALLEST_MS * 2 ** (bucket / BUCKETS_PER_DOUBLING);
}
