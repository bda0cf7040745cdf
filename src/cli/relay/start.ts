import type { Logger } from '../../lib/logger.js';
import type { Check, MetricsServer } from '../../metrics/server.js';
import type { RelayMetrics } from '../../relay/metrics/metrics.js';
import { startRelay, type Relay, type RelayOptions } from '../../relay/relay.js';
import type { MeetingPlace } from '../../relay/nodes/join-machines.js';
import type { Context } from '../context.js';
import type { ListenAddress } from '../listen-address.js';
import { packageVersion } from '../../lib/package-file.js';

/** Starts the relay of `portal relay`, in this process or with worker processes, and its metrics. */

/** Names a worker in its environment. */
export const WORKER_ENV = 'PORTAL_RELAY_WORKER';

/** The name of this worker; undefined in a process that is not a worker. */
export function workerName({ env }: Pick<Context, 'env'>): string | undefined {
  return process.connected ? env[WORKER_ENV] : undefined;
}

/** A relay that listens. */
export interface Started {
  readonly relay: Omit<Relay, 'counts' | 'stats'>;
  readonly metrics: Pick<RelayMetrics, 'text' | 'contentType'> | undefined;
  /** Rejects when the relay cannot continue. */
  readonly lost?: Promise<never>;
}

export interface StartOptions {
  readonly workers: number;
  /** Where this relay meets its other nodes; undefined for a relay of one node. */
  readonly cluster: MeetingPlace | undefined;
  /** Where to serve metrics. */
  readonly metricsAt: ListenAddress | undefined;
  readonly log: Logger;
}

export async function startRelayProcesses(
  context: Context,
  options: RelayOptions,
  { workers, cluster, metricsAt, log }: StartOptions,
): Promise<Started & { readonly metricsServer: MetricsServer | undefined }> {
  const build = metricsAt && { version: packageVersion(), node: process.version };
  const start =
    workers === 1
      ? startHere(options, build, cluster)
      : import('./workers.js').then((own) => own.startWithWorkers(context, options, { workers, build }));
  const started = await start;
  const { relay, metrics } = started;
  if (!metricsAt || !metrics) return { ...started, metricsServer: undefined };
  try {
    return { ...started, metricsServer: await serveRelayMetrics({ relay, metrics }, metricsAt, log) };
  } catch (error) {
    await relay.close();
    throw error;
  }
}

async function serveRelayMetrics(
  { relay, metrics }: { relay: Started['relay']; metrics: NonNullable<Started['metrics']> },
  { host, port }: ListenAddress,
  log: Logger,
): Promise<MetricsServer> {
  const { serveMetrics } = await import('../../metrics/server.js');
  const health = (): Check => {
    const problem = relay.problem();
    return { isGood: problem === undefined, text: problem ?? relay.degraded() ?? 'ok' };
  };
  return serveMetrics({ host, port, metrics, checks: { '/healthz': health }, log });
}

async function startHere(
  options: RelayOptions,
  build: { readonly version: string; readonly node: string } | undefined,
  cluster: MeetingPlace | undefined,
): Promise<Started> {
  if (!build) return { relay: await startNode(options, cluster), metrics: undefined };
  const { createMetrics } = await import('../../relay/metrics/metrics.js');
  const metrics = await createMetrics(build);
  const relay = await startNode({ ...options, onVisitorWaited: metrics.onVisitorWaited }, cluster);
  metrics.watch(relay);
  return { relay, metrics };
}

async function startNode(options: RelayOptions, cluster: MeetingPlace | undefined): Promise<Relay> {
  if (!cluster) return startRelay(options);
  const [{ joinMachines }, { startRejoiningRelay }] = await Promise.all([
    import('../../relay/nodes/join-machines.js'),
    import('../../relay/nodes/rejoining-relay.js'),
  ]);
  return startRejoiningRelay(options, (own) => joinMachines(own, cluster));
}
