/** TLS alerts of a server (RFC 8446 §6) that Portal explains to users. */
export const TLS_ALERT = { handshakeFailure: 40, unrecognizedName: 112, noApplicationProtocol: 120 } as const;

/** The number of the alert in a message of OpenSSL. Undefined if it names none. */
export function alertIn(message: string): number | undefined {
  const digits = /SSL alert number (\d+)/.exec(message)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
