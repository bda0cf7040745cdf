import type { TLSSocket } from 'node:tls';
import { EXPORTER_BYTES, EXPORTER_LABEL } from './packets.js';

/**
 * Keying material that only the two ends of the control channel's TLS session share, for one association. None
 * from sessions older than TLS 1.3, where it is not bound to both ends' handshake.
 */
export function exportKey(socket: TLSSocket, association: Buffer): Buffer | undefined {
  if (socket.destroyed || socket.getProtocol() !== 'TLSv1.3') return undefined;
  return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, association);
}
