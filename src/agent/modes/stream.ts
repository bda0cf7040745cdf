import type { Socket } from 'node:net';
import {
  createServer,
  DEFAULT_CIPHERS,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { Logger } from '../../lib/logger.js';
import { SpliceSet, type Drain } from '../../net/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import type { ServingCertificate } from '../../certificates/source.js';
import { exporterOf, type ProbeTarget } from '../probe.js';
import type { ServiceSpec } from '../spec.js';
import { answerUnavailable } from '../unavailable.js';
import { connectTarget } from '../upstream.js';
import type { ModeHandler, Traffic, VisitorInfo } from './mode.js';

/** AES-128 first: as good here, and a quarter cheaper for the agent, which does all the encryption there is. */
const CIPHERS = `TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:${DEFAULT_CIPHERS}`;

/**
 * Mode `stream`: TLS ends here, in the process on the user's own machine, and the plain bytes go to the target.
 */
export class StreamHandler implements ModeHandler, ProbeTarget {
  #spec: ServiceSpec;
  readonly #log: Logger;
  readonly #server: Server;
  #certificate: ServingCertificate;
  readonly #splices = new SpliceSet({
    idleMs: LIMITS.visitorIdleMs,
    halfClosedMs: LIMITS.halfClosedMs,
    lifetimeMs: LIMITS.visitorLifetimeMs,
    firstAnswerMs: 0,
  });
  /** Connections in their TLS handshake, by the addresses of both ends: node tells no other way whose it is. */
  readonly #arriving = new Map<string, { socket: Socket; visitor: VisitorInfo }>();
  /** Visitors whose service is being reached, or told that it is down. */
  readonly #waiting = new Set<Socket>();
  readonly #probes = new Map<string, () => void>();
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(spec: ServiceSpec, certificate: ServingCertificate, log: Logger) {
    this.#spec = spec;
    this.#log = log;
    this.#certificate = certificate;
    this.#server = this.#createServer();
  }

  /** What visitors are served from now on. */
  get certificate(): ServingCertificate {
    return this.#certificate;
  }

  /** Those who are connected keep their TLS session. */
  serveCertificate(certificate: ServingCertificate): void {
    this.#certificate = certificate;
    this.#server.setSecureContext(this.#tlsOptions());
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    const key = endpoints(socket);
    this.#arriving.set(key, { socket, visitor });
    socket.once('close', () => this.#arriving.delete(key));
    this.#server.emit('connection', socket);
  }

  update(spec: ServiceSpec): void {
    // Read anew at each connection, so those that are connected keep what they have.
    this.#spec = spec;
  }

  async drain(drain: Drain): Promise<void> {
    await this.#splices.drain(drain);
    for (const { socket } of this.#arriving.values()) socket.destroy();
    for (const socket of this.#waiting) socket.destroy();
  }

  traffic(): Traffic {
    const open = this.#splices.openBytes;
    return {
      visitors: this.#splices.size + this.#waiting.size,
      bytesIn: this.#bytesIn + open.toB,
      bytesOut: this.#bytesOut + open.toA,
    };
  }

  expectProbe(exporter: string): Promise<void> {
    return new Promise((resolve) => this.#probes.set(exporter, resolve));
  }

  forgetProbe(exporter: string): void {
    this.#probes.delete(exporter);
  }

  #tlsOptions(): SecureContextOptions {
    const { cert, key } = this.#certificate;
    return { cert, key, minVersion: 'TLSv1.2', ciphers: CIPHERS, honorCipherOrder: true };
  }

  #createServer(): Server {
    const server = createServer({
      ...this.#tlsOptions(),
      handshakeTimeout: LIMITS.firstBytesMs,
      ALPNCallback: ({ protocols }) => this.#spec.alpn.find((name) => protocols.includes(name)),
    });
    server.on('tlsClientError', (error, socket) => {
      this.#log.debug({ err: error }, 'a TLS handshake with a visitor failed');
      socket.destroy();
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      if (!this.#isProbe(socket)) void this.#serve(socket);
    });
    return server;
  }

  async #serve(visitor: TLSSocket): Promise<void> {
    const { service, target } = this.#spec;
    this.#waiting.add(visitor);
    visitor.once('close', () => this.#waiting.delete(visitor));
    try {
      const upstream = await connectTarget(target);
      this.#waiting.delete(visitor);
      if (visitor.destroyed) return void upstream.destroy();
      this.#splices.add(visitor, upstream, ({ bytesToB, bytesToA }) => {
        this.#bytesIn += bytesToB;
        this.#bytesOut += bytesToA;
      });
    } catch (error) {
      this.#log.warn({ service, reason: (error as Error).message }, 'the local service does not answer');
      answerUnavailable(visitor, service);
    }
  }

  /** Only while a probe is out does a visitor's handshake cost the extra exporter. */
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

function endpoints(socket: Socket): string {
  return `${socket.localAddress} ${socket.localPort} ${socket.remoteAddress} ${socket.remotePort}`;
}
