/** Metrics as tables: exporters and docs/reference/metrics.md are made from them. */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric whose samples are read from `Stats` at each scrape. */
export interface Metric<Stats> {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  /** Its labels, and what each value means. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[];
  /** What the values of several workers add up to. Default: their sum. */
  readonly aggregator?: 'first' | 'min';
  /** Its value, or one for each combination of labels. Absent for a histogram, and for the versions of the program. */
  readonly read?: (stats: Stats) => number | readonly Sample[];
}

/** Versions for `…_build_info`. */
export interface BuildInfo {
  readonly version: string;
  readonly node: string;
}

/** No sample if there is no value. */
export const optional = (value: number | undefined): Sample[] =>
  value === undefined ? [] : [{ labels: {}, value }];

type Counts<K extends string> = Readonly<Partial<Record<K, number>>>;

/** One sample for each entry, and a zero for each of `known`: `rate()` misses the first increase of a series that starts with it. */
export function by<K extends string>(label: string, counts: Counts<K>, known: Iterable<K> = []): Sample[] {
  const all: Counts<K> = { ...Object.fromEntries([...known].map((key) => [key, 0])), ...counts };
  return Object.entries<number | undefined>(all).map(([key, value = 0]) => ({
    labels: { [label]: key },
    value,
  }));
}
