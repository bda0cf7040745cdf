import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { WebSocketServer } from 'ws';
import { CONTROL_SUBPROTOCOL } from '../../protocol/limits.js';
import { formatWork, WORK_HEADER, type Work } from '../../protocol/work.js';
import type { HttpSurfaceOptions } from '../public-port/http-surface.js';
import { offers, refuse, reject, type Asked } from './messages.js';

type Options = Pick<HttpSurfaceOptions, 'refuseControl' | 'demandWork' | 'onControl'>;

/** Upgrades to control channels, which `server` upgrades. `greeted` is for `ControlBegins`. */
export function controlInWebSockets(
  server: WebSocketServer,
  { refuseControl, demandWork, onControl }: Options,
): (asked: Asked, greeted: () => void) => void {
  const demanded = new WeakMap<IncomingMessage, Work>();
  server.on('headers', (headers, request) => {
    const work = demanded.get(request);
    if (work) headers.push(`${WORK_HEADER}: ${formatWork(work)}`);
  });
  return ({ request, socket, head }, greeted) => {
    if (!offers(request, CONTROL_SUBPROTOCOL)) return refuse(socket, '400 Bad Request');
    const rejection = refuseControl(socket);
    if (rejection) return reject(socket, rejection);
    socket.on('error', () => undefined);
    const work = demandWork(socket as TLSSocket);
    if (work) demanded.set(request, work);
    server.handleUpgrade(request, socket, head, (ws) => {
      onControl(ws, socket as TLSSocket, { work, greeted });
    });
  };
}
