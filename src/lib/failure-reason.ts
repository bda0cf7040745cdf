import { asPortalError, systemCode } from './errors.js';

/** The system's codes for a connection that failed, in words that follow its address. */
const WORDS: Readonly<Partial<Record<string, string>>> = {
  EAI_AGAIN: 'DNS does not respond',
  ENOTFOUND: 'it has no address in DNS',
  ECONNREFUSED: 'it refused the connection',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
  ETIMEDOUT: 'it did not respond in time',
  EHOSTUNREACH: 'no route leads to it',
  ENETUNREACH: 'this machine has no route to it',
};

/** The hint of an error that a DNS server which does not respond explains. */
export const CHECK_DNS = 'Check that this machine is online, and that its DNS server responds.';

/** Why a connection failed: `DNS does not respond (EAI_AGAIN)`, or the code alone, or the message of an error without one. */
export function failureReason(error: unknown): string {
  const code = systemCode(error);
  if (code === undefined) return asPortalError(error).message;
  const words = WORDS[code];
  return words === undefined ? code : `${words} (${code})`;
}
