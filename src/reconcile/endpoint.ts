import { readFile } from 'node:fs/promises';
import { httpProxy } from '../agent/http-proxy.js';
import type { RelayEndpoint } from '../agent/relay-way.js';
import type { UrlRelay } from '../agent/spec.js';
import { asPortalError, PortalError } from '../lib/errors.js';

/** The HTTP proxy that leads to a URL elsewhere; none if it answers undefined. */
export type ProxyFor = (url: string) => string | undefined;

/** How to reach a relay elsewhere; its CA file is read anew each time. Throws `relay_untrusted`. */
export async function endpointOf(
  { url, caFile }: UrlRelay,
  proxyFor: ProxyFor | undefined,
): Promise<RelayEndpoint> {
  const proxy = proxyFor?.(url);
  return {
    url,
    ...(caFile !== undefined && { ca: await readCa(caFile) }),
    ...(proxy !== undefined && { detour: httpProxy(proxy) }),
  };
}

export async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new PortalError(
      'relay_untrusted',
      `the relay's CA file cannot be read: ${asPortalError(error).message}`,
      {
        cause: error,
        hint: 'Check the path after `ca:`; it is relative to the file that names it.',
      },
    );
  }
}
