import { openLocalCa, type LocalCaOptions } from '../certificates/local-ca.js';
import { generateIdentity } from '../identity/keys.js';
import { descriptorLimit } from '../lib/descriptor-limit.js';
import { PortalError } from '../lib/errors.js';
import { silent, type Logger } from '../lib/logger.js';
import type { EmbeddedRelay, EmbeddedSpec } from '../reconcile/runner.js';
import type { Relay } from '../relay/relay.js';

/** It listens on both loopbacks. */
const DOMAIN = 'localhost';
/** What visitors and agents of a relay on this machine may call it. */
export const LOOPBACK_NAMES = [DOMAIN, '127.0.0.1', '::1'] as const;

/** Everybody has one address here, and everything is of one person. */
const EMBEDDED_LIMITS = {
  maxConnectionsPerAddress: 0,
  maxSessionsPerAddress: 0,
  maxReservedNamesPerAddress: 0,
  maxNewNamesPerAddress: 0,
  maxNewNamesPerIdentity: 0,
  maxPortsPerAddress: 0,
  maxPortsPerIdentity: 0,
} as const;

/**
 * Starts relays inside this process, for `*.localhost`: the same code as `portal relay`, spoken to over the same
 * protocol. Its key and names live as long as the process. It serves agents of the identity `owner` only: other users of
 * this machine reach its port as well.
 */
export function embeddedRelays(
  caDir: string,
  options: LocalCaOptions & { log: Logger; owner: string },
): (spec: EmbeddedSpec) => Promise<EmbeddedRelay> {
  return async ({ port, orAnyPort }) => {
    // An agent whose relays are elsewhere need not load one.
    const { startRelay } = await import('../relay/relay.js');
    const descriptors = await descriptorLimit();
    const ca = await openLocalCa(caDir, options);
    const tls = await ca.issue(LOOPBACK_NAMES);
    const identity = generateIdentity();
    const start = (at: number): Promise<Relay> =>
      startRelay({
        domain: DOMAIN,
        host: DOMAIN,
        port: at,
        tls,
        store: 'memory',
        identity,
        owner: options.owner,
        ports: { tcp: 'any', udp: 'any' },
        // `portal status` shows its one agent.
        agents: false,
        descriptorLimit: descriptors,
        limits: EMBEDDED_LIMITS,
        log: troubleOnly(options.log.child({ relay: 'embedded' })),
      });
    const relay = await start(port).catch((error: unknown) => {
      if (!isTaken(error)) throw error;
      if (orAnyPort) return start(0);
      throw taken(error, port);
    });
    return {
      url: relay.url,
      address: relay.addresses[0]!.host,
      caFile: ca.certificateFile,
      close: () => relay.close(),
    };
  };
}

/** What a relay in the same process has to say of its ordinary work, its agent says too. */
function troubleOnly(log: Logger): Logger {
  return {
    ...silent,
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    child: (fields) => troubleOnly(log.child(fields)),
  };
}

function isTaken(error: unknown): boolean {
  return error instanceof PortalError && error.code === 'address_in_use';
}

function taken(error: unknown, port: number): PortalError {
  return new PortalError('address_in_use', `port ${port} for the embedded relay is in use`, {
    cause: error,
    hint: 'Choose another in portal.yaml, `relays: { embedded: { port: 8444 } }` (0: any free one), or stop what holds it.',
  });
}
