import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isSameSecret } from '../../lib/same-secret.js';

/** The WebSocket protocol of the page; the token comes beside it, as browsers let a page say no more. */
export const LIVE_PROTOCOL = 'portal-inspector';
const TOKEN_PREFIX = 'token.';

/**
 * Who may ask the inspector. It listens on the loopback only, but there any web page may ask too (by a form, a script,
 * or a name that is made to lead here), and any program of any user: hence Host, Origin, and a secret.
 */
export class Guard {
  readonly token = randomBytes(24).toString('base64url');
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(port: number) {
    const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
    this.#hosts = new Set(hosts);
    this.#origins = new Set(hosts.map((host) => `http://${host}`));
  }

  /** The name that was asked for is ours: a web page's name that leads here is not (DNS rebinding). */
  isOwnHost({ headers }: IncomingMessage): boolean {
    return this.#hosts.has(headers.host?.toLowerCase() ?? '');
  }

  /** It is our own page that asks. Browsers say so with everything that changes something. */
  isOwnOrigin({ headers }: IncomingMessage): boolean {
    return this.#origins.has(headers.origin ?? '');
  }

  hasToken({ headers }: IncomingMessage): boolean {
    const [, token] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
    return this.#isToken(token);
  }

  /** The same where a page cannot say it in a header of its own. */
  hasLiveToken({ headers }: IncomingMessage): boolean {
    const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
    const token = offered.find((each) => each.startsWith(TOKEN_PREFIX));
    return offered.includes(LIVE_PROTOCOL) && this.#isToken(token?.slice(TOKEN_PREFIX.length));
  }

  #isToken(given: string | undefined): boolean {
    return isSameSecret(given ?? '', this.token);
  }
}
