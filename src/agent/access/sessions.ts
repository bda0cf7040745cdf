import { createHmac } from 'node:crypto';
import { isSameSecret } from '../../lib/same-secret.js';
import { cookiesNamed, setCookie } from './cookies.js';

/** How long a session is valid. */
const SESSION_MS = 24 * 3_600_000;

/** The scope of a session. Any change to it ends the session. */
export interface Admitted {
  readonly hostname: string;
  /** The PIN, or a hash of the settings of the gate. */
  readonly settings: string;
}

/**
 * Signed cookies of visitors that passed a gate. Nothing is stored: each cookie carries its expiry, optionally a text about the
 * visitor, and a signature.
 */
export class Sessions {
  readonly #key: Buffer;
  readonly #cookie: string;

  /** @param key secret and stable across restarts, so that sessions survive them */
  constructor(key: Buffer, cookie: string) {
    this.#key = key;
    this.#cookie = cookie;
  }

  /** Returns a Set-Cookie header. */
  begin(admitted: Admitted, now: number, about?: string): string {
    const end = Math.floor((now + SESSION_MS) / 1_000);
    const shown = about === undefined ? '' : `${Buffer.from(about).toString('base64url')}.`;
    const value = `${end}.${shown}${this.#sign(end, admitted, about)}`;
    return setCookie(this.#cookie, value, SESSION_MS / 1_000);
  }

  /** Whether a Cookie header contains a valid session. */
  isValid(cookies: string, admitted: Admitted, now: number): boolean {
    return this.find(cookies, admitted, now) !== undefined;
  }

  /** The text about the visitor in a valid session. Empty for a session without one. */
  find(cookies: string, admitted: Admitted, now: number): string | undefined {
    for (const value of cookiesNamed(this.#cookie, cookies)) {
      const [, end = '', shown, signature = ''] =
        /^(\d{1,12})\.(?:([\w-]{1,4096})\.)?([\w-]{43})$/.exec(value) ?? [];
      if (signature === '' || Number(end) * 1_000 <= now) continue;
      const about = shown === undefined ? undefined : Buffer.from(shown, 'base64url').toString();
      if (isSameSecret(signature, this.#sign(Number(end), admitted, about))) return about ?? '';
    }
    return undefined;
  }

  #sign(end: number, { hostname, settings }: Admitted, about: string | undefined): string {
    // JSON, so that no two inputs produce the same text.
    const text = JSON.stringify([
      end,
      hostname.toLowerCase(),
      settings,
      ...(about === undefined ? [] : [about]),
    ]);
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}
