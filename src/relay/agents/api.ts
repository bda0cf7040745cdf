import { clientOf, plainAddress } from '../../net/client-address.js';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { pageHeaders, type Asset } from '../../lib/page-files.js';
import type { SignInChallenge, LinkResponse, SignInResponse } from '../../protocol/agents.js';
import { channelOf } from '../../protocol/channel.js';
import { PATHS } from '../../protocol/limits.js';
import { proveRelay } from '../../protocol/relay-proof.js';
import { networkOf } from '../../net/cidr.js';
import type { Turns } from '../protection/turns.js';
import { sendError, sendJson, HttpRefusal, readFields } from './http.js';
import type { AgentsEverywhere } from './everywhere.js';
import type { SignedIn, SignIns } from './sign-in.js';
import type { SignInsEverywhere } from './sign-ins-everywhere.js';
import type { LeaseRegistry } from '../leases/leases.js';
import { viewOf, type ViewParts, type ViewPlace } from './view.js';

export interface AgentsApiOptions extends ViewParts {
  readonly signIns: SignIns;
  /** Tokens and codes, which are valid at every node. */
  readonly signedIn: SignInsEverywhere;
  readonly everywhere: AgentsEverywhere;
  readonly leases: LeaseRegistry;
  /** The relay's own key. */
  readonly identity: Identity;
  readonly place: ViewPlace;
  /** Files of the page, by path below its own; undefined if there is no page. */
  readonly page: ReadonlyMap<string, Asset> | undefined;
  /** Networks take turns with signatures. */
  readonly turns: Turns;
  readonly healthy: () => boolean;
  readonly log: Logger;
}

const OWN_HEADERS = pageHeaders();
/** Only for this host, over https, and not for scripts. `__Host-` (RFC 6265bis) keeps tenants' hostnames from setting it. */
const COOKIE = '__Host-portal';
const NONCE = /^[0-9a-f]{32}$/;

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
}

const at = (path: string): RegExp => new RegExp(`^${path}$`);

type Route = readonly [method: string, path: RegExp, handler: Handler];
type Handler = (asked: Asked, match: RegExpExecArray) => void | Promise<void>;

/** How an identity manages its agents over HTTP: sign-in, the API, the page. */
export class AgentsApi {
  readonly #options: AgentsApiOptions;
  readonly #origin: string;
  readonly #routes: readonly Route[];

