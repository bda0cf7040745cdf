import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { PortalError } from '../lib/errors.js';
import type { FetchInit } from './api.js';

/** Statuses whose responses have no body (Fetch standard, "null body status"). */
const WITHOUT_BODY: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/**
 * One request to a tunnel. Names below `localhost` are this machine, which not every resolver knows. Reads the whole response. Follows
 * no redirect.
 */
export async function fetchFrom(
  base: string,
  caFile: string | undefined,
  path: string | URL,
  { method = 'GET', headers = {}, body: sent, signal }: FetchInit = {},
): Promise<Response> {
  if (!base.startsWith('https:'))
    throw new PortalError('usage', `fetch needs an HTTPS URL, and this service has ${base}`, {
      hint: 'Connect with the client of the protocol.',
    });
  const url = new URL(path, base);
  if (url.origin !== new URL(base).origin)
    throw new PortalError('usage', `${url.href} is not a URL of this tunnel`, {
      hint: `Use a path, or a URL that begins with ${base}`,
    });
  const { hostname, host, port, pathname, search } = url;
  const isLocal = hostname === 'localhost' || hostname.endsWith('.localhost');
  const ca = caFile === undefined ? undefined : await readFile(caFile);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: isLocal ? 'localhost' : hostname,
        port: port || 443,
        servername: hostname,
        path: `${pathname}${search}`,
        method,
        headers: { ...headers, host },
        ...(ca && { ca }),
        ...(signal && { signal }),
        agent: false,
      },
      (incoming) => {
        const { statusCode: status = 0, statusMessage: statusText = '', rawHeaders } = incoming;
        const read = async (): Promise<Response> => {
          const content = new Uint8Array(await buffer(incoming));
          const received = new Headers();
          for (let i = 0; i < rawHeaders.length; i += 2) received.append(rawHeaders[i]!, rawHeaders[i + 1]!);
          const body = WITHOUT_BODY.has(status) ? null : content;
          return new Response(body, { status, statusText, headers: received });
        };
        resolve(read());
      },
    );
    outgoing.once('error', reject);
    outgoing.end(sent);
  });
}
