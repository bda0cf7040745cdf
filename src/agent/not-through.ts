import { asPortalError, PortalError, systemCode } from '../lib/errors.js';

/** A probe's verdict in every mode: who visits `where`, as anybody would, does not arrive. */
export function notThrough(where: string, error: unknown): PortalError {
  const reason = systemCode(error) ?? asPortalError(error).message;
  return new PortalError('not_through', `a visitor of ${where} does not get through: ${reason}`, {
    cause: error,
  });
}
