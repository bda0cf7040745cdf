import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import { OIDC_PATHS } from '../../src/agent/access/kinds.js';
import type { SignInFailure } from '../../src/agent/access/gate.js';
import { Gates } from '../../src/agent/access/gates.js';
import { Rejections } from '../../src/agent/access/rejections.js';
import { generateIdentity } from '../../src/identity/keys.js';
import type { AccessSpec, OidcSpec } from '../../src/agent/spec.js';
import { ask, edge, type Answer, type Edge } from '../support/http-edge.js';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  Jar,
  oidcProvider,
  throughProvider,
  type TestProvider,
} from '../support/oidc-provider.js';
import { httpService, service } from '../support/world.js';

/** The gate for accounts of an OpenID Connect provider, with a real one. */

const ALICE = { email: 'Alice@Example.com', email_verified: true };
const PAGE = { accept: 'text/html' };

type Allow = OidcSpec['allow'];

async function gated(allow: Allow = { domains: ['example.com'] }, provider?: TestProvider) {
  const at = provider ?? (await oidcProvider());
  const seen: IncomingHttpHeaders[] = [];
  const { port } = await httpService((request, response) => {
    seen.push(request.headers);
    response.end(`the site at ${request.url}`);
  });
  const rejections = new Rejections(() => undefined);
  const signIns: (SignInFailure | undefined)[] = [];
  const oidc = { issuer: at.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, allow };
  const spec = service('app', port, { mode: 'http', access: { oidc } });
  const gates = new Gates({
    spec,
    sessionKey: Buffer.alloc(32, 1),
    identity: generateIdentity(),
    rejections,
    onSignIn: (failure) => signIns.push(failure),
  });
  const site = await edge({ '/': port }, { gates });
  const redirectUri = `https://${site.host}${OIDC_PATHS.callback}`;
  at.claims.set('alice', ALICE);
  const change = (next: AccessSpec): void => gates.update({ ...spec, access: next });
  return { provider: at, site, seen, rejections, signIns, redirectUri, change, oidc };
}

/** A browser. */
class Visitor {
  readonly #jar = new Jar();
  readonly #jarOfProvider = new Jar();
  readonly #at: Edge;

  constructor(at: Edge) {
    this.#at = at;
  }

