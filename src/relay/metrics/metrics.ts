import type { Counter, Gauge, MetricObjectWithValues, MetricValue } from 'prom-client';
import type { Relay } from '../relay.js';
import type { Sample } from './labels.js';
import { METRICS, VISITOR_WAIT, type Metric } from './table.js';

/** Versions for `portal_relay_build_info`. */
export interface BuildInfo {
  readonly version: string;
  readonly node: string;
}

export interface RelayMetrics {
  /** Pass it to the relay as the option of the same name. */
  readonly onVisitorWaited: (seconds: number) => void;
  /** Adds the metrics of `relay`. Before, there are only those of the process. */
  watch(relay: Pick<Relay, 'stats'>): void;
  /** All metrics in the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  /** All metrics as plain data. */
  values(): Promise<MetricValues>;
}

/** The metrics of one process, as plain data. */
export type MetricValues = readonly MetricObjectWithValues<MetricValue<string>>[];

/**
 * The metrics of one relay. Gauges and counters are read from the relay at each scrape. Only the histogram observes each
 * visitor.
 */
export async function createMetrics(build: BuildInfo): Promise<RelayMetrics> {
  // Loaded on demand: a relay without metrics does not need it.
  const client = await import('prom-client');
  const registry = new client.Registry();
  client.collectDefaultMetrics({ register: registry });
  let relay: Pick<Relay, 'stats'> | undefined;
  // Read once per scrape, so that the values belong together.
  let stats: ReturnType<Relay['stats']> | undefined;
  for (const metric of METRICS) if (metric.type !== 'histogram') add(metric);
  const waits = new client.Histogram({
    name: VISITOR_WAIT.name,
    help: VISITOR_WAIT.help,
    buckets: [...VISITOR_WAIT.buckets],
    registers: [registry],
  });

  function add({ name, type, help, labels = {}, aggregator, read }: Metric): void {
    const labelNames = Object.keys(labels);
    const samples = (): readonly Sample[] => {
      if (!read) return [{ labels: { ...build }, value: 1 }];
      if (!stats) return [];
      const value = read(stats);
      return typeof value === 'number' ? [{ labels: {}, value }] : value;
    };
    const common = { name, help, labelNames, registers: [], ...(aggregator && { aggregator }) };
    const gauge = (): Gauge =>
      new client.Gauge({
        ...common,
        collect() {
          this.reset();
          for (const sample of samples()) this.set(sample.labels, sample.value);
        },
      });
    const counter = (): Counter =>
      new client.Counter({
        ...common,
        collect() {
          this.reset();
          for (const sample of samples()) this.inc(sample.labels, sample.value);
        },
      });
    registry.registerMetric(type === 'gauge' ? gauge() : counter());
  }

  return {
    onVisitorWaited: (seconds) => waits.observe(seconds),
    watch: (watched) => (relay = watched),
    text: () => {
      stats = relay?.stats();
      return registry.metrics();
    },
    contentType: registry.contentType,
    values: () => {
      stats = relay?.stats();
      return registry.getMetricsAsJSON();
    },
  };
}
