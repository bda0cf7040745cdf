import type { TLSSocket } from 'node:tls';

/** Relays accept a TLS session for five minutes (node's default). A new one is stored well before that. */
const REFRESH_MS = 60_000;

/**
 * The TLS session of one relay, resumed (RFC 8446 §2.2) by the data connections of one control channel. A resumed handshake
 * still agrees on fresh keys, but verifies no certificate: that happened when the session started. It halves the agent's CPU
 * cost, which matters when many visitors arrive together. A relay that does not know the session (after a restart or a
 * renewed certificate) makes a full handshake.
 */
export class Resumption {
  #session: Buffer | undefined;
  #learntAt = -Infinity;

  get session(): Buffer | undefined {
    return this.#session;
  }

  /** Stores the session of `socket` for later connections, if the current one is getting old. */
  store(socket: TLSSocket): void {
    const now = performance.now();
    if (now - this.#learntAt < REFRESH_MS) return;
    socket.once('session', (session: Buffer) => {
      if (!socket.authorized) return;
      this.#session = session;
      this.#learntAt = performance.now();
    });
  }
}
