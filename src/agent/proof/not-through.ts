import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { isLoopback } from '../../net/target/target.js';

/** Timeout of the agent's own visits. */
export const PROBE_MS = 5_000;

/**
 * The failure of a probe in every mode: a visitor of `where` would not get through. A visit that ends after `PROBE_MS` also
 * counts as timed out, because the relay waited for this agent and gave up.
 */
export function notThrough(where: string, error: unknown, tookMs = 0, hint?: string): PortalError {
  const reason = failureReason(error);
  const isLate = tookMs >= PROBE_MS && !isTimeout(error);
  const why = isLate ? `${reason} after ${Math.round(tookMs / 1000)} s` : reason;
  return new PortalError('not_through', `visitors do not reach ${where}: ${why}`, {
    cause: isLate ? new PortalError('timeout', why, { cause: error }) : error,
    ...(hint !== undefined && { hint }),
  });
}

/** What opens a public port of the relay. Undefined for a relay on this machine, which needs no firewall rule. */
export function openPortHint(relayAddress: string, port: string): string | undefined {
  if (isLoopback(relayAddress)) return undefined;
  return `Open ${port} in the firewall of the relay's server and at its hosting provider.`;
}

/** Whether a visit only timed out, which does not show whether visitors get through. */
export function timedOut(error: unknown): boolean {
  const { code, cause } = asPortalError(error);
  return code === 'not_through' && isTimeout(cause);
}

function isTimeout(error: unknown): boolean {
  return (error instanceof PortalError && error.code === 'timeout') || systemCode(error) === 'ETIMEDOUT';
}
