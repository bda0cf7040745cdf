import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../lib/logger.js';
import { TokenBuckets } from '../../lib/token-bucket.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import { isHost, valuesOf, type Exchange, type Headers } from '../modes/http/exchange/exchange.js';
import { pathOf } from '../modes/http/routing/paths.js';
import { redirectWith, respondWith } from '../modes/http/exchange/own-response.js';
import type { Page } from '../pages/page.js';
import { PAGES } from '../pages/pages.js';
import { tooMany } from './gate-pages.js';
import type { OidcSpec, ServiceSpec } from '../spec.js';
import { AdmittedExchange, EMAIL_FIELD, USER_FIELD } from './admitted.js';
import { cookiesNamed, cookiesOf, setCookie, SIGN_IN_COOKIE, USER_COOKIE } from './cookies.js';
import type { Gate, GateOptions, Passed, SignInFailure } from './gate.js';
import { OIDC_PATHS } from './kinds.js';
import { isAllowed, userField, type Account } from './oidc-allow.js';
import { accountDenied, providerDown, SIGN_IN_PAGES, signInRequired, signOutPage } from './oidc-pages.js';
import { OidcProvider, ProviderDown, SignInRejected } from './oidc-provider.js';
import { isBrowser, newBrowser, SIGN_IN_MS, SignIns, type SignInScope } from './oidc-state.js';
import { isFromOwnPage } from './own-page.js';
import type { Rejections } from './rejections.js';
import { returnPath } from './return-path.js';
import { Sessions, type Admitted } from './sessions.js';

/** How often a network may return from the provider, since each return costs requests to the provider. */
const RETURNS = { perSecond: 0.5, burst: 30, maxKeys: 10_000 };

/** The gate with one state of its settings. */
interface Open {
  readonly spec: OidcSpec;
  /** A hash of the settings, to which sessions belong. Short, because each request hashes it again. */
  readonly settings: string;
  readonly provider: OidcProvider;
}

/** What a session says about its visitor. */
type Visitor = Pick<Account, 'subject' | 'email'>;

/** Asks visitors to sign in with an OpenID Connect provider (authorization code flow with PKCE). */
export class OidcGate implements Gate {
  readonly #rejections: Rejections;
  readonly #sessions: Sessions;
  readonly #signIns: SignIns;
  readonly #proxyFor: ProxyFor | undefined;
  readonly #log: Logger | undefined;
  readonly #onSignIn: GateOptions['onSignIn'];
  /** What the owner knows of why visitors cannot sign in. */
  readonly #told = new Set<SignInFailure['kind']>();
  readonly #returns = new TokenBuckets(RETURNS);
  #service: string;
  #open: Open | undefined;

  constructor({ spec, sessionKey, rejections, proxyFor, onSignIn, log }: GateOptions) {
    this.#service = spec.service;
    this.#onSignIn = onSignIn;
    this.#rejections = rejections;
    this.#sessions = new Sessions(sessionKey, USER_COOKIE);
    this.#signIns = new SignIns(sessionKey);
    this.#proxyFor = proxyFor;
    this.#log = log;
    this.#set(spec.access.oidc);
  }

  /** Signs everyone out: a visitor may no longer be allowed. */
  update({ service, access: { oidc } }: ServiceSpec): boolean {
    this.#service = service;
    if (isDeepStrictEqual(oidc, this.#open?.spec)) return false;
    this.#set(oidc);
    return oidc !== undefined;
  }

  ask(exchange: Exchange): Passed | Promise<Passed> {
    const open = this.#open;
    if (!open) return exchange;
    // The provider returns visitors to the host that they named.
    if (!isHost(exchange.authority, exchange.client.hostname))
      return this.#respond(exchange, PAGES.misdirected);
    const path = pathOf(exchange.target);
    if (path === OIDC_PATHS.signOut) return this.#signOut(exchange);
    const visitor = this.#visitorOf(exchange, open);
    if (path === OIDC_PATHS.callback) return this.#return(exchange, open, visitor !== undefined);
    if (path === OIDC_PATHS.signIn) return this.#begin(exchange, open, '/', true);
    if (visitor) return admitted(exchange, visitor);
    if (isNavigation(exchange)) return this.#begin(exchange, open, exchange.target, false);
    return this.#respond(exchange, signInRequired(this.#service));
  }

  knows(exchange: Exchange): boolean {
    return this.#open !== undefined && this.#visitorOf(exchange, this.#open) !== undefined;
  }

  #set(spec: OidcSpec | undefined): void {
    this.#open = spec && {
      spec,
      settings: createHash('sha256').update(JSON.stringify(spec)).digest('base64'),
      provider: new OidcProvider(spec, this.#proxyFor),
    };
  }

  /** Redirects the visitor to the provider. */
  async #begin(exchange: Exchange, open: Open, to: string, again: boolean): Promise<undefined> {
    // Several tabs of a browser sign in at the same time.
    const known = cookiesNamed(SIGN_IN_COOKIE, cookiesOf(exchange)).find(isBrowser);
    const browser = known ?? newBrowser();
    const signIn = this.#signIns.begin(scopeOf(exchange, open, browser), returnPath(to), Date.now());
    try {
      const url = await open.provider.authorizationUrl(callbackOf(exchange), signIn, again);
      redirect(exchange, url, setCookie(SIGN_IN_COOKIE, browser, SIGN_IN_MS / 1_000));
    } catch (error) {
      this.#failed(exchange, open, error, true);
    }
  }

