import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { within } from '../../lib/wait.js';
import { secure } from '../../net/dial.js';
import { notThrough, PROBE_MS } from './not-through.js';
import { openTcp, type Tunnel } from '../session/relay-endpoint.js';
import { fingerprintOf } from '../../certificates/source.js';

/**
 * The pass-through probe: the agent visits its own public address like a visitor. Only a successful visit proves a
 * lease, and it detects a relay that uses its own certificate.
 */

/** The TLS exporter label that both ends compare (RFC 8446 §7.5; RFC 5705 §4 for the prefix). */
const EXPORTER_LABEL = 'EXPERIMENTAL-portal-probe';

/** Shared by all probes, because creating a context for each of hundreds of services would be expensive. */
let context: SecureContext | undefined;

/** The probe's end behind the relay: the lease's own TLS server. */
export interface ProbeTarget {
  /** Resolves when a TLS session with this exporter value arrives. */
  expectProbe(exporter: string): Promise<void>;
  forgetProbe(exporter: string): void;
}

export interface Probe {
  /** IP address and public port of the relay. */
  readonly address: string;
  readonly port: number;
  /** The tunnel there, if the connection is not direct. */
  readonly via: Tunnel | undefined;
  readonly hostname: string;
  /** The ALPN offer of a visitor. The probe looks like a visitor by its ClientHello, but not by its address. */
  readonly alpn: readonly string[];
  /** Whether we serve a leaf with this fingerprint (SHA-256). Called when the certificate arrives. */
  readonly isOurs: (fingerprint: string) => boolean;
  readonly target: ProbeTarget;
  /** Whether another replica ended the TLS session of `session`. Default: there are no replicas. */
  readonly isOfReplica?: ((session: Buffer) => Promise<boolean>) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Resolves when a TLS session to the public address ends in our own server, or in that of another replica. Rejects with
 * `not_through`, or with `intercepted` if the server has another certificate.
 */
export async function probe(options: Probe): Promise<void> {
  const { address, port, via, hostname, alpn, isOurs, isOfReplica, target, signal } = options;
  const startedAt = performance.now();
  const plain = await openTcp({ host: address, port, via }, PROBE_MS, signal).catch((error: unknown) => {
    throw signal.aborted ? error : notThrough(hostname, error, performance.now() - startedAt);
  });
  // TLS 1.3 only: the client finishes first, so the server already expects its exporter value.
  const socket = secure(plain, {
    servername: hostname,
    ALPNProtocols: [...alpn],
    secureContext: (context ??= createSecureContext({ minVersion: 'TLSv1.3' })),
    // Not "is it trusted" but "is it ours": the fingerprint is compared below.
    rejectUnauthorized: false,
  });
  let exporter: string | undefined;
  let isForeign = false;
  /** A server that sent a ticket has completed the handshake (RFC 8446 §4.6.1), so our server would know the session. */
  let isComplete = false;
  socket.once('session', () => (isComplete = true));
  try {
    const arrived = new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => reject(new PortalError('not_through', 'the connection was closed')));
      socket.once('secureConnect', () => {
        if (!isOurs(fingerprintOf(socket.getPeerCertificate().raw))) {
          isForeign = true;
          if (!isOfReplica) reject(foreign(hostname));
          return;
        }
        exporter = exporterOf(socket);
        target.expectProbe(exporter).then(resolve, reject);
      });
    });
    const ended = isOfReplica ? Promise.race([arrived, atReplica(socket, isOfReplica)]) : arrived;
    await within(ended, PROBE_MS, 'a visit to the public address', signal);
  } catch (error) {
    const failure = asPortalError(error);
    if (failure.code === 'intercepted' || signal.aborted) throw failure;
    if (isForeign) throw foreign(hostname, error);
    if (exporter && isComplete) {
      throw new PortalError(
        'intercepted',
        `${hostname} served our certificate, but the TLS session did not end here: someone else has its key`,
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

const foreign = (hostname: string, cause?: unknown): PortalError =>
  new PortalError('intercepted', `${hostname} served a certificate that is not this agent's`, { cause });

/** Resolves when the server has sent a ticket that only a replica can create. */
function atReplica(socket: TLSSocket, isOfReplica: (session: Buffer) => Promise<boolean>): Promise<void> {
  return new Promise((resolve) => {
    socket.on('session', (session: Buffer) => {
      void isOfReplica(session).then((isOurs) => isOurs && resolve());
    });
  });
}

/** A hex value that only the two ends of one TLS session share. */
export function exporterOf(socket: TLSSocket): string {
  return socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.alloc(0)).toString('hex');
}
