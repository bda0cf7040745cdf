import type { Identity } from '../../identity/identity.js';

/** Bytes of the keys of TLS session tickets, as Node takes them: a name, a key for HMAC and one for AES. */
export const TLS_TICKET_KEY_BYTES = 48;

/** How long keys are used. A session resumes until they change. */
const PERIOD_MS = 12 * 60 * 60 * 1_000;

/**
 * Keys of TLS session tickets that all machines of a relay derive from its identity, so that sessions resume at any of them. They
 * change at the same times everywhere; a session from before makes a full handshake.
 */
export class SharedTlsTicketKeys {
  readonly #identity: Identity;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  constructor(identity: Identity, now: () => number = Date.now) {
    this.#identity = identity;
    this.#now = now;
  }

  get current(): Buffer {
    const period = Math.floor(this.#now() / PERIOD_MS);
    const part = (name: string): Buffer => this.#identity.derive(`TLS session tickets ${period} ${name}`);
    return Buffer.concat([part('name and MAC'), part('encryption')]).subarray(0, TLS_TICKET_KEY_BYTES);
  }

  /** Calls `use` with each later key, until `close`. */
  follow(use: (keys: Buffer) => void): void {
    this.#timer = setTimeout(
      () => {
        use(this.current);
        this.follow(use);
      },
      PERIOD_MS - (this.#now() % PERIOD_MS),
    ).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
