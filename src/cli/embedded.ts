import { openLocalCa } from '../agent/certificates/local-ca.js';
import { generateIdentity } from '../identity/keys.js';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { EmbeddedRelay } from '../reconcile/runner.js';

const HOST = '127.0.0.1';
const DOMAIN = 'localhost';
/** What visitors and agents of a relay on this machine may call it. */
export const LOOPBACK_NAMES = [DOMAIN, HOST, '::1'] as const;

/**
 * Starts relays inside this process, for `*.localhost`: the same code as `portal relay`, spoken to over the same
 * protocol. Its key and names live as long as the process; no one else ever reserves a name there.
 */
export function embeddedRelays(caDir: string, log: Logger): (port: number) => Promise<EmbeddedRelay> {
  return async (port) => {
    // An agent whose relays are elsewhere need not load one.
    const { startRelay } = await import('../relay/relay.js');
    const ca = await openLocalCa(caDir, { log });
    const relay = await startRelay({
      domain: DOMAIN,
      host: HOST,
      port,
      tls: await ca.issue(LOOPBACK_NAMES),
      store: 'memory',
      identity: generateIdentity(),
      log: log.child({ relay: 'embedded' }),
    }).catch((error: unknown) => {
      throw explain(error, port);
    });
    return { url: relay.url, caFile: ca.certificateFile, close: () => relay.close() };
  };
}

function explain(error: unknown, port: number): unknown {
  if (!(error instanceof PortalError) || error.code !== 'address_in_use') return error;
  return new PortalError('address_in_use', `port ${port} for the relay in this process is taken`, {
    cause: error,
    hint: 'Choose another in portal.yaml, `relays: { embedded: { port: 8444 } }` (0: any free one), or stop what holds it.',
  });
}
