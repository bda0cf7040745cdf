import type { WebSocketServer } from 'ws';
import { socketBelow } from '../../net/splice/reset.js';
import { DATAGRAMS_SUBPROTOCOL } from '../../protocol/limits.js';
import type { HttpSurfaceOptions } from '../public-port/http-surface.js';
import { shownOn } from '../tickets/shown-ticket.js';
import { offers, refuse, type Asked } from './messages.js';

type Options = Pick<HttpSurfaceOptions, 'hasDescriptors' | 'onDatagrams' | 'forwardDatagrams' | 'onTrusted'>;

/** Upgrades to the WebSocket for the datagrams of a session, which `server` upgrades. A session of another node gets it forwarded. */
export function datagramsInWebSockets(
  server: WebSocketServer,
  { hasDescriptors, onDatagrams, forwardDatagrams, onTrusted }: Options,
): (asked: Asked) => void {
  return ({ request, socket, head }) => {
    const ticket = shownOn(socket, request.headers.authorization);
    const key = request.headers['sec-websocket-key'];
    if (!ticket || key === undefined || head.length > 0 || !offers(request, DATAGRAMS_SUBPROTOCOL))
      return refuse(socket, '400 Bad Request');
    if (!hasDescriptors(socket)) return refuse(socket, '503 Service Unavailable');
    socket.on('error', () => undefined);
    const trust = (): void => onTrusted(socketBelow(socket) ?? socket);
    const take = onDatagrams(ticket);
    if (!take) return void forward();
    trust();
    return server.handleUpgrade(request, socket, head, take);

    async function forward(): Promise<void> {
      const join = await forwardDatagrams({ ticket: ticket!.plain(), key: key! });
      if (!join) return refuse(socket, '403 Forbidden');
      trust();
      join(socket);
    }
  };
}