  constructor(options: AgentsApiOptions) {
    this.#options = options;
    this.#origin = new URL(options.place.url).origin;
    this.#routes = [
      ['POST', at(`${PATHS.signIn}/challenge`), (asked) => this.#challenge(asked)],
      ['POST', at(PATHS.signIn), (asked) => this.#signIn(asked)],
      ['DELETE', at(PATHS.signIn), (asked) => this.#signOut(asked)],
      ['POST', at(`${PATHS.signIn}/link`), (asked) => this.#link(asked)],
      ['POST', at(`${PATHS.signIn}/code`), (asked) => this.#redeem(asked)],
      ['GET', at(PATHS.agents), (asked) => this.#show(asked)],
      [
        'POST',
        at(`${PATHS.agents}/([0-9a-f]{12})/disconnect`),
        (asked, [, id]) => this.#disconnect(asked, id!),
      ],
      ['DELETE', at(`${PATHS.names}/([a-z0-9-]{1,63})`), (asked, [, name]) => this.#release(asked, name!)],
      ['GET', at(`${PATHS.agentsPage}(/.*)?`), (asked, [, path]) => this.#page(asked, path ?? '/')],
    ];
  }

  /** Responds to a request for one of these paths; false for any other. */
  handle(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    const here = this.#routes.filter(([, pattern]) => pattern.test(path));
    if (here.length === 0) return false;
    for (const [name, value] of Object.entries(OWN_HEADERS)) response.setHeader(name, value);
    void this.#respond({ request, response, path }, here);
    return true;
  }

  async #respond(asked: Asked, here: readonly Route[]): Promise<void> {
    const { request, response, path } = asked;
    try {
      this.#checkAsker(request);
      const method = request.method === 'HEAD' ? 'GET' : request.method;
      const route = here.find(([allowed]) => allowed === method);
      if (!route)
        throw new HttpRefusal(405, 'this path does not allow the method', {
          allow: here.map(([each]) => each).join(', '),
        });
      if (!this.#options.healthy()) throw new PortalError('shutting_down', 'the relay is stopping');
      const [, pattern, handler] = route;
      await handler(asked, pattern.exec(path)!);
    } catch (error) {
      if (response.headersSent) return;
      const isExpected = error instanceof HttpRefusal || error instanceof PortalError;
      if (!isExpected) this.#options.log.error({ err: error }, 'request to the API of agents failed');
      sendError(response, error);
    } finally {
      // Drops the rest of the body, within the timeout for the request.
      request.resume();
    }
  }

  /** Tenants' hostnames are same-site with the relay, so the exact origin decides. */
  #checkAsker({ headers }: IncomingMessage): void {
    if (headers.host?.toLowerCase() !== new URL(this.#origin).host)
      throw new HttpRefusal(421, `this server serves only ${this.#origin}`);
    if (headers.origin !== undefined && headers.origin !== this.#origin)
      throw new HttpRefusal(403, 'requests from other origins are rejected');
  }

  /** The identity of the request's token or cookie. */
  async #who({ request }: Asked): Promise<SignedIn & { readonly token: string }> {
    const { headers, method } = request;
    const bearer = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
    const token = bearer ?? cookieOf(headers.cookie);
    if (bearer === undefined && token !== undefined) {
      // Browsers send the cookie with any request here, so check that our own page sent it.
      const site = headers['sec-fetch-site'];
      if (method !== 'GET' && headers.origin !== this.#origin)
        throw new HttpRefusal(403, 'the request needs an Origin header');
      if (site !== undefined && site !== 'same-origin')
        throw new HttpRefusal(403, 'requests from other origins are rejected');
    }
    return { ...(await this.#options.signedIn.check(token)), token: token! };
  }

  #inTurn<T>({ socket }: IncomingMessage, work: () => T): Promise<T> {
    return this.#options.turns.run(networkOf(plainAddress(clientOf(socket).address)), work);
  }

  /** Proves the relay's key first: a program signs only for a relay that it trusts, in this TLS session. */
  async #challenge({ request, response }: Asked): Promise<void> {
    const { address, relayNonce: nonce } = await readFields(request, ['address', 'relayNonce']);
    if (!NONCE.test(nonce)) throw new PortalError('protocol', '"relayNonce" must be 32 hex digits');
    const { signIns, identity, place } = this.#options;
    const result = await this.#inTurn(request, (): SignInChallenge => {
      const channel = channelOfRequest(request);
      const challenge = signIns.challenge(address, { remote: clientOf(request.socket).address, channel });
      return { ...challenge, relay: proveRelay(identity, { url: place.url, nonce, channel }) };
    });
    sendJson(response, 200, result);
  }

  async #signIn({ request, response }: Asked): Promise<void> {
    const { nonce, signature } = await readFields(request, ['nonce', 'signature']);
    const { signIns, signedIn, log } = this.#options;
    const identity = await this.#inTurn(request, () =>
      signIns.prove(nonce, signature, channelOfRequest(request)),
    );
    const { token, until } = signedIn.issue(identity, clientOf(request.socket).address);
    log.info({ identity, address: clientOf(request.socket).address }, 'signed in');
    const result: SignInResponse = { identity, token, expiresAt: timeOf(until) };
    sendJson(response, 200, result);
  }

  async #signOut(asked: Asked): Promise<void> {
    const { token } = await this.#who(asked);
    await this.#options.signedIn.forget(token);
    asked.response.setHeader('set-cookie', `${COOKIE}=; ${COOKIE_ATTRIBUTES}; Max-Age=0`);
    sendJson(asked.response, 200, {});
  }

  /** Requires a token: a page cannot sign other browsers in. */
  async #link(asked: Asked): Promise<void> {
    const { identity } = await this.#who(asked);
    if (asked.request.headers.authorization === undefined)
      throw new HttpRefusal(403, 'only a program with a token can create a link');
    if (!this.#options.page) throw new PortalError('not_found', 'this relay has no agents page');
    const { code, until } = this.#options.signedIn.code(identity);
    const result: LinkResponse = {
      url: `${this.#origin}${PATHS.agentsPage}#${code}`,
      expiresAt: timeOf(until),
    };
    sendJson(asked.response, 200, result);
  }

  /** A page exchanges the code of its link for a cookie. */
  async #redeem({ request, response }: Asked): Promise<void> {
    const { code } = await readFields(request, ['code']);
    if (request.headers.origin === undefined)
      throw new HttpRefusal(403, 'the request needs an Origin header');
    const { signedIn, log } = this.#options;
    const identity = await signedIn.redeem(code);
    const { token, until } = signedIn.issue(identity, clientOf(request.socket).address);
    log.info({ identity, address: clientOf(request.socket).address }, 'signed in by a link');
    const seconds = Math.floor((until - performance.now()) / 1_000);
    response.setHeader('set-cookie', `${COOKIE}=${token}; ${COOKIE_ATTRIBUTES}; Max-Age=${seconds}`);
    sendJson(response, 200, { identity, expiresAt: timeOf(until) });
  }

  async #show(asked: Asked): Promise<void> {
    const { identity } = await this.#who(asked);
    sendJson(asked.response, 200, await viewOf(identity, this.#options, this.#options.place));
  }

  async #disconnect(asked: Asked, id: string): Promise<void> {
    const { identity } = await this.#who(asked);
    const by = clientOf(asked.request.socket).address ?? '';
    await this.#options.everywhere.disconnect(identity, id, by);
    sendJson(asked.response, 200, {});
  }

  async #release(asked: Asked, name: string): Promise<void> {
    const { identity } = await this.#who(asked);
    await this.#options.leases.release(identity, name);
    this.#options.log.info({ identity, name }, 'name released');
    sendJson(asked.response, 200, {});
  }

  #page({ response }: Asked, path: string): void {
    const asset = this.#options.page?.get(path);
    if (!asset) throw new PortalError('not_found', 'no such page');
    response
      .writeHead(200, { 'content-type': asset.type, 'content-length': asset.bytes.length })
      .end(asset.bytes);
  }
}

const COOKIE_ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict';

function channelOfRequest({ socket }: IncomingMessage): string {
  const channel = channelOf(socket as TLSSocket);
  if (channel === undefined) throw new PortalError('protocol', 'signing in needs TLS 1.3');
  return channel;
}

function cookieOf(header: string | undefined): string | undefined {
  for (const each of (header ?? '').split(';')) {
    const [name, value] = each.split('=', 2);
    if (name?.trim() === COOKIE) return value?.trim();
  }
  return undefined;
}

/** A time of `performance.now()` as ISO date. */
function timeOf(moment: number): string {
  return new Date(Date.now() + moment - performance.now()).toISOString();
}
