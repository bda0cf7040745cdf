import { readFile } from 'node:fs/promises';
import { request } from 'node:https';

/** The body of one HTTPS response on a new connection that trusts only the CA in `caFile`. */
export async function httpsGet(url: string, caFile: string, host = '127.0.0.1'): Promise<string> {
  const ca = await readFile(caFile);
  const { hostname, port, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    // The loopback by address: not every resolver knows names below localhost.
    const outgoing = request({
      host,
      port,
      path: pathname,
      servername: hostname,
      headers: { host: hostname },
      ca,
      agent: false,
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.once('end', () => resolve(body));
    });
    outgoing.end();
  });
}
