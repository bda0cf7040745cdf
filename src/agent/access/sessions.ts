import { createHmac } from 'node:crypto';
import { isSameSecret } from '../../lib/same-secret.js';

/** `__Host-`: the browser itself keeps it to this host, the path `/`, and https (RFC 6265bis §4.1.3.2). */
const COOKIE = '__Host-portal';
/** A visitor who knew the PIN is asked again after this. */
const SESSION_MS = 24 * 3_600_000;

/** What a session is good for: nothing of it can be changed without ending it. */
export interface Admitted {
  readonly hostname: string;
  readonly pin: string;
}

/** Cookies that say that a visitor knew the PIN. Nothing is stored: each carries its end, and a signature. */
export class Sessions {
  readonly #key: Buffer;

  /** @param key secret, and the same after a restart, so that nobody is asked again for that */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** A Set-Cookie header. */
  begin(admitted: Admitted, now: number): string {
    const end = Math.floor((now + SESSION_MS) / 1_000);
    const value = `${end}.${this.#sign(end, admitted)}`;
    return `${COOKIE}=${value}; Path=/; Max-Age=${SESSION_MS / 1_000}; Secure; HttpOnly; SameSite=Lax`;
  }

  /** Whether one of the cookies of a Cookie header is a session that is not over. */
  isGood(cookies: string, admitted: Admitted, now: number): boolean {
    for (const [, value = ''] of cookies.matchAll(COOKIES)) {
      const [, end = '', signature = ''] = /^(\d{1,12})\.([\w-]{43})$/.exec(value) ?? [];
      const isOurs = signature !== '' && isSameSecret(signature, this.#sign(Number(end), admitted));
      if (isOurs && Number(end) * 1_000 > now) return true;
    }
    return false;
  }

  #sign(end: number, { hostname, pin }: Admitted): string {
    // JSON, so that no two pairs make one text.
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([end, hostname.toLowerCase(), pin]))
      .digest('base64url');
  }
}

const COOKIES = new RegExp(`(?:^|;) *${COOKIE}=([^; ]*)`, 'g');

/** A Cookie header without our own, which is nobody else's business; undefined if nothing is left. */
export function withoutSession(cookies: string): string | undefined {
  if (!cookies.includes(COOKIE)) return cookies;
  const kept = cookies.split(/; */).filter((pair) => !pair.startsWith(`${COOKIE}=`));
  return kept.length > 0 ? kept.join('; ') : undefined;
}
