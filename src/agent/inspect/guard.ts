import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isSameSecret } from '../../lib/same-secret.js';

/** The WebSocket subprotocol of the page. The token follows it, because browsers allow a page no other field. */
export const LIVE_PROTOCOL = 'portal-inspector';
const TOKEN_PREFIX = 'token.';

/**
 * Decides who may use the inspector. It listens on the loopback only. But any web page (by a form, a script, or DNS
 * rebinding) and any local user can reach it there. So it checks Host, Origin and a secret token.
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

  /** Whether the requested host is the inspector. DNS rebinding shows another host. */
  isOwnHost({ headers }: IncomingMessage): boolean {
    return this.#hosts.has(headers.host?.toLowerCase() ?? '');
  }

  /** Whether the inspector's page sent the request. Browsers send Origin with every request that changes something. */
  isOwnOrigin({ headers }: IncomingMessage): boolean {
    return this.#origins.has(headers.origin ?? '');
  }

  hasToken({ headers }: IncomingMessage): boolean {
    const [, token] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
    return this.#isToken(token);
  }

  /** The same for a WebSocket, where a page cannot set a header. */
  hasLiveToken({ headers }: IncomingMessage): boolean {
    const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
    const token = offered.find((each) => each.startsWith(TOKEN_PREFIX));
    return offered.includes(LIVE_PROTOCOL) && this.#isToken(token?.slice(TOKEN_PREFIX.length));
  }

  #isToken(given: string | undefined): boolean {
    return isSameSecret(given ?? '', this.token);
  }
}
