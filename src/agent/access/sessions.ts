import { createHmac } from 'node:crypto';
import { SHARE_COOKIE } from './share/token.js';
import { isSameSecret } from '../../lib/same-secret.js';

/** With `__Host-`, the browser restricts the cookie to this host, the path `/` and https (RFC 6265bis §4.1.3.2). */
const COOKIE = '__Host-portal';
/** How long a session is valid. */
const SESSION_MS = 24 * 3_600_000;

/** The scope of a session. Any change to it ends the session. */
export interface Admitted {
  readonly hostname: string;
  readonly pin: string;
}

/** Signed cookies of visitors that entered the PIN. Nothing is stored: each cookie carries its expiry and a signature. */
export class Sessions {
  readonly #key: Buffer;

  /** @param key secret and stable across restarts, so that sessions survive them */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Returns a Set-Cookie header. */
  begin(admitted: Admitted, now: number): string {
    const end = Math.floor((now + SESSION_MS) / 1_000);
    const value = `${end}.${this.#sign(end, admitted)}`;
    return `${COOKIE}=${value}; Path=/; Max-Age=${SESSION_MS / 1_000}; Secure; HttpOnly; SameSite=Lax`;
  }

  /** Whether a Cookie header contains a valid session. */
  isValid(cookies: string, admitted: Admitted, now: number): boolean {
    for (const [, value = ''] of cookies.matchAll(COOKIES)) {
      const [, end = '', signature = ''] = /^(\d{1,12})\.([\w-]{43})$/.exec(value) ?? [];
      const isOurs = signature !== '' && isSameSecret(signature, this.#sign(Number(end), admitted));
      if (isOurs && Number(end) * 1_000 > now) return true;
    }
    return false;
  }

  #sign(end: number, { hostname, pin }: Admitted): string {
    // JSON, so that no two inputs produce the same text.
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([end, hostname.toLowerCase(), pin]))
      .digest('base64url');
  }
}

const COOKIES = new RegExp(`(?:^|;) *${COOKIE}=([^; ]*)`, 'g');

const OWN_COOKIES = [COOKIE, SHARE_COOKIE];

/** A Cookie header without Portal's own cookies, which the service must not see. Undefined if nothing remains. */
export function withoutSession(cookies: string): string | undefined {
  if (!OWN_COOKIES.some((name) => cookies.includes(name))) return cookies;
  const kept = cookies
    .split(/; */)
    .filter((pair) => !OWN_COOKIES.some((name) => pair.startsWith(`${name}=`)));
  return kept.length > 0 ? kept.join('; ') : undefined;
}
