import type { Socket } from 'node:net';
import type { Shown } from '../../protocol/ticket.js';
import { REJECTED } from '../../protocol/ticket-line.js';
import { SingleConnection } from '../data/data-connection.js';
import type { HttpSurfaceOptions } from '../public-port/http-surface.js';
import { whenRedeemed } from './redeemed.js';
import { refuse } from '../visitors/refuse.js';
import { proving } from './shown-ticket.js';

const INVALID = Buffer.from([REJECTED.ticket]);
const NO_DESCRIPTOR = Buffer.from([REJECTED.noDescriptor]);

/** Opens a data connection by its ticket line. The checks, and their order, are those of the HTTP upgrade. */
export function openByLine(
  socket: Socket,
  shown: Shown | undefined,
  { hasDescriptors, onData, onTrusted }: Pick<HttpSurfaceOptions, 'hasDescriptors' | 'onData' | 'onTrusted'>,
): void {
  if (!shown) return refuse(socket, INVALID);
  if (!hasDescriptors(socket)) return refuse(socket, NO_DESCRIPTOR);
  whenRedeemed(onData(proving(socket, shown), 'raw'), (take) => {
    if (!take) return refuse(socket, INVALID);
    onTrusted(socket);
    take(new SingleConnection(socket));
  });
}
