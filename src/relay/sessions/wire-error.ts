import { ERRORS } from '../../lib/error-codes.js';
import type { PortalError } from '../../lib/errors.js';

export const isOnWire = (error: PortalError): boolean => 'wire' in ERRORS[error.code];

/** The error as sent to the agent: a documented code, and no details of an internal error. */
export function wireError(error: PortalError): { code: string; message: string; retryAfterMs?: number } {
  return {
    code: isOnWire(error) ? error.code : 'internal',
    message: error.code === 'internal' ? 'internal error of the relay' : error.message.slice(0, 1000),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  };
}
