import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { readBounded } from '../../lib/read-bounded.js';
import { createConnection } from '../create-connection.js';
import { dial, secure, tlsNameOf } from '../dial.js';
import { openThrough } from '../proxy/open.js';
import type { ProxyFor } from '../proxy/server.js';

export interface SentRequest {
  /** `https:`, or `http:` without TLS. */
  readonly url: string;
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Timeout of a connection. `signal` ends the whole request. */
  readonly ms: number;
  readonly signal: AbortSignal;
  readonly maxBytes: number;
  /** PEM of the CA to trust. Default: the CAs that Node trusts. */
  readonly trust?: string | undefined;
  readonly proxyFor?: ProxyFor | undefined;
}

export interface SentResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/**
 * Sends one request to an HTTP server on a connection of its own, through a proxy if one is set. Follows no redirect. Rejects with
 * the errors of Node, and those of the proxy.
 */
export function sendRequest(sent: SentRequest): Promise<SentResponse> {
  const { url, method, headers, body, signal, maxBytes } = sent;
  const isTls = url.startsWith('https:');
  return new Promise((resolve, reject) => {
    const outgoing = (isTls ? httpsRequest : httpRequest)(
      url,
      {
        method,
        // With `createConnection`, Node adds `:80` to Host if the URL names no port. CAs build their URLs from
        // Host.
        ...(isTls && { defaultPort: 443 }),
        headers: { 'user-agent': 'portal', ...headers },
        signal,
        createConnection: createConnection(() => connected(sent, isTls)) as never,
      },
      (incoming) => {
        const { statusCode: status = 0, headers: fields } = incoming;
        readBounded(incoming, maxBytes, () => new Error('the response is too long')).then(
          (bytes) => resolve({ status, headers: fields, text: bytes.toString() }),
          reject,
        );
      },
    );
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

async function connected({ url, ms, signal, trust, proxyFor }: SentRequest, isTls: boolean): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const to = { host, port: Number(port || (isTls ? 443 : 80)), ms, signal };
  const proxy = proxyFor?.(url);
  const plain = await (proxy ? openThrough(proxy, to) : dial(to));
  return isTls ? secure(plain, { ...tlsNameOf(host), ...(trust !== undefined && { ca: trust }) }) : plain;
}
