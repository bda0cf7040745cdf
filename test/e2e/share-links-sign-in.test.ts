import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { OIDC_PATHS } from '../../src/agent/access/kinds.js';
import type { AccessSpec } from '../../src/agent/spec.js';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  Jar,
  oidcProvider,
  throughProvider,
  type TestProvider,
} from '../support/oidc-provider.js';
import { HOST, PIN, shared } from '../support/shared-site.js';

/** Share links to services whose visitors sign in. */

/** A cheap hash of `horse`. */
const ALICE = '$2a$04$1EALQ.2zezwhbRUjcSLwy.7wK7fWQ/PVdQtsRsnQKo2KDJHySuksK';
const USERS = { alice: ALICE };
const basic = (password: string): { Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`,
});

const oidcOf = ({ issuer }: TestProvider): AccessSpec['oidc'] => ({
  issuer,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  allow: { domains: ['team.example'] },
});

async function provider(): Promise<TestProvider> {
  const at = await oidcProvider();
  at.register(`https://${HOST}${OIDC_PATHS.callback}`);
  at.claims.set('alice', { email: 'alice@team.example', email_verified: true });
  return at;
}

describe.each([
  ['a password', async (): Promise<AccessSpec> => ({ basic: USERS })],
  ['an account of a provider', async (): Promise<AccessSpec> => ({ oidc: oidcOf(await provider()) })],
])('a service for visitors with %s', (_what, accessOf) => {
  it('has no share links by default, and with a PIN they pass the PIN only', async () => {
    const access = await accessOf();
    const { create, ask, opened, change, seen } = await shared(access);
    await expect(create()).rejects.toMatchObject({
      code: 'usage',
      hint: expect.stringMatching(/access.sharing: true.*`(basic|oidc)`/) as string,
    });
    await change({ ...access, pin: PIN });
    const cookie = await opened((await create()).target);
    const { text } = await ask('GET /', { ...cookie, Accept: 'application/json' });
    expect(text).toContain(access.basic ? '"password_required"' : '"sign_in_required"');
    expect(seen).toEqual([]);
  });

  it('has share links with `sharing`, without a name for the target', async () => {
    const { create, ask, opened, seen } = await shared({ ...(await accessOf()), pin: PIN, sharing: true });
    const cookie = await opened((await create('/demo')).target);
    const forged = { Authorization: 'Bearer token', 'X-Portal-User': 'alice', 'X-Portal-Email': 'a@b.c' };
    const { status, text } = await ask('GET /demo/page', { ...cookie, ...forged });
    expect([status, text.includes('the site')]).toEqual([200, true]);
    const { headers } = seen[0]!;
    expect([headers['x-portal-user'], headers['x-portal-email'], headers.cookie]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    for (const path of ['/', '/demo/../x', '/demo/..;/x'])
      expect([path, (await ask(`GET ${path}`, { ...cookie, Accept: '*/*' })).status]).toEqual([path, 401]);
    expect(seen).toHaveLength(1);
  });

  it('ends links when `sharing` is removed, and disconnects their visitors', async () => {
    const access = await accessOf();
    const { create, ask, opened, change, serveSockets, openSocket } = await shared({
      ...access,
      sharing: true,
    });
    await serveSockets();
    const link = await create();
    const cookie = await opened(link.target);
    const socket = await openSocket(cookie);
    const closed = once(socket, 'close');
    await change(access);
    await closed;
    expect((await ask('GET /', { ...cookie, Accept: '*/*' })).status).toBe(401);
    // Links of before are no longer links.
    expect((await ask(`GET ${link.target}`, { Accept: '*/*' })).status).toBe(401);
  });
});

it('does not pass Authorization to the target of a service with passwords', async () => {
  const { create, ask, opened, seen } = await shared({ basic: USERS, sharing: true });
  const cookie = await opened((await create()).target);
  expect((await ask('GET /', { ...cookie, Authorization: 'Bearer token' })).status).toBe(200);
  expect(seen[0]!.headers.authorization).toBeUndefined();
});

it('keeps the name of a visitor with a link who signs in', async () => {
  const { create, ask, opened, seen } = await shared({ basic: USERS, sharing: true });
  const cookie = await opened((await create()).target);
  expect((await ask('GET /', { ...cookie, ...basic('horse') })).status).toBe(200);
  expect((await ask('GET /', { ...cookie, ...basic('wrong') })).status).toBe(401);
  expect(seen.map(({ headers }) => [headers['x-portal-user'], headers.authorization])).toEqual([
    ['alice', undefined],
  ]);
});

it('lets a visitor with a link sign in at the provider', async () => {
  const { create, ask, opened, seen } = await shared({ oidc: oidcOf(await provider()), sharing: true });
  const cookie = await opened((await create()).target);
  // A link replaces the redirect to the provider.
  expect((await ask('GET /', cookie)).status).toBe(200);
  const jar = new Jar();
  jar.keep([cookie.Cookie]);
  const keep = (answer: Awaited<ReturnType<typeof ask>>): void => jar.keep([answer.header('set-cookie')!]);
  const begun = await ask(`GET ${OIDC_PATHS.signIn}`, { Cookie: jar.cookies });
  keep(begun);
  const callback = await throughProvider(begun.header('location')!, `https://${HOST}`, new Jar());
  keep(await ask(`GET ${callback}`, { Cookie: jar.cookies }));
  expect((await ask('GET /', { Cookie: jar.cookies })).status).toBe(200);
  expect(seen.map(({ headers }) => [headers['x-portal-user'], headers.cookie])).toEqual([
    [undefined, undefined],
    ['alice', undefined],
  ]);
});

it('applies all other gates to visitors with a link', async () => {
  const access: AccessSpec = {
    basic: USERS,
    sharing: true,
    allowIps: ['127.0.0.2'],
    webhook: { provider: 'github', secret: 'a long enough secret' },
  };
  const { create, ask, seen } = await shared(access);
  const { target } = await create();
  expect((await ask(`GET ${target}`)).status).toBe(403);
  const { header } = await ask(`GET ${target}`, {}, '127.0.0.2');
  const Cookie = header('set-cookie')!.split(';', 1)[0]!;
  const { status, text } = await ask('GET /', { Cookie, Accept: 'application/json' }, '127.0.0.2');
  expect([status, text.includes('"signature_missing"')]).toEqual([403, true]);
  expect(seen).toEqual([]);
});
