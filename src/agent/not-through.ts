import { asPortalError, PortalError, systemCode } from '../lib/errors.js';

/** A visit of the agent's own that takes longer than this has timed out. */
export const PROBE_MS = 5_000;

/**
 * A probe's verdict in every mode: who visits `where`, as anybody would, does not arrive. What ends a visit after
 * `PROBE_MS` is a timeout as well, of the relay's: it waited for this agent and gave up.
 */
export function notThrough(where: string, error: unknown, tookMs = 0): PortalError {
  const reason = systemCode(error) ?? asPortalError(error).message;
  const isLate = tookMs >= PROBE_MS && !isTimeout(error);
  const why = isLate ? `${reason} after ${Math.round(tookMs / 1000)} s` : reason;
  return new PortalError('not_through', `a visitor of ${where} does not get through: ${why}`, {
    cause: isLate ? new PortalError('timeout', why, { cause: error }) : error,
  });
}

/** Whether a visit only took too long: that does not tell whether visitors get through. */
export function timedOut(error: unknown): boolean {
  const { code, cause } = asPortalError(error);
  return code === 'not_through' && isTimeout(cause);
}

function isTimeout(error: unknown): boolean {
  return (error instanceof PortalError && error.code === 'timeout') || systemCode(error) === 'ETIMEDOUT';
}
