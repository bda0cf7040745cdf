import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';

/** Why a file of a held request cannot be written: the system's code, because messages name the file, which differs for each. */
export function storageReason(error: unknown): string {
  return systemCode(error instanceof PortalError ? error.cause : error) ?? asPortalError(error).message;
}
