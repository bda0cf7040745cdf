import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { listenError } from '../listen.js';
import type { RelayMetrics } from './metrics.js';

/** The operator's own address, in plain HTTP: metrics, and the health of the relay. */

export interface MetricsServer {
  readonly url: string;
  close(): void;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly metrics: Pick<RelayMetrics, 'text' | 'contentType'>;
  /** What is wrong with the relay; undefined while it is healthy. */
  readonly problem?: () => string | undefined;
  /** What does not work while the relay serves visitors. */
  readonly degraded?: () => string | undefined;
  readonly log: Logger;
}

const BOUND_MS = 5_000;

export async function serveMetrics({
  host,
  port,
  metrics,
  problem = () => undefined,
  degraded = () => undefined,
  log,
}: MetricsServerOptions): Promise<MetricsServer> {
  const serve = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === '/metrics') return send(response, 200, metrics.contentType, await metrics.text());
    if (path === '/healthz') {
      const wrong = problem();
      return send(
        response,
        wrong === undefined ? 200 : 503,
        'text/plain; charset=utf-8',
        `${wrong ?? degraded() ?? 'ok'}\n`,
      );
    }
    return send(response, 404, 'text/plain; charset=utf-8', 'metrics are at /metrics\n');
  };
  const server = createServer(
    { requestTimeout: BOUND_MS, headersTimeout: BOUND_MS, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.writeHead(405, { allow: 'GET, HEAD' }).end();
        return;
      }
      serve((request.url ?? '/').split('?', 1)[0]!, response).catch((error: unknown) => {
        log.error({ err: asPortalError(error) }, 'cannot read metrics');
        response.writeHead(500).end();
      });
    },
  );
  // File descriptors are reserved for these (relay/descriptors.ts).
  server.maxConnections = 32;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, host, port)));
    server.listen({ host, port }, resolve);
  });
  server.on('error', () => undefined);
  const address = server.address() as AddressInfo;
  const name = address.address.includes(':') ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}/metrics`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response
    .writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
    })
    .end(body);
}
