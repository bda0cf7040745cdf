import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { listenError } from '../net/listen/listen-error.js';
import { listening } from '../net/listen/listening.js';
import type { Exporter } from './exporter.js';

/** The operator's own address, in plain HTTP: metrics, and pages that load balancers and supervisors ask. */

export interface MetricsServer {
  readonly url: string;
  close(): void;
}

/** What a page says about the process. 200, or 503 while it is not as it should be. */
export interface Check {
  readonly isGood: boolean;
  readonly text: string;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly metrics: Pick<Exporter, 'text' | 'contentType'>;
  /** By path, such as `/healthz`. */
  readonly checks: Readonly<Record<string, () => Check>>;
  readonly log: Logger;
}

const BOUND_MS = 5_000;
const TEXT = 'text/plain; charset=utf-8';

/** Rejects with `address_in_use` or `listen_failed` if it cannot listen. */
export async function serveMetrics({
  host,
  port,
  metrics,
  checks,
  log,
}: MetricsServerOptions): Promise<MetricsServer> {
  const serve = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === '/metrics') return send(response, 200, metrics.contentType, await metrics.text());
    const check = Object.hasOwn(checks, path) ? checks[path]!() : undefined;
    if (check) return send(response, check.isGood ? 200 : 503, TEXT, `${check.text}\n`);
    return send(response, 404, TEXT, 'metrics are at /metrics\n');
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
  // A relay reserves file descriptors for these (relay/protection/descriptors.ts).
  server.maxConnections = 32;
  await listening(server, () => server.listen({ host, port })).catch((error: unknown) => {
    throw listenError(error, host, port);
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
