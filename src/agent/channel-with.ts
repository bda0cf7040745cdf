import type { TLSSocket } from 'node:tls';
import { PortalError } from '../lib/errors.js';
import { channelOf } from '../protocol/channel.js';
import { INSPECTED } from '../protocol/relay-proof.js';

/**
 * The TLS session with the relay at `url`, as signatures and tickets are bound to it. Throws `relay_untrusted` where it is older
 * than TLS 1.3, saying that `undone`.
 */
export function channelWith(url: string, socket: TLSSocket, undone: string): string {
  const channel = channelOf(socket);
  if (channel !== undefined) return channel;
  if (socket.destroyed) throw new PortalError('relay_unreachable', `${url} closed the connection`);
  throw new PortalError(
    'relay_untrusted',
    `${url} answers in ${socket.getProtocol() ?? 'an old version of TLS'}, and a relay in TLS 1.3; ${undone}`,
    { hint: INSPECTED },
  );
}