  async get(path: string, headers: Record<string, string> = PAGE, method = 'GET'): Promise<Answer> {
    const sent = { ...headers, cookie: this.#jar.cookies };
    const answer = await ask(this.#at, path, { method, headers: sent });
    this.#jar.keep(answer.headers['set-cookie']);
    return answer;
  }

  /** Follows redirects of the provider until it returns to the site. Returns the path there. */
  through(url: string): Promise<string> {
    return throughProvider(url, `https://${this.#at.host}`, this.#jarOfProvider);
  }

  /** Opens a page, signs in, and returns the answer to the callback. */
  async signIn(path = '/'): Promise<Answer> {
    const asked = await this.get(path);
    return this.get(await this.through(asked.headers.location!));
  }
}

describe('a service for accounts of a provider', () => {
  it('redirects people to the provider, with PKCE, a state and a nonce', async () => {
    const { site, provider, redirectUri, seen } = await gated();
    provider.register(redirectUri);
    const { status, headers } = await ask(site, '/reports?year=2026', { headers: PAGE });
    expect(status).toBe(303);
    const url = new URL(headers.location!);
    expect(url.origin).toBe(provider.issuer);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      client_id: CLIENT_ID,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'openid email groups',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/) as string,
      nonce: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    expect(headers['set-cookie']).toEqual([
      expect.stringMatching(
        /^__Host-portal-sign-in=[\w-]{43}; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax$/,
      ),
    ]);
    expect(seen).toEqual([]);
  });

  it.each([
    [undefined, 'login'],
    [['none', 'login'], 'login'],
    [['login', 'select_account'], 'select_account'],
  ])('asks a provider that lists the prompts %j for another account with %s', async (prompts, prompt) => {
    const listing = await oidcProvider(prompts && { prompts });
    const { site, redirectUri } = await gated(undefined, listing);
    listing.register(redirectUri);
    const { headers } = await ask(site, OIDC_PATHS.signIn, { headers: PAGE });
    expect(new URL(headers.location!).searchParams.get('prompt')).toBe(prompt);
  });

  it.each([
    ['a program', {}, 'GET'],
    ['a script', { ...PAGE, 'sec-fetch-mode': 'cors' }, 'GET'],
    ['a frame', { ...PAGE, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, 'GET'],
    ['a form', PAGE, 'POST'],
    ['a CORS preflight', PAGE, 'OPTIONS'],
  ] as const)('asks %s to sign in, without a redirect', async (_what, headers, method) => {
    const { site, seen } = await gated();
    const answer = await ask(site, '/', { method, headers });
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Portal-Oidc realm="app"']);
    expect(seen).toEqual([]);
  });

  it('admits a verified account, and names it to the target', async () => {
    const { site, provider, redirectUri, seen } = await gated();
    provider.register(redirectUri);
    const visitor = new Visitor(site);
    const { status, headers } = await visitor.signIn('/reports?year=2026');
    expect([status, headers.location]).toEqual([303, '/reports?year=2026']);
    const forged = { ...PAGE, 'x-portal-user': 'root', 'x-portal-email': 'root@example.com' };
    expect(await visitor.get('/reports', forged)).toMatchObject({
      status: 200,
      body: 'the site at /reports',
    });
    expect(seen.map((each) => [each['x-portal-user'], each['x-portal-email'], each.cookie])).toEqual([
      ['alice', 'Alice@Example.com', undefined],
    ]);
  });

  it.each<[string, Record<string, unknown>, Allow, number]>([
    ['a listed address', ALICE, { emails: ['alice@example.com'] }, 303],
    ['another address', ALICE, { emails: ['bob@example.com'] }, 403],
    ['an unverified address', { ...ALICE, email_verified: false }, { domains: ['example.com'] }, 403],
    ['an address without a word on verification', { email: ALICE.email }, { domains: ['example.com'] }, 403],
    ['a subdomain', { ...ALICE, email: 'alice@a.example.com' }, { domains: ['example.com'] }, 403],
    [
      'a domain that ends alike',
      { ...ALICE, email: 'alice@anexample.com' },
      { domains: ['example.com'] },
      403,
    ],
    ['two at signs', { ...ALICE, email: 'a@evil.example@example.com' }, { domains: ['example.com'] }, 403],
    ['a listed group', { groups: ['a', 'team'] }, { groups: ['team'] }, 303],
    ['another group', { ...ALICE, groups: ['teams'] }, { groups: ['team'] }, 403],
    ['a group that is an address', { groups: ['alice@example.com'] }, { emails: ['alice@example.com'] }, 403],
  ])('decides by verified claims: %s', async (_what, claims, allow, status) => {
    const { site, provider, redirectUri, rejections } = await gated(allow);
    provider.register(redirectUri);
    provider.claims.set('alice', claims);
    const visitor = new Visitor(site);
    expect((await visitor.signIn()).status).toBe(status);
    expect(rejections.counts()).toEqual(status === 403 ? { oidc: 1 } : undefined);
    expect((await visitor.get('/', {})).status).toBe(status === 303 ? 200 : 401);
  });

  it('reads claims of the ID token', async () => {
    const provider = await oidcProvider({ inIdToken: true });
    const { site, redirectUri } = await gated(undefined, provider);
    provider.register(redirectUri);
    expect((await new Visitor(site).signIn()).status).toBe(303);
    expect(provider.requests).not.toContain('/me');
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    [
      'an address of the ID token that UserInfo verifies for another',
      { email: 'alice@example.com' },
      { email: 'mallory@evil.example', email_verified: true },
    ],
    [
      'an address of UserInfo that the ID token verifies for none',
      { email_verified: true },
      { email: 'alice@example.com', email_verified: false },
    ],
  ])('does not admit %s', async (_what, idToken, userInfo) => {
    const provider = await oidcProvider({ inIdToken: true });
    const { site, redirectUri } = await gated(undefined, provider);
    provider.register(redirectUri);
    provider.claims.set('alice', idToken);
    provider.inUserInfo.set('alice', userInfo);
    const visitor = new Visitor(site);
    expect((await visitor.signIn()).status).toBe(403);
    expect((await visitor.get('/', {})).status).toBe(401);
    expect(provider.requests).toContain('/me');
  });

  it.each(['//evil.example', '/\\evil.example'])('continues on no other site: %j', async (path) => {
    const { site, provider, redirectUri } = await gated();
    provider.register(redirectUri);
    const { status, headers } = await new Visitor(site).signIn(path);
    expect([status, headers.location]).toEqual([303, '/']);
  });

  it('ends a sign-in only in the browser that began it', async () => {
    const { site, provider, redirectUri } = await gated();
    provider.register(redirectUri);
    const [attacker, victim] = [new Visitor(site), new Visitor(site)];
    const callback = await attacker.through((await attacker.get('/')).headers.location!);
    await victim.get('/');
    const stolen = await victim.get(callback);
    expect([stolen.status, stolen.headers['set-cookie']]).toEqual([400, undefined]);
    const changed = callback.replace(/state=[\w-]{10}/, 'state=AAAAAAAAAA');
    expect((await attacker.get(changed)).status).toBe(400);
    expect((await attacker.get(callback)).status).toBe(303);
    // The provider accepts a code once.
    expect((await attacker.get(callback)).status).toBe(403);
  });

  it('signs everyone out when its settings change', async () => {
    const { site, provider, redirectUri, change, oidc } = await gated();
    provider.register(redirectUri);
    const visitor = new Visitor(site);
    await visitor.signIn();
    change({ oidc: { ...oidc, allow: { domains: ['example.org'] } } });
    expect((await visitor.get('/', {})).status).toBe(401);
    change({ oidc });
    expect((await visitor.get('/', {})).status).toBe(200);
  });

  it('signs out, but not for another site', async () => {
    const { site, provider, redirectUri } = await gated();
    provider.register(redirectUri);
    const visitor = new Visitor(site);
    await visitor.signIn();
    expect((await visitor.get(OIDC_PATHS.signOut)).body).toContain('<button>Sign out</button>');
    const crossSite = { ...PAGE, 'sec-fetch-site': 'cross-site' };
    expect((await visitor.get(OIDC_PATHS.signOut, crossSite, 'POST')).status).toBe(403);
    expect((await visitor.get('/', {})).status).toBe(200);
    const own = { ...PAGE, 'sec-fetch-site': 'same-origin' };
    expect((await visitor.get(OIDC_PATHS.signOut, own, 'POST')).status).toBe(200);
    expect((await visitor.get('/', {})).status).toBe(401);
  });

  it('stays closed while the provider does not respond, and opens once it does', async () => {
    const { site, provider, redirectUri, seen } = await gated();
    const { status, headers, body } = await ask(site, '/', { headers: PAGE });
    expect([status, headers['retry-after']]).toEqual([503, '5']);
    expect(body).toContain('Signing in is not possible now');
    expect(seen).toEqual([]);
    provider.register(redirectUri);
    await expect.poll(async () => (await ask(site, '/', { headers: PAGE })).status).toBe(303);
  });

  it('tells its owner once that the provider does not respond, and when visitors can sign in again', async () => {
    const { site, provider, redirectUri, signIns, oidc } = await gated();
    for (let i = 0; i < 3; i++) await ask(site, '/', { headers: PAGE });
    expect(signIns).toEqual([{ kind: 'down', issuer: oidc.issuer, reason: expect.any(String) as string }]);
    provider.register(redirectUri);
    const visitor = new Visitor(site);
    await expect.poll(async () => (await visitor.get('/')).status).toBe(303);
    await visitor.signIn();
    expect(signIns.slice(1)).toEqual([undefined]);
  });

  it('tells its owner of a secret that the provider rejects, but not of a visitor who cancels', async () => {
    const { site, provider, redirectUri, signIns, change, oidc } = await gated();
    provider.register(redirectUri);
    const visitor = new Visitor(site);
    const { location = '' } = (await visitor.get('/')).headers;
    const state = new URL(location).searchParams.get('state');
    const cancelled = `${OIDC_PATHS.callback}?error=access_denied&state=${state}&iss=${encodeURIComponent(oidc.issuer)}`;
    expect((await visitor.get(cancelled)).status).toBe(403);
    expect(signIns).toEqual([]);
    change({ oidc: { ...oidc, clientSecret: 'wrong' } });
    expect((await visitor.signIn()).status).toBe(403);
    expect(signIns).toMatchObject([{ kind: 'rejected', issuer: oidc.issuer }]);
    expect(signIns[0]!.reason).toContain('invalid_client');
    expect(signIns[0]!.reason).not.toContain('wrong');
  });

  it('rejects a request for another host', async () => {
    const { site } = await gated();
    expect((await ask(site, '/', { headers: { ...PAGE, host: 'evil.example' } })).status).toBe(421);
  });
});
