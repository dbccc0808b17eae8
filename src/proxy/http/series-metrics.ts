import { Counter, type Metric, type MetricValueWithName, type Registry } from "prom-client";

/** What a metric is called and told apart by. */
export interface SeriesConfiguration<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
  readonly registry: Registry;
}

type Labels<Label extends string> = Readonly<Record<Label, string | number>>;

/** One series of a counter. */
export interface CountSeries {
  /** Counts one event. */
  inc(): void;
}

/**
 * A counter for what happens with every request. prom-client puts labels together to a text and looks for it with every event; here whoever
 * counts keeps its series, and prom-client hears of the events when somebody looks.
 */
export class SeriesCounter<Label extends string> {
  readonly #counter: Counter<Label>;
  readonly #open: { readonly labels: Labels<Label>; pending: number }[] = [];

  constructor({ registry, labelNames, ...names }: SeriesConfiguration<Label>) {
    const report = (): void => this.#report();
    this.#counter = new Counter({ ...names, labelNames, registers: [registry], collect: report });
  }

  /** A series, to be kept: there must be one at most for the same labels. */
  series(labels: Labels<Label>): CountSeries {
    const series = { labels, pending: 0, inc: () => void series.pending++ };
    this.#open.push(series);
    return series;
  }

  #report(): void {
    for (const series of this.#open) {
      if (series.pending > 0) this.#counter.inc(series.labels, series.pending);
      series.pending = 0;
    }
  }
}

/** One series of a histogram. */
export class ValueSeries {
  /** By bucket, the last one without a bound. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(
    readonly labels: Readonly<Record<string, string | number>>,
    private readonly bounds: readonly number[],
  ) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Counts a value. */
  observe(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
  }
}

/** A histogram for the same use as {@link SeriesCounter}; it prints itself as prom-client's does. */
export class SeriesHistogram<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly #bounds: readonly number[];
  readonly #series: ValueSeries[] = [];

  /** @param bounds upper bounds of the buckets, ascending */
  constructor({ name, help, registry }: SeriesConfiguration<Label>, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
    // A registry asks no more of a metric than to be called something and to give its values.
    registry.registerMetric(this as unknown as Metric);
  }

  /** A series, to be kept: there must be one at most for the same labels. */
  series(labels: Labels<Label>): ValueSeries {
    const series = new ValueSeries(labels, this.#bounds);
    this.#series.push(series);
    return series;
  }

  /** Everything that was counted, as prom-client hands it over. */
  async get() {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#series.flatMap((series) => this.#values(series)) };
  }

  #values({ labels, counts, sum }: ValueSeries): MetricValueWithName<string>[] {
    let count = 0;
    const buckets = [...counts].map((more, bucket) => {
      count += more;
      const le = this.#bounds[bucket] ?? "+Inf";
      return { metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: sum },
      { metricName: `${this.name}_count`, labels, value: count },
    ];
  }
}

/** Makes something once for every key. */
export function oncePer<K, T>(make: (key: K) => T): (key: K) => T {
  const made = new Map<K, T>();
  return (key) => {
    let known = made.get(key);
    if (known === undefined) {
      known = make(key);
      made.set(key, known);
    }
    return known;
  };
}

/** Makes something once for every pair of keys. */
export function oncePerPair<A, B, T>(make: (a: A, b: B) => T): (a: A, b: B) => T {
  const beside = oncePer((a: A) => oncePer((b: B) => make(a, b)));
  return (a, b) => beside(a)(b);
}
