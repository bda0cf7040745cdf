import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import type { AcmeSpec } from '../../src/certificates/spec.js';
import { temporaryFolder } from './folder.js';

export interface FakeCa {
  readonly spec: AcmeSpec;
  /** Requested paths so far. */
  readonly requested: string[];
  /** The `Host` of each. */
  readonly hosts: (string | undefined)[];
}

export interface Refusal {
  readonly status: number;
  readonly type: string;
  readonly detail: string;
  readonly headers?: Record<string, string>;
}

/** A CA that creates accounts and then rejects every order with the test's error. */
export async function rejectingCa(
  refusal: () => Refusal,
  renewal: readonly [start: string, end: string] | readonly [] = [],
): Promise<FakeCa> {
  const ca = await openLocalCa(await temporaryFolder());
  const requested: string[] = [];
  const hosts: (string | undefined)[] = [];
  let nonce = 0;
  const server = createServer(
    await ca.issue(['localhost']),
    (request: IncomingMessage, response: ServerResponse) => {
      const { port } = server.address() as AddressInfo;
      const url = (path: string): string => `https://localhost:${port}${path}`;
      requested.push(request.url ?? '');
      hosts.push(request.headers.host);
      response.setHeader('replay-nonce', `nonce${++nonce}`);
      request.resume().once('end', () => {
        if (request.url === '/dir') {
          const directory = {
            newNonce: url('/nonce'),
            newAccount: url('/account'),
            newOrder: url('/order'),
            renewalInfo: url('/renewal'),
            meta: { caaIdentities: ['ca.test'] },
          };
          response.end(JSON.stringify(directory));
        } else if (request.url?.startsWith('/renewal/')) {
          const [start = '', end = ''] = renewal;
          response.end(JSON.stringify({ suggestedWindow: { start, end } }));
        } else if (request.url === '/nonce') {
          response.end();
        } else if (request.url === '/account') {
          response.writeHead(201, { location: url('/account/1'), 'content-type': 'application/json' });
          response.end('{"status":"valid"}');
        } else {
          const { status, type, detail, headers } = refusal();
          response.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
          response.end(JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail }));
        }
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    spec: { directory: `https://localhost:${port}/dir`, caFile: ca.certificateFile },
    requested,
    hosts,
  };
}
