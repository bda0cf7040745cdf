import type { TLSSocket } from 'node:tls';
import { PortalError } from '../../lib/errors.js';
import { channelOf } from '../../protocol/channel.js';
import { INSPECTED } from '../../protocol/relay-proof.js';

/**
 * The channel binding of the TLS session with the relay at `url`, for signatures and tickets. Throws
 * `relay_untrusted` if the session is older than TLS 1.3; the message then ends with `undone`.
 */
export function channelBinding(url: string, socket: TLSSocket, undone: string): string {
  const channel = channelOf(socket);
  if (channel !== undefined) return channel;
  if (socket.destroyed) throw new PortalError('relay_unreachable', `${url} closed the connection`);
  throw new PortalError(
    'relay_untrusted',
    `${url} speaks ${socket.getProtocol() ?? 'an old version of TLS'}, but a relay speaks TLS 1.3; ${undone}`,
    { hint: INSPECTED },
  );
}
