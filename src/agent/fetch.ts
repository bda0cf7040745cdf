import { request } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { asPortalError, PortalError } from '../lib/errors.js';
import { within } from '../lib/wait.js';
import { connectError } from './connect.js';
import { openWay, relayTls, wayTo, type RelayEndpoint } from './relay-way.js';

/** One GET over HTTPS, bounded in time and in bytes: relays' descriptors, lists of relays. */

export interface FetchOptions {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** For all of it, from the connection's opening to the last byte. */
  readonly ms: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export interface Fetched {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** From the request, on a connection that stood, to the answer's head. */
  readonly rttMs: number;
}

/** Follows no redirects. Throws `relay_unreachable`, `relay_untrusted`, `timeout`, or `limit_exceeded` for what is too long. */
export async function fetchFrom(endpoint: RelayEndpoint, options: FetchOptions): Promise<Fetched> {
  const { ms, signal } = options;
  const startedAt = performance.now();
  let socket: TLSSocket | undefined;
  try {
    const plain = await openWay(wayTo(endpoint), ms, signal);
    socket = relayTls(endpoint, plain);
    const leftMs = Math.max(1, ms - (performance.now() - startedAt));
    return await within(exchange(endpoint, socket, options), leftMs, `an answer of ${endpoint.url}`, signal);
  } catch (error) {
    throw connectError(error, endpoint.url);
  } finally {
    socket?.destroy();
  }
}

function exchange(endpoint: RelayEndpoint, socket: TLSSocket, options: FetchOptions): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    let sentAt = performance.now();
    socket.once('secureConnect', () => (sentAt = performance.now()));
    socket.on('error', reject);
    const { hostname, host } = new URL(endpoint.url);
    const outgoing = request({
      createConnection: () => socket,
      host: hostname,
      path: options.path,
      headers: { host, connection: 'close', accept: 'application/json', ...options.headers },
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const rttMs = performance.now() - sentAt;
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > options.maxBytes) {
          reject(
            new PortalError(
              'limit_exceeded',
              `${endpoint.url} answers with more than ${options.maxBytes} bytes`,
            ),
          );
          socket.destroy();
        } else chunks.push(chunk);
      });
      response.once('error', (error) => reject(asPortalError(error, 'relay_unreachable')));
      response.once('close', () =>
        reject(new PortalError('relay_unreachable', `${endpoint.url} broke off its answer`)),
      );
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
          rttMs,
        }),
      );
    });
    outgoing.end();
  });
}
