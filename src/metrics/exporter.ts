import type { Counter, Gauge, MetricObjectWithValues, MetricValue, Registry } from 'prom-client';
import type { BuildInfo, Metric, Sample } from './metric.js';

/** The metrics of one process, as plain data. */
export type MetricValues = readonly MetricObjectWithValues<MetricValue<string>>[];

export interface Exporter {
  /** All metrics in the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  /** All metrics as plain data. */
  values(): Promise<MetricValues>;
  /** For metrics that are observed instead of read. */
  readonly registry: Registry;
}

/** Exports `metrics`, and those of the process. `read` is called once a scrape, so that the values belong together. */
export async function createExporter<Stats>(
  metrics: readonly Metric<Stats>[],
  build: BuildInfo,
  read: () => Stats | undefined,
): Promise<Exporter> {
  // Loaded on demand: a process without metrics does not need it.
  const client = await import('prom-client');
  const registry = new client.Registry();
  client.collectDefaultMetrics({ register: registry });
  let stats: Stats | undefined;
  for (const metric of metrics) if (metric.type !== 'histogram') add(metric);

  function add({ name, type, help, labels = {}, aggregator, read: readFrom }: Metric<Stats>): void {
    const labelNames = Object.keys(labels);
    const samples = (): readonly Sample[] => {
      if (!readFrom) return [{ labels: { ...build }, value: 1 }];
      if (stats === undefined) return [];
      const value = readFrom(stats);
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
    registry,
    contentType: registry.contentType,
    text: () => {
      stats = read();
      return registry.metrics();
    },
    values: () => {
      stats = read();
      return registry.getMetricsAsJSON();
    },
  };
}
