import type { AggregatorRegistry, Counter, Gauge } from 'prom-client';
import type { MetricValues } from '../../metrics/exporter.js';
import type { RelayMetrics } from './metrics.js';
import { WORKER_METRICS, type WorkerCounts } from './table.js';

/** The workers of a relay, for its metrics. */
export interface MeasuredWorkers {
  workerCounts(): WorkerCounts;
  /** The metrics of each worker that responds, by its name. Names are unique, even across restarts. */
  workerMetrics(): Promise<ReadonlyMap<string, MetricValues>>;
  isRunning(name: string): boolean;
}

/** The metrics of a relay with workers: sums over the workers and this process, and those of the workers themselves. */
export async function createWorkerMetrics(
  workers: MeasuredWorkers,
): Promise<Pick<RelayMetrics, 'text' | 'contentType'>> {
  const client = await import('prom-client');
  const own = new client.Registry();
  client.collectDefaultMetrics({ register: own });
  for (const { name, type, help, read } of WORKER_METRICS) {
    const common = { name, help, registers: [] };
    const value = (): number => read(workers.workerCounts());
    const gauge = (): Gauge =>
      new client.Gauge({
        ...common,
        collect() {
          this.set(value());
        },
      });
    const counter = (): Counter =>
      new client.Counter({
        ...common,
        collect() {
          this.reset();
          this.inc(value());
        },
      });
    own.registerMetric(type === 'gauge' ? gauge() : counter());
  }
  const known = new KnownMetrics(client.AggregatorRegistry);
  return {
    text: async () => {
      known.update(await workers.workerMetrics(), (name) => workers.isRunning(name));
      return client.AggregatorRegistry.aggregate([...known.all, await own.getMetricsAsJSON()]).metrics();
    },
    contentType: own.contentType,
  };
}

/** The last metrics of each worker. The counters of workers that have ended stay, because a sum of counters must not fall. */
class KnownMetrics {
  readonly #sums: Pick<typeof AggregatorRegistry, 'aggregate'>;
  readonly #last = new Map<string, MetricValues>();
  #ended: MetricValues = [];

  constructor(sums: Pick<typeof AggregatorRegistry, 'aggregate'>) {
    this.#sums = sums;
  }

  get all(): MetricValues[] {
    return [this.#ended, ...this.#last.values()];
  }

  /** A worker without new values keeps its last ones while it runs. */
  update(latest: ReadonlyMap<string, MetricValues>, isRunning: (name: string) => boolean): void {
    for (const [name, values] of latest) this.#last.set(name, values);
    for (const [name, values] of this.#last) {
      if (isRunning(name)) continue;
      this.#last.delete(name);
      const counted = values.filter(({ type }) => CUMULATIVE.has(String(type)));
      // The types lack the values, which are constant here.
      this.#ended = this.#sums.aggregate([this.#ended, counted]).getMetricsAsArray() as never;
    }
  }
}

const CUMULATIVE: ReadonlySet<string> = new Set(['counter', 'histogram']);
