import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { PortalError } from '../../lib/errors.js';
import { HOP_HEADERS, HOP_UPGRADE, PATHS } from '../../protocol/limits.js';
import type { Peer } from './peers.js';

/** The request that precedes a forwarded connection: it tells the next relay how the connection came here. */

/** How a connection came to this relay. */
export interface HopPath {
  /** How many relays have forwarded it. */
  readonly count: number;
  /** URL of the relay that forwarded it last. */
  readonly from: string | undefined;
}

/** Sends the request in plaintext, without the identity of the agent. Afterwards `socket` is like a new connection. */
export function announce(socket: Socket, { authority }: Peer, { count, from }: HopPath): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      createConnection: () => socket,
      path: PATHS.hop,
      headers: {
        host: authority,
        connection: 'Upgrade',
        upgrade: HOP_UPGRADE,
        [HOP_HEADERS.count]: count,
        [HOP_HEADERS.from]: from,
      },
    });
    outgoing.once('upgrade', (response, _socket, head: Buffer) => {
      // On a new connection the relay speaks second.
      if (response.headers.upgrade?.toLowerCase() !== HOP_UPGRADE || head.length > 0)
        return reject(new PortalError('protocol', 'its response is invalid'));
      socket.setTimeout(0);
      resolve();
    });
    outgoing.once('response', ({ headers, statusCode }) => {
      const code = headers[HOP_HEADERS.error];
      outgoing.destroy();
      reject(
        code === 'hop_loop' || code === 'too_many_hops'
          ? new PortalError(
              code,
              `${authority} rejected the connection: the chain is too long or contains a loop`,
            )
          : new PortalError('protocol', `it responded with ${statusCode}`),
      );
    });
    outgoing.once('error', reject);
    outgoing.once('close', () => reject(new PortalError('protocol', 'it closed the connection')));
    outgoing.end();
  });
}
