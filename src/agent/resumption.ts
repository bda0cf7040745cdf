import type { TLSSocket } from 'node:tls';

/** Relays accept a TLS session for five minutes (node's default), so a fresh one is taken well before. */
const REFRESH_MS = 60_000;

/**
 * The TLS session of one relay, for resumption (RFC 8446 §2.2) by the data connections of one control channel. A resumed
 * handshake still agrees on fresh keys, but verifies no certificate: that was done when the session began. It costs the agent
 * half as much CPU, which tells when many visitors come at once. A relay that does not know the session (it restarted, its
 * certificate was renewed) makes a full handshake instead.
 */
export class Resumption {
  #session: Buffer | undefined;
  #learntAt = -Infinity;

  get session(): Buffer | undefined {
    return this.#session;
  }

  /** Takes the session of `socket` for later connections, where the one it has grows old. */
  learn(socket: TLSSocket): void {
    const now = performance.now();
    if (now - this.#learntAt < REFRESH_MS) return;
    socket.once('session', (session: Buffer) => {
      if (!socket.authorized) return;
      this.#session = session;
      this.#learntAt = performance.now();
    });
  }
}
