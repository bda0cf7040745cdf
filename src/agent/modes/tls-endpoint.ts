import type { Socket } from 'node:net';
import { createServer, type SecureContextOptions, type Server, TLSSocket } from 'node:tls';
import type { Logger } from '../../lib/logger.js';
import { InTurns } from '../../lib/in-turns.js';
import { lingerBelow } from '../../net/splice/linger.js';
import { until } from '../../lib/wait.js';
import { socketBelow } from '../../net/splice/reset.js';
import type { Drain } from '../../net/splice/splice.js';
import { CIPHERS } from '../../net/tls/ciphers.js';
import { LIMITS } from '../../protocol/limits.js';
import type { ServingCertificate } from '../../certificates/source.js';
import { exporterOf, type ProbeTarget } from '../proof/probe.js';
import type { SharedTlsTickets } from '../serving/shared-tls-tickets.js';
import type { VisitorInfo } from './mode.js';

export interface TlsEndpointOptions {
  readonly certificate: ServingCertificate;
  /** Default: keys of its own. */
  readonly tlsTickets?: SharedTlsTickets | undefined;
  /** Chooses one of the protocols that a visitor offers (RFC 7301). Undefined ends the handshake with an alert. */
  readonly choose: (offered: readonly string[]) => string | undefined;
  /** A visitor offered only unsupported protocols. */
  readonly onNoCommonProtocol?: (offered: readonly string[]) => void;
  /** Handles a visitor after its handshake. */
  readonly onVisitor: (socket: TLSSocket, visitor: VisitorInfo) => void;
  readonly log: Logger;
}

/** A handshake takes half a millisecond or more. Connected visitors of any service must not wait for those of a burst. */
const handshakes = new InTurns(0.5);

/** Terminates visitors' TLS, on the user's own machine. It is also the end of the probe behind the relay. */
export class TlsEndpoint implements ProbeTarget {
  readonly #options: TlsEndpointOptions;
  readonly #server: Server;
  #certificate: ServingCertificate;
  #tlsTickets: SharedTlsTickets | undefined;
  /** Connections with an unfinished TLS handshake. */
  readonly #arriving = new Map<Socket, VisitorInfo>();
  readonly #probes = new Map<string, () => void>();

  constructor(options: TlsEndpointOptions) {
    this.#options = options;
    this.#certificate = options.certificate;
    this.#tlsTickets = options.tlsTickets;
    this.#server = this.#createServer();
  }

  /** The certificate for new visitors. */
  get certificate(): ServingCertificate {
    return this.#certificate;
  }

  /** Connected visitors keep their TLS session. */
  serveCertificate(certificate: ServingCertificate): void {
    this.#certificate = certificate;
    this.#server.setSecureContext(this.#tlsOptions());
  }

  /** Shares the keys of TLS sessions with other agents from now on. */
  shareTlsTickets(tlsTickets: SharedTlsTickets): void {
    if (this.#tlsTickets) return;
    this.#tlsTickets = tlsTickets;
    this.#server.setSecureContext(this.#tlsOptions());
  }

  /** Accepts a data connection, which starts with the visitor's ClientHello. */
  visit(socket: Socket, visitor: VisitorInfo): void {
    this.#arriving.set(socket, visitor);
    socket.once('close', () => this.#arriving.delete(socket));
    handshakes.take(() => {
      if (!socket.destroyed) this.#server.emit('connection', socket);
    });
  }

  /** Resolves once no handshake is in progress, or after `ms`. One without bytes for `quietMs` does not count. */
  async arrived({ ms, quietMs = ms }: Drain): Promise<void> {
    const moved = new Map<Socket, { readonly bytes: number; readonly at: number }>();
    const isQuiet = (socket: Socket, waitedMs: number): boolean => {
      const bytes = socket.bytesRead + socket.bytesWritten;
      const last = moved.get(socket);
      if (last?.bytes === bytes) return waitedMs - last.at > quietMs;
      moved.set(socket, { bytes, at: waitedMs });
      return false;
    };
    const isOver = (waitedMs: number): boolean =>
      [...this.#arriving.keys()].every((socket) => isQuiet(socket, waitedMs));
    await until(isOver, Math.min(ms, LIMITS.firstBytesMs));
  }

  /** Ends the handshakes in progress. */
  close(): void {
    for (const socket of this.#arriving.keys()) socket.destroy();
  }

  expectProbe(exporter: string): Promise<void> {
    return new Promise((resolve) => this.#probes.set(exporter, resolve));
  }

  forgetProbe(exporter: string): void {
    this.#probes.delete(exporter);
  }

  #tlsOptions(): SecureContextOptions {
    const { cert, key } = this.#certificate;
    return {
      cert,
      key,
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      honorCipherOrder: true,
      ...this.#tlsTickets,
    };
  }

  #createServer(): Server {
    const { choose, onVisitor, log } = this.#options;
    const server = createServer({
      ...this.#tlsOptions(),
      handshakeTimeout: LIMITS.firstBytesMs,
      ALPNCallback: ({ protocols }) => {
        const chosen = choose(protocols);
        if (chosen === undefined) this.#options.onNoCommonProtocol?.(protocols);
        return chosen;
      },
    });
    server.on('tlsClientError', (error, socket) => {
      log.debug({ err: error }, 'a TLS handshake with a visitor failed');
      socket.destroy();
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      if (this.#isProbe(socket)) return;
      const below = socketBelow(socket);
      if (below instanceof TLSSocket) lingerBelow(socket, LIMITS.carrierLingerMs);
      const visitor = below && this.#arriving.get(below);
      if (below && visitor) {
        this.#arriving.delete(below);
        onVisitor(socket, visitor);
      } else socket.destroy();
    });
    return server;
  }

  /** Visitors' handshakes pay for the extra exporter only while a probe is in progress. */
  #isProbe(socket: TLSSocket): boolean {
    if (this.#probes.size === 0) return false;
    const exporter = exporterOf(socket);
    const seen = this.#probes.get(exporter);
    if (!seen) return false;
    this.#probes.delete(exporter);
    seen();
    socket.end();
    return true;
  }
}
