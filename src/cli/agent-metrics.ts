import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { Check, MetricsServer } from '../metrics/server.js';
import type { Readiness } from '../reconcile/events.js';
import type { Runner } from '../reconcile/runner.js';
import type { ListenAddress } from './listen-address.js';
import { packageVersion } from '../lib/package-file.js';

/** `--metrics` of `portal up` and `portal expose`: metrics, `/healthz` and `/ready` for supervisors. */

/** Serves until it is closed. Throws `address_in_use` or `listen_failed`, with a hint. */
export async function serveAgentMetrics(
  runner: Pick<Runner, 'snapshot' | 'readiness'>,
  { host, port }: ListenAddress,
  log: Logger,
): Promise<MetricsServer> {
  const [{ createExporter }, { serveMetrics }, { AGENT_METRICS }] = await Promise.all([
    import('../metrics/exporter.js'),
    import('../metrics/server.js'),
    import('../reconcile/metrics.js'),
  ]);
  const build = { version: packageVersion(), node: process.version };
  const metrics = await createExporter(AGENT_METRICS, build, () => ({
    ...runner.snapshot(),
    ready: runner.readiness().ready,
  }));
  const checks = {
    // The process responds: that is all a supervisor needs to know before it restarts the agent.
    '/healthz': (): Check => ({ isGood: true, text: 'ok' }),
    '/ready': (): Check => readyCheck(runner.readiness()),
  };
  return serveMetrics({ host, port, metrics, checks, log }).catch(async (error: unknown) => {
    const { explainListen } = await import('./relay/listen.js');
    throw await explainListen(asPortalError(error), '--metrics HOST:PORT');
  });
}

/** One line for each service that visitors do not reach. */
function readyCheck({ ready, waiting }: Readiness): Check {
  if (ready) return { isGood: true, text: 'ok' };
  const lines = waiting.map(({ service, phase, error }) => {
    const why = error && `: ${error.message}`;
    return `${service} is ${phase ?? 'waiting'}${why ?? ''}`;
  });
  return { isGood: false, text: lines.length === 0 ? 'not ready' : lines.join('\n') };
}
