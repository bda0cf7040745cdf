import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PATHS } from '../../protocol/limits.js';
import { servePreface } from '../hops/requests.js';
import { upgradeData } from '../http/data-upgrades.js';
import { pathOf, refuse } from '../http/messages.js';
import { redirect, redirectUpgrade } from '../http/redirect.js';
import { requestLimits, receiveSockets } from './http-server.js';
import type { HttpSurfaceOptions } from './http-surface.js';
import type { RequestConnections } from './request-connections.js';

export type PlainServerOptions = Pick<
  HttpSurfaceOptions,
  | 'requestHeadMs'
  | 'url'
  | 'serves'
  | 'hops'
  | 'onHop'
  | 'hasDescriptors'
  | 'onData'
  | 'onTrusted'
  | 'ticketTag'
>;

/** The relay's server for plain HTTP: redirects to https, data connections of carrier `raw`, and connections that peers forward. */
export function createPlainServer(options: PlainServerOptions, connections: RequestConnections): Server {
  const server = createServer(requestLimits(options.requestHeadMs), (request, response) =>
    redirect(request, response, options),
  );
  // A 100 would invite the whole body of a request that gets a redirect.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = stream as Socket;
    connections.served(socket);
    const path = pathOf(request);
    const asked = { request, socket, head };
    if (path === PATHS.data) upgradeData(asked, 'raw', options);
    else if (path === PATHS.hop) servePreface(options.hops, asked, () => options.onHop(socket), refuse);
    else redirectUpgrade(request, socket, options);
  });
  receiveSockets(server);
  return server;
}
