import { valuesOf, type Exchange } from '../modes/http/exchange/exchange.js';

/** Portal's own cookies at the hosts of services. */

/**
 * With `__Host-`, the browser restricts a cookie to this host, the path `/` and https (RFC 6265bis §4.1.3.2).
 */
const PREFIX = '__Host-portal';
export const PIN_COOKIE = PREFIX;
export const USER_COOKIE = `${PREFIX}-user`;
/** Binds a sign-in to the browser that began it. */
export const SIGN_IN_COOKIE = `${PREFIX}-sign-in`;
/** With `__Secure-`, browsers accept it only over https. `__Host-` would not permit a path. */
export const SHARE_COOKIE = '__Secure-portal-share';

const OURS: readonly string[] = [PIN_COOKIE, USER_COOKIE, SIGN_IN_COOKIE, SHARE_COOKIE];

/** A Set-Cookie header. `maxAgeS` 0 deletes the cookie. */
export const setCookie = (name: string, value: string, maxAgeS: number, path = '/'): string =>
  `${name}=${value}; Path=${path}; Max-Age=${maxAgeS}; Secure; HttpOnly; SameSite=Lax`;

/** The Cookie header of a request. Empty if it has none. */
export const cookiesOf = (exchange: Pick<Exchange, 'headers'>): string => valuesOf(exchange, 'cookie', '; ');

/** A browser sends one for each path, those of longer paths first. Each costs a signature. */
const MAX_OF_NAME = 8;

/** The pairs of a Cookie header, as servers read them: some accept other whitespace than a space after `;`. */
const pairsOf = (cookies: string): string[] => cookies.split(';').map((pair) => pair.trim());

/** The values of the first cookies of this name in a Cookie header. A browser may send several. */
export function cookiesNamed(name: string, cookies: string): string[] {
  const values: string[] = [];
  if (!cookies.includes(name)) return values;
  for (const pair of pairsOf(cookies))
    if (pair.startsWith(`${name}=`) && values.push(pair.slice(name.length + 1)) === MAX_OF_NAME) break;
  return values;
}

/** A Cookie header without Portal's own cookies, which the service must not see. Undefined if nothing remains. */
export function withoutSession(cookies: string): string | undefined {
  if (!OURS.some((name) => cookies.includes(name))) return cookies;
  const kept = pairsOf(cookies).filter(
    (pair) => pair !== '' && !OURS.some((name) => pair.startsWith(`${name}=`)),
  );
  return kept.length > 0 ? kept.join('; ') : undefined;
}
