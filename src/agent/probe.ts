import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { asPortalError, PortalError } from '../lib/errors.js';
import { within } from '../lib/wait.js';
import { secure } from '../net/dial.js';
import { notThrough, PROBE_MS } from './not-through.js';
import { openWay, type Detour } from './relay-way.js';
import { fingerprintOf } from '../certificates/source.js';

/**
 * The pass-through probe: the agent visits its own public address as anybody would. A lease is proven only by
 * such a visit that has come through, and a relay that answers with a certificate of its own is found out.
 */

/** Label of the TLS exporter that both ends compare (RFC 8446 §7.5; RFC 5705 §4 for the prefix). */
const EXPORTER_LABEL = 'EXPERIMENTAL-portal-probe';

/** One for all probes: at the start of hundreds of services, making it anew would be a good part of the work. */
let context: SecureContext | undefined;

/** The end of the probe that sits behind the relay: the lease's own TLS server. */
export interface ProbeTarget {
  /** Resolves when a TLS session with this exporter value arrives. */
  expectProbe(exporter: string): Promise<void>;
  forgetProbe(exporter: string): void;
}

export interface Probe {
  /** IP address and public port of the relay. */
  readonly address: string;
  readonly port: number;
  /** What leads there, where it is not reached straight. */
  readonly detour: Detour | undefined;
  readonly hostname: string;
  /** What the service offers to visitors: by its hello the probe is one of them. By its address it is not. */
  readonly alpn: readonly string[];
  /** Whether a leaf with this fingerprint (SHA-256) is one that we serve; asked once it has been shown. */
  readonly isOurs: (fingerprint: string) => boolean;
  readonly target: ProbeTarget;
  readonly signal: AbortSignal;
}

/**
 * Resolves when a TLS session begun at the public address ended in our own server. Rejects with `not_through`,
 * or with `intercepted` when someone else's certificate answered.
 */
export async function probe(options: Probe): Promise<void> {
  const { address, port, detour, hostname, alpn, isOurs, target, signal } = options;
  const startedAt = performance.now();
  const plain = await openWay({ host: address, port, detour }, PROBE_MS, signal).catch((error: unknown) => {
    throw signal.aborted ? error : notThrough(hostname, error, performance.now() - startedAt);
  });
  // TLS 1.3 only: there the client is done first, so that the server finds its exporter value expected.
  const socket = secure(plain, {
    servername: hostname,
    ALPNProtocols: [...alpn],
    secureContext: (context ??= createSecureContext({ minVersion: 'TLSv1.3' })),
    // Not "is it trusted" but "is it ours": compared below, byte by byte.
    rejectUnauthorized: false,
  });
  let exporter: string | undefined;
  /** Whoever sent a ticket has completed the handshake (RFC 8446 §4.6.1), so its session is one that we would know. */
  let isComplete = false;
  socket.once('session', () => (isComplete = true));
  try {
    const arrived = new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => reject(new PortalError('not_through', 'the connection was closed')));
      socket.once('secureConnect', () => {
        if (!isOurs(fingerprintOf(socket.getPeerCertificate().raw))) {
          reject(new PortalError('intercepted', `${hostname} answered with a certificate that is not ours`));
          return;
        }
        exporter = exporterOf(socket);
        target.expectProbe(exporter).then(resolve, reject);
      });
    });
    await within(arrived, PROBE_MS, 'a visit to the public address', signal);
  } catch (error) {
    const failure = asPortalError(error);
    if (failure.code === 'intercepted' || signal.aborted) throw failure;
    if (exporter && isComplete) {
      throw new PortalError(
        'intercepted',
        `${hostname} answered with our certificate, but the TLS session did not end here: someone else has its key`,
        { cause: error },
      );
    }
    throw notThrough(hostname, error, performance.now() - startedAt);
  } finally {
    if (exporter) target.forgetProbe(exporter);
    socket.on('error', () => undefined);
    socket.destroy();
    plain.destroy();
  }
}

/** A value that only the two ends of one and the same TLS session share, hex. */
export function exporterOf(socket: TLSSocket): string {
  return socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.alloc(0)).toString('hex');
}
