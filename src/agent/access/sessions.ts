import { createHmac } from 'node:crypto';
import { SHARE_COOKIE } from './share/token.js';
import { isSameSecret } from '../../lib/same-secret.js';

/**
 * With `__Host-`, the browser restricts a cookie to this host, the path `/` and https (RFC 6265bis §4.1.3.2).
 */
const PREFIX = '__Host-portal';
export const PIN_COOKIE = PREFIX;
export const USER_COOKIE = `${PREFIX}-user`;
/** Binds a sign-in to the browser that began it. */
export const SIGN_IN_COOKIE = `${PREFIX}-sign-in`;

/** How long a session is valid. */
const SESSION_MS = 24 * 3_600_000;

/** The scope of a session. Any change to it ends the session. */
export interface Admitted {
  readonly hostname: string;
  /** The PIN, or the settings of the gate as text. */
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
      const about = shown === undefined ? undefined : Buffer.from(shown, 'base64url').toString();
      const isOurs = signature !== '' && isSameSecret(signature, this.#sign(Number(end), admitted, about));
      if (isOurs && Number(end) * 1_000 > now) return about ?? '';
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

/** A Set-Cookie header. `maxAgeS` 0 deletes the cookie. */
export const setCookie = (name: string, value: string, maxAgeS: number): string =>
  `${name}=${value}; Path=/; Max-Age=${maxAgeS}; Secure; HttpOnly; SameSite=Lax`;

/** The values of all cookies of this name in a Cookie header. A browser may send several. */
export function cookiesNamed(name: string, cookies: string): string[] {
  if (!cookies.includes(name)) return [];
  return cookies.split(';').flatMap((pair) => {
    const text = pair.trim();
    return text.startsWith(`${name}=`) ? [text.slice(name.length + 1)] : [];
  });
}

const OURS: readonly string[] = [PIN_COOKIE, USER_COOKIE, SIGN_IN_COOKIE, SHARE_COOKIE];

/** A Cookie header without Portal's own cookies, which the service must not see. Undefined if nothing remains. */
export function withoutSession(cookies: string): string | undefined {
  if (!OURS.some((name) => cookies.includes(name))) return cookies;
  const kept = cookies.split(/; */).filter((pair) => !OURS.some((name) => pair.startsWith(`${name}=`)));
  return kept.length > 0 ? kept.join('; ') : undefined;
}
