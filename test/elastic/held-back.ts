/** How long the turns of one step of copies held an index's writes back, as the proxy measured it. Seconds. */
export interface HeldBack {
  readonly step: string;
  readonly turns: number;
  readonly mean: number;
  /** An upper bound of what 99 of 100 turns took, and of all of them: bounds of the histogram's buckets. */
  readonly p99: number;
  readonly max: number;
}

/** Reads `miroir_write_copy_pause_seconds` out of a proxy's metrics. */
export function heldBack(metrics: string): readonly HeldBack[] {
  const steps = new Map<string, { buckets: [number, number][]; sum: number }>();
  const line = /^miroir_write_copy_pause_seconds_(bucket|sum)\{([^}]*)\} (\S+)$/gm;
  for (const [, kind, labels = "", value] of metrics.matchAll(line)) {
    const step = /step="([^"]*)"/.exec(labels)?.[1] ?? "";
    const entry = steps.get(step) ?? { buckets: [], sum: 0 };
    steps.set(step, entry);
    if (kind === "sum") entry.sum = Number(value);
    else {
      const bound = /le="([^"]*)"/.exec(labels)?.[1];
      entry.buckets.push([bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound), Number(value)]);
    }
  }
  return [...steps].map(([step, { buckets, sum }]) => {
    const sorted = buckets.sort(([a], [b]) => a - b);
    const turns = sorted.at(-1)?.[1] ?? 0;
    const boundOf = (share: number) => sorted.find(([, count]) => count >= share * turns)?.[0] ?? 0;
    return { step, turns, mean: turns === 0 ? 0 : sum / turns, p99: boundOf(0.99), max: boundOf(1) };
  });
}
