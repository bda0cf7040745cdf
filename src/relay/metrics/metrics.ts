import { createExporter, type Exporter } from '../../metrics/exporter.js';
import type { BuildInfo } from '../../metrics/metric.js';
import type { Relay } from '../relay.js';
import { METRICS, VISITOR_WAIT } from './table.js';

export interface RelayMetrics extends Pick<Exporter, 'text' | 'contentType' | 'values'> {
  /** Pass it to the relay as the option of the same name. */
  readonly onVisitorWaited: (seconds: number) => void;
  /** Adds the metrics of `relay`. Before, there are only those of the process. */
  watch(relay: Pick<Relay, 'stats'>): void;
}

/**
 * The metrics of one relay. Gauges and counters are read from the relay at each scrape. Only the histogram observes each
 * visitor.
 */
export async function createMetrics(build: BuildInfo): Promise<RelayMetrics> {
  let relay: Pick<Relay, 'stats'> | undefined;
  const { registry, ...exporter } = await createExporter(METRICS, build, () => relay?.stats());
  const { Histogram } = await import('prom-client');
  const waits = new Histogram({
    name: VISITOR_WAIT.name,
    help: VISITOR_WAIT.help,
    buckets: [...VISITOR_WAIT.buckets],
    registers: [registry],
  });
  return {
    ...exporter,
    onVisitorWaited: (seconds) => waits.observe(seconds),
    watch: (watched) => (relay = watched),
  };
}
