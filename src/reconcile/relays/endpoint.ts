import { proxied } from '../../agent/session/proxied.js';
import type { RelayEndpoint } from '../../agent/session/relay-endpoint.js';
import type { UrlRelay } from '../../agent/spec.js';
import { readConfined, relayCaKey } from '../../lib/confined.js';
import { cannotRead, PortalError, unreadableHint } from '../../lib/errors.js';
import type { ProxyFor } from '../../net/proxy/server.js';

export type { ProxyFor };

/** How to reach a remote relay. Reads its CA file each time. Throws `relay_untrusted`. */
export async function endpointOf(
  { url, caFile }: UrlRelay,
  proxyFor: ProxyFor | undefined,
): Promise<RelayEndpoint> {
  const proxy = proxyFor?.(url);
  return {
    url,
    ...(caFile !== undefined && { ca: await readCa(caFile) }),
    ...(proxy !== undefined && { via: proxied(proxy) }),
  };
}

export async function readCa(file: string): Promise<string> {
  try {
    return await readConfined(file, relayCaKey(file));
  } catch (error) {
    throw new PortalError('relay_untrusted', cannotRead(`the relay's CA file ${file}`, error), {
      cause: error,
      hint: unreadableHint(error) ?? 'Check the path in `ca:`. It is relative to the file that contains it.',
    });
  }
}
