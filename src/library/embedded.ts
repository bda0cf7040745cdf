import { openLocalCa, type LocalCaOptions } from '../certificates/local-ca.js';
import { generateIdentity } from '../identity/keys.js';
import { descriptorLimit } from '../lib/descriptor-limit.js';
import { PortalError } from '../lib/errors.js';
import { silent, type Logger } from '../lib/logger.js';
import type { EmbeddedRelay, EmbeddedSpec } from '../reconcile/runner.js';
import type { Relay } from '../relay/relay.js';

/** The relay listens on both loopback addresses. */
const DOMAIN = 'localhost';
/** The names of a relay on this machine. */
export const LOOPBACK_NAMES = [DOMAIN, '127.0.0.1', '::1'] as const;

/**
 * No limits for each address or identity, because all visitors share one address, and all services have one owner.
 */
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
 * Starts relays inside this process, for `*.localhost`: the same code and protocol as `portal relay`. Keys and names
 * last as long as the process. The relay serves only agents of `owner`, because other users of this machine can also
 * connect to its port.
 */
export function embeddedRelays(
  caDir: string,
  options: LocalCaOptions & { log: Logger; owner: string },
): (spec: EmbeddedSpec) => Promise<EmbeddedRelay> {
  return async ({ port, orAnyPort }) => {
    // Imported late: agents without an embedded relay do not need it.
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
        // The relay has only one agent, which `portal status` shows.
        agents: false,
        descriptorLimit: descriptors,
        limits: EMBEDDED_LIMITS,
        log: problemsOnly(options.log.child({ relay: 'embedded' })),
      });
    const relay = await start(port).catch((error: unknown) => {
      if (!isInUse(error)) throw error;
      if (orAnyPort) return start(0);
      throw inUse(error, port);
    });
    return {
      url: relay.url,
      address: relay.addresses[0]!.host,
      caFile: ca.certificateFile,
      close: () => relay.close(),
    };
  };
}

/** Logs only warnings and errors, because the agent in this process logs the rest. */
function problemsOnly(log: Logger): Logger {
  return {
    ...silent,
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    child: (fields) => problemsOnly(log.child(fields)),
  };
}

function isInUse(error: unknown): boolean {
  return error instanceof PortalError && error.code === 'address_in_use';
}

function inUse(error: unknown, port: number): PortalError {
  return new PortalError('address_in_use', `port ${port} for the embedded relay is in use`, {
    cause: error,
    hint: 'Stop the program that uses it, or choose another port in portal.yaml: `relays: { embedded: { port: 8444 } }` (0: any free port).',
  });
}
