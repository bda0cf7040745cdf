import type { TLSSocket } from 'node:tls';

/**
 * Binds a signature to one TLS session, by a value that both ends share. A man in the middle cannot produce it in another
 * session (RFC 9266, `tls-exporter`).
 */

const LABEL = 'EXPORTER-Channel-Binding';
const BYTES = 32;
const CHANNEL = /^[0-9a-f]{64}$/;

/** The value in hex; undefined if the session is closed or older than TLS 1.3. */
export function channelOf(socket: TLSSocket): string | undefined {
  return exportKey(socket, LABEL, BYTES)?.toString('hex');
}

export const isChannel = (text: string): boolean => CHANNEL.test(text);

/**
 * Keying material that only the two ends of a TLS session share. Undefined before TLS 1.3: there a man in the middle
 * can create two sessions with the same secret (the triple handshake attack).
 */
export function exportKey(
  socket: TLSSocket,
  label: string,
  bytes: number,
  context: Buffer = Buffer.alloc(0),
): Buffer | undefined {
  if (socket.destroyed || socket.getProtocol() !== 'TLSv1.3') return undefined;
  return socket.exportKeyingMaterial(bytes, label, context);
}
