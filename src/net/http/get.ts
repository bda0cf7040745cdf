import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { within } from '../../lib/wait.js';

export interface GetOptions {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes: number;
}

export interface Fetched {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Milliseconds from the request, on an open connection, to the response head. */
  readonly rttMs: number;
}

export interface FetchOptions extends GetOptions {
  /** Timeout from the start of the connection to the last byte. */
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
  /** Connects within `ms`. */
  readonly open: (ms: number) => Promise<Socket>;
  readonly tls: (plain: Socket) => TLSSocket;
}

/** One GET on its own connection. */
export async function fetchOnce(url: string, options: FetchOptions): Promise<Fetched> {
  const { ms, signal, open, tls } = options;
  const startedAt = performance.now();
  const socket = tls(await open(ms));
  try {
    const leftMs = Math.max(1, ms - (performance.now() - startedAt));
    return await within(getOver(socket, url, options), leftMs, `a response from ${url}`, signal);
  } finally {
    socket.destroy();
  }
}

/**
 * One GET on its own connection. The caller sets a timeout and destroys the connection. Throws `limit_exceeded` for a
 * response that is too long, and connection errors.
 */
function getOver(socket: TLSSocket, url: string, options: GetOptions): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    let sentAt = performance.now();
    socket.once('secureConnect', () => (sentAt = performance.now()));
    socket.on('error', reject);
    const { hostname, host } = new URL(url);
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
            new PortalError('limit_exceeded', `the response from ${url} exceeds ${options.maxBytes} bytes`),
          );
          socket.destroy();
        } else chunks.push(chunk);
      });
      response.once('error', (error) => reject(asPortalError(error, 'relay_unreachable')));
      response.once('close', () =>
        reject(new PortalError('relay_unreachable', `${url} closed the connection during its response`)),
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
