import type { MeilisearchHttp } from "../support/meilisearch-http.js";

/** What a proxy said of its own process between two looks. Milliseconds. */
export interface RuntimeFigures {
  /** Time in garbage collection. */
  readonly gcMs: number;
  /** Collections of the young generation: how often new objects have filled it. */
  readonly scavenges: number;
  /** 99th percentile of the event loop's delay, beyond the interval of its measurement. */
  readonly loopDelayP99Ms: number;
}

interface Look {
  readonly gcSeconds: number;
  readonly scavenges: number;
  readonly loopP99Seconds: number;
}

/** Looks at a proxy's own metrics before and after a measurement. */
export async function watchRuntime(api: MeilisearchHttp): Promise<() => Promise<RuntimeFigures>> {
  const before = await look(api);
  return async () => {
    const after = await look(api);
    return {
      gcMs: (after.gcSeconds - before.gcSeconds) * 1_000,
      scavenges: after.scavenges - before.scavenges,
      // Each look begins the percentiles anew; they are of intervals that are meant to last ten milliseconds.
      loopDelayP99Ms: Math.max(0, after.loopP99Seconds * 1_000 - LOOP_RESOLUTION_MS),
    };
  };
}

const LOOP_RESOLUTION_MS = 10;

async function look(api: MeilisearchHttp): Promise<Look> {
  const { text } = await api.send("GET", "/_miroir/metrics");
  const sum = (pattern: RegExp): number =>
    [...text.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
  return {
    gcSeconds: sum(/^miroir_nodejs_gc_duration_seconds_sum\S* (\S+)$/gm),
    scavenges: sum(/^miroir_nodejs_gc_duration_seconds_count\{kind="minor"\} (\S+)$/gm),
    loopP99Seconds: sum(/^miroir_nodejs_eventloop_lag_p99_seconds (\S+)$/gm),
  };
}
