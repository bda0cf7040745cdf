import type { IncomingMessage, ServerResponse } from 'node:http';
import { DATA_UPGRADE, PATHS } from '../../protocol/limits.js';
import { closeUnlessBody, pathOf } from './messages.js';

/** The pages of the relay itself: its descriptor, its peers, its health. */

export interface PageParts {
  /** Responds to a request for the pages of an identity's agents; false for any other request. */
  readonly agents?: (request: IncomingMessage, response: ServerResponse, path: string) => boolean;
  readonly descriptor: () => object;
  /** Descriptors of the peers. */
  readonly relays: () => readonly object[];
  /** What is wrong with the relay, as /healthz reports it; undefined while it is healthy. */
  readonly problem: () => string | undefined;
  /** What does not work while the relay serves visitors. */
  readonly degraded: () => string | undefined;
}

const ABOUT = `This is a Portal relay. It forwards TLS connections to agents and cannot read them.
Programs read what it offers, as JSON, at ${PATHS.relay}
`;

export function serve(request: IncomingMessage, response: ServerResponse, options: PageParts): void {
  response.setHeader('x-robots-tag', 'noindex');
  response.setHeader('cache-control', 'no-store');
  if (options.agents?.(request, response, pathOf(request))) return;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD', ...closeUnlessBody(request) }).end();
    return;
  }
  switch (pathOf(request)) {
    case '/':
      return send(response, 200, 'text/plain; charset=utf-8', ABOUT);
    case PATHS.relay:
      return send(response, 200, 'application/json', `${JSON.stringify(options.descriptor())}\n`);
    case PATHS.relays:
      return send(response, 200, 'application/json', `${JSON.stringify({ relays: options.relays() })}\n`);
    case PATHS.health: {
      const problem = options.problem();
      const text = problem ?? options.degraded() ?? 'ok';
      return send(response, problem === undefined ? 200 : 503, 'text/plain', `${text}\n`);
    }
    case PATHS.control:
    case PATHS.datagrams:
    case PATHS.data:
      response.setHeader('upgrade', pathOf(request) === PATHS.data ? DATA_UPGRADE : 'websocket');
      return send(response, 426, 'text/plain', 'upgrade required\n');
    default:
      return send(response, 404, 'text/plain', 'not found\n');
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}
