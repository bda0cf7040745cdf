import { createServer, type AddressInfo } from 'node:net';
import { systemCode } from '../../lib/errors.js';
import { listening } from '../../net/listen/listening.js';

const MAX_ATTEMPTS = 20;

/** A TCP port of this machine that no program uses on any address, and that is not in `taken`. */
export async function freePort(taken: ReadonlySet<number>): Promise<number> {
  let port = 0;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    port = await portOn('::').catch((error: unknown) => {
      if (!NO_IPV6.has(systemCode(error) ?? '')) throw error;
      return portOn('0.0.0.0');
    });
    if (!taken.has(port)) break;
  }
  return port;
}

const NO_IPV6: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

async function portOn(host: string): Promise<number> {
  const server = createServer();
  await listening(server, () => server.listen({ port: 0, host, exclusive: true }));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
