import type { ErrorSummary, LeaseStatus, Phase } from '../agent/status.js';
import type { Desired } from '../config/desired.js';
import { PortalError } from '../lib/errors.js';
import type { Runner } from '../reconcile/runner.js';
import type { ServiceState } from './api.js';

/** What a program may know about its services, from the state of their leases. */

const GONE: ReadonlySet<Phase> = new Set<Phase>(['draining', 'closed']);

function leasesOf(runner: Runner, service: string): LeaseStatus[] {
  return runner.snapshot().leases.filter((lease) => lease.service === service && !GONE.has(lease.phase));
}

/** The public URLs of a service, in the order of its relays. */
export function urlsOf(runner: Runner, service: string): string[] {
  const urls = leasesOf(runner, service).flatMap(({ phase, url, tcpAddr, udpAddr }) => {
    if (phase !== 'ready') return [];
    if (url !== undefined) return url;
    return tcpAddr === undefined ? `udp://${udpAddr}` : `tcp://${tcpAddr}`;
  });
  // A lease that is being replaced has the same URL.
  return [...new Set(urls)];
}

export function stateOf(
  runner: Runner,
  service: string,
): { readonly state: ServiceState; readonly error?: ErrorSummary } {
  const leases = leasesOf(runner, service);
  const error =
    leases.find((lease) => lease.error)?.error ??
    runner.snapshot().unplaced.find((one) => one.service === service)?.error;
  const has = (phase: Phase): boolean => leases.some((lease) => lease.phase === phase);
  const because = error && { error };
  if (has('ready')) return { state: 'ready' };
  if (leases.length > 0 && leases.every(({ phase }) => phase === 'failed'))
    return { state: 'failed', ...because };
  if (has('retrying') || (leases.length === 0 && error)) return { state: 'retrying', ...because };
  const { ready, waiting } = runner.readiness();
  const isFirstPass = !ready && waiting.length === 0;
  const isAwaited = isFirstPass || leases.length > 0 || waiting.some((one) => one.service === service);
  return { state: isAwaited ? 'starting' : 'closed' };
}

/** Whether each lease of each service is ready, or no relay accepts it while another has the service. */
export function isReady(runner: Runner, { services }: Desired): boolean {
  const { ready, services: found } = runner.readiness();
  if (!ready) return false;
  return services
    .filter(({ service }) => found[service] !== undefined)
    .every(
      (spec) =>
        // For relays of the pool, one is enough.
        spec.onPool ||
        leasesOf(runner, spec.service).every(({ phase }) => phase === 'ready' || phase === 'failed'),
    );
}

/** The error of a service that no relay accepts. */
export function failureOf(runner: Runner, { services }: Desired): PortalError | undefined {
  for (const { service, relays, onPool } of services) {
    const leases = leasesOf(runner, service);
    if (onPool || leases.length < relays.length || leases.length === 0) continue;
    if (leases.every(({ phase }) => phase === 'failed')) return errorOf(service, leases[0]!.error);
  }
  return undefined;
}

function errorOf(service: string, error: ErrorSummary | undefined): PortalError {
  const { code, message, hint } = error ?? { code: 'internal', message: 'failed' };
  return new PortalError(
    code as PortalError['code'],
    `${service}: ${message}`,
    hint === undefined ? {} : { hint },
  );
}

/** The timeout of a start: which services are not ready, and why. */
export function notReady(runner: Runner, timeoutMs: number): PortalError {
  const waiting = runner.readiness().waiting.map(({ service, phase, error }) => {
    const why = [phase, error?.message].filter(Boolean).join(': ');
    return why === '' ? service : `${service} (${why})`;
  });
  const what = waiting.length > 0 ? `not ready: ${waiting.join(', ')}` : 'the start timed out';
  return new PortalError('timeout', `${what}, after ${timeoutMs} ms`);
}
