import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server } from 'node:tls';
import { readClientHello } from '../../net/tls/client-hello.js';

/** ALPN protocol of a validating CA (RFC 8737 §6.2). */
export const ACME_ALPN = 'acme-tls/1';

const HANDSHAKE_MS = 10_000;
/** A CA validates from a few places at once. More connections than this come from others. */
const MAX_HANDSHAKES = 64;

/** Longer than any order: the process that ordered must have ended. */
const MAX_PENDING_MS = 600_000;

/** The certificate that responds to a challenge, PEM. */
export interface ChallengePair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Pending challenges and their responses (TLS-ALPN-01). Only a handshake for the challenge's hostname, with ALPN
 * `acme-tls/1`, sees its certificate, and only while the challenge is pending.
 */
export class AcmeChallenges {
  /** Gives each challenge to other processes, too; undefined for the pair: it ended. The CA may connect to any of them. */
  share: ((hostname: string, pair: ChallengePair | undefined) => Promise<unknown>) | undefined;
  readonly #pending = new Map<string, SecureContext>();
  readonly #open = new Set<Socket>();
  #server: Server | undefined;

  /** Responds to challenges for `hostname` until the returned function is called. */
  async add(hostname: string, { cert, key }: ChallengePair): Promise<() => void> {
    const context = createSecureContext({ cert, key });
    this.#pending.set(hostname, context);
    await this.share?.(hostname, { cert, key });
    return () => {
      if (this.#pending.get(hostname) !== context) return;
      this.#pending.delete(hostname);
      void this.share?.(hostname, undefined);
    };
  }

  /** Responds to a challenge of another process until its `pair` is undefined, or it must have ended. */
  hear(hostname: string, pair: ChallengePair | undefined): void {
    this.#pending.delete(hostname);
    if (!pair) return;
    const context = createSecureContext(pair);
    this.#pending.set(hostname, context);
    setTimeout(() => {
      if (this.#pending.get(hostname) === context) this.#pending.delete(hostname);
    }, MAX_PENDING_MS).unref();
  }

  isPending(hostname: string): boolean {
    return this.#pending.has(hostname);
  }

  /**
   * Takes `socket`, which begins a TLS handshake for `hostname`, if it comes from a CA. Passes other sockets to
   * `others` unread. Costs nothing while no challenge is pending.
   */
  offer(hostname: string, socket: Socket, others: () => void): void {
    if (!this.isPending(hostname)) return others();
    const chunks: Buffer[] = [];
    const stop = (): void => {
      clearTimeout(timer);
      socket.off('data', check).off('end', gone).off('close', stop);
    };
    const gone = (): void => {
      stop();
      socket.destroy();
    };
    const check = (chunk: Buffer): void => {
      chunks.push(chunk);
      const head = Buffer.concat(chunks);
      const verdict = readClientHello(head);
      if (verdict.kind === 'need') return;
      stop();
      socket.pause();
      socket.unshift(head);
      if (verdict.kind === 'hello' && verdict.alpn.includes(ACME_ALPN)) this.respond(socket);
      else others();
    };
    const timer = setTimeout(gone, HANDSHAKE_MS);
    socket.on('data', check).once('end', gone).once('close', stop);
    // The previous reader may have paused it.
    socket.resume();
  }

  /** Responds to a CA's handshake on `socket`. Nothing has been read from it yet. */
  respond(socket: Socket): void {
    if (this.#open.size >= MAX_HANDSHAKES) return void socket.destroy();
    this.#open.add(socket);
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#open.delete(socket);
    });
    socket.on('error', () => undefined);
    this.#server ??= this.#createServer();
    this.#server.emit('connection', socket);
  }

  close(): void {
    this.#pending.clear();
    for (const socket of this.#open) socket.destroy();
  }

  #createServer(): Server {
    const server = createServer({
      handshakeTimeout: HANDSHAKE_MS,
      ALPNProtocols: [ACME_ALPN],
      // Without a pending challenge there is no certificate, so the handshake fails.
      SNICallback: (name, done) => done(null, this.#pending.get(name.toLowerCase())),
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    // RFC 8737 §3: the connection ends after the handshake.
    server.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      socket.end();
      socket.resume();
    });
    return server;
  }
}