  /** The provider has returned the visitor. */
  async #return(exchange: Exchange, open: Open, isIn: boolean): Promise<undefined> {
    const query = new URLSearchParams(exchange.target.slice(pathOf(exchange.target).length + 1));
    const signIn = cookiesNamed(SIGN_IN_COOKIE, cookiesOf(exchange))
      .filter(isBrowser)
      .map((browser) =>
        this.#signIns.end(scopeOf(exchange, open, browser), query.get('state') ?? '', Date.now()),
      )
      .find((each) => each !== undefined);
    if (exchange.method !== 'GET' || !signIn)
      return isIn ? redirect(exchange, '/') : this.#respond(exchange, SIGN_IN_PAGES.expired);
    const waitMs = this.#returns.take(exchange.client.network);
    if (waitMs > 0) return this.#respond(exchange, tooMany('signIns', waitMs));
    let account: Account;
    try {
      account = await open.provider.accountOf(new URL(`${callbackOf(exchange)}?${query.toString()}`), signIn);
    } catch (error) {
      return this.#failed(exchange, open, error, false);
    }
    if (this.#told.size > 0) this.#onSignIn?.(undefined);
    this.#told.clear();
    const { subject, email } = account;
    if (!isAllowed(account, open.spec.allow)) {
      this.#rejections.note('oidc', exchange.client.address);
      return this.#respond(exchange, accountDenied(email ?? subject));
    }
    const about = JSON.stringify({ subject, email } satisfies Visitor);
    const session = this.#sessions.begin(admittedOf(exchange, open), Date.now(), about);
    return redirect(exchange, signIn.to, session);
  }

  #signOut(exchange: Exchange): undefined {
    if (exchange.method !== 'POST') return this.#respond(exchange, signOutPage(this.#service));
    if (!isFromOwnPage(exchange)) return this.#respond(exchange, SIGN_IN_PAGES.crossSite);
    const page = SIGN_IN_PAGES.signedOut;
    return this.#respond(exchange, {
      ...page,
      headers: [...page.headers, 'Set-Cookie', setCookie(USER_COOKIE, '', 0)],
    });
  }

  #failed(exchange: Exchange, { spec: { issuer } }: Open, error: unknown, reloads: boolean): undefined {
    const reason = (error as Error).message;
    if (error instanceof ProviderDown) {
      this.#log?.warn({ issuer, reason }, 'the provider of access.oidc does not respond');
      this.#tell({ kind: 'down', issuer, reason });
      return this.#respond(exchange, providerDown(new URL(issuer).host, reloads));
    }
    if (!(error instanceof SignInRejected)) throw error;
    this.#log?.warn({ issuer, reason }, 'a visitor could not sign in');
    if (!error.isVisitors) this.#tell({ kind: 'rejected', issuer, reason });
    return this.#respond(exchange, SIGN_IN_PAGES.rejected);
  }

  #tell(failure: SignInFailure): void {
    if (this.#told.has(failure.kind)) return;
    this.#told.add(failure.kind);
    this.#onSignIn?.(failure);
  }

  #visitorOf(exchange: Exchange, open: Open): Visitor | undefined {
    const about = this.#sessions.find(cookiesOf(exchange), admittedOf(exchange, open), Date.now());
    return about === undefined ? undefined : (JSON.parse(about) as Visitor);
  }

  #respond(exchange: Exchange, page: Page): undefined {
    if (!exchange.begun) respondWith(exchange, page);
  }
}

const callbackOf = ({ authority }: Exchange): string => `https://${authority}${OIDC_PATHS.callback}`;

const admittedOf = ({ client: { hostname } }: Exchange, { settings }: Open): Admitted => ({
  hostname,
  settings: `oidc ${settings}`,
});

const scopeOf = ({ client: { hostname } }: Exchange, { settings }: Open, browser: string): SignInScope => ({
  hostname,
  browser,
  settings,
});

function admitted(exchange: Exchange, { subject, email }: Visitor): Exchange {
  const fields: Headers = [
    USER_FIELD,
    userField(subject),
    ...(email === undefined ? [] : [EMAIL_FIELD, email]),
  ];
  return new AdmittedExchange(exchange, fields);
}

/** Whether a person opens a page. Other requests cannot follow a redirect to the provider. */
function isNavigation(exchange: Exchange): boolean {
  const isPage = (name: string, value: string): boolean => ['', value].includes(valuesOf(exchange, name));
  return (
    exchange.method === 'GET' &&
    exchange.upgrade === undefined &&
    valuesOf(exchange, 'accept').includes('text/html') &&
    isPage('sec-fetch-mode', 'navigate') &&
    isPage('sec-fetch-dest', 'document')
  );
}

function redirect(exchange: Exchange, to: string, cookie?: string): undefined {
  const headers = cookie === undefined ? [] : ['Set-Cookie', cookie];
  redirectWith(exchange, { code: 'sign_in', title: 'Sign-in' }, to, headers);
}
