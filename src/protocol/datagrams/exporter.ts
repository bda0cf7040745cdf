import type { TLSSocket } from 'node:tls';
import { exportKey } from '../channel.js';
import { EXPORTER_BYTES, EXPORTER_LABEL } from './packets.js';

/** Keying material of the control channel for one association. */
export function exportDatagramKey(socket: TLSSocket, association: Buffer): Buffer | undefined {
  return exportKey(socket, EXPORTER_LABEL, EXPORTER_BYTES, association);
}
