import type { Page } from 'playwright-core';
import { afterEach, expect, it, vi, type TestContext } from 'vitest';
import { OIDC_PATHS } from '../../src/agent/access/kinds.js';
import { browserPage } from '../support/browser.js';
import { CLIENT_ID, CLIENT_SECRET, oidcProvider } from '../support/oidc-provider.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';

/** Signing in with a real provider in a real browser, through its form. */

const HOURS = 3_600_000;
const MINUTES = 60_000;

afterEach(() => void vi.useRealTimers());

/** Two services of one application at one provider, which admit alice only. Each shows its visitor. */
async function twoServices(context: TestContext) {
  const page = await browserPage(context);
  // The form of the provider loads a font.
  await page.route('https://fonts.googleapis.com/**', (route) => route.abort());
  const provider = await oidcProvider();
  provider.account = undefined;
  for (const name of ['alice', 'mallory'])
    provider.claims.set(name, { email: `${name}@example.com`, email_verified: true });
  const site = await httpService(({ url, headers }, response) => {
    const [user, email] = [headers['x-portal-user'], headers['x-portal-email']];
    const text = `<title>site</title><p>${url}: ${String(user)}, ${String(email)}</p><a href="/next">Next</a>`;
    response.setHeader('content-type', 'text/html').end(text);
  });
  const at = await relay();
  const { runner, event } = await agent();
  const allow = { emails: ['alice@example.com'] };
  const oidc = { issuer: provider.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, allow };
  const names = ['wiki', 'board'] as const;
  const specs = names.map((name) =>
    service(name, site.port, { mode: 'http', access: { oidc }, alpn: 'auto' }),
  );
  await runner.apply(desired([at.spec], ...specs));
  const [wiki, board] = (await Promise.all(
    names.map(async (name) => {
      const { url } = await event('lease', (lease) => lease.service === name && lease.phase === 'ready');
      return url!.replace(/\/$/, '');
    }),
  )) as [string, string];
  provider.register(`${wiki}${OIDC_PATHS.callback}`, `${board}${OIDC_PATHS.callback}`);
  const rename = (email: string): Promise<void> => {
    const next = specs.map((spec) => ({
      ...spec,
      access: { oidc: { ...oidc, allow: { emails: [email] } } },
    }));
    return runner.apply(desired([at.spec], ...next));
  };
  return { page, provider, wiki, board, rename };
}

/** Fills in the form of the provider. Any password is right. */
async function fillIn(page: Page, account: string): Promise<void> {
  await page.getByPlaceholder('Enter any login').fill(account);
  await page.getByPlaceholder('and password').fill('secret');
  await page.getByRole('button', { name: 'Sign-in' }).click();
}

const textOf = (page: Page): Promise<string | null> => page.textContent('p');
const titleOf = (page: Page): Promise<string | null> => page.textContent('h1');

it('signs in through the form of the provider, lands on the page, and names the account', async (context) => {
  const { page, provider, wiki } = await twoServices(context);
  await page.goto(`${wiki}/reports?year=2026`);
  expect(page.url()).toMatch(new RegExp(`^${provider.issuer}/interaction/`));
  await fillIn(page, 'alice');
  await page.waitForURL(`${wiki}/reports?year=2026`);
  expect(await textOf(page)).toBe('/reports?year=2026: alice, alice@example.com');
  const ours = (await page.context().cookies(wiki)).filter(({ name }) => name.startsWith('__Host-portal'));
  expect(ours.map(({ httpOnly, secure, sameSite, path }) => [httpOnly, secure, sameSite, path])).toEqual(
    ours.map(() => [true, true, 'Lax', '/']),
  );

  // The callback is in no history, so the back button does not repeat it.
  await page.getByRole('link', { name: 'Next' }).click();
  expect(await textOf(page)).toBe('/next: alice, alice@example.com');
  await page.goBack();
  expect(page.url()).toBe(`${wiki}/reports?year=2026`);
  expect(await textOf(page)).toBe('/reports?year=2026: alice, alice@example.com');
});

it('signs in at a second service without the form, and signs out of one alone', async (context) => {
  const { page, wiki, board } = await twoServices(context);
  await page.goto(wiki);
  await fillIn(page, 'alice');
  await page.waitForURL(`${wiki}/`);
  await page.goto(`${board}/tasks`);
  expect(page.url()).toBe(`${board}/tasks`);
  expect(await textOf(page)).toBe('/tasks: alice, alice@example.com');

  await page.goto(wiki + OIDC_PATHS.signOut);
  expect(await titleOf(page)).toBe('wiki');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect.poll(() => titleOf(page)).toBe('Signed out');
  const cookies = await page.context().cookies(wiki);
  expect(cookies.map(({ name }) => name)).not.toContain('__Host-portal-user');
  await page.goto(`${board}/tasks`);
  expect(await textOf(page)).toBe('/tasks: alice, alice@example.com');
  // The provider still knows the account.
  await page.goBack();
  await page.getByRole('link', { name: 'Sign in again' }).click();
  await page.waitForURL(`${wiki}/`);
  expect(await textOf(page)).toBe('/: alice, alice@example.com');
});

it('says which account is not allowed, and lets the visitor use another one', async (context) => {
  const { page, provider, wiki } = await twoServices(context);
  await page.goto(`${wiki}/reports`);
  const [denied] = await Promise.all([
    page.waitForResponse((response) => response.url().startsWith(wiki + OIDC_PATHS.callback)),
    fillIn(page, 'mallory'),
  ]);
  expect(denied.status()).toBe(403);
  await expect.poll(() => titleOf(page)).toBe('Your account is not allowed');
  expect(await page.textContent('main')).toContain('You signed in as mallory@example.com.');
  await page.getByRole('link', { name: 'Use another account' }).click();
  await page.waitForURL(`${provider.issuer}/interaction/**`);
  await fillIn(page, 'alice');
  await page.waitForURL(`${wiki}/`);
  expect(await textOf(page)).toBe('/: alice, alice@example.com');
});

it('asks again once the session has expired, and once the settings have changed', async (context) => {
  const { page, provider, wiki, rename } = await twoServices(context);
  await page.goto(`${wiki}/reports`);
  await fillIn(page, 'alice');
  await page.waitForURL(`${wiki}/reports`);
  // Sessions of the provider expire as well.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 25 * HOURS });
  await page.reload();
  expect(page.url()).toMatch(new RegExp(`^${provider.issuer}/interaction/`));
  await fillIn(page, 'alice');
  await page.waitForURL(`${wiki}/reports`);
  expect(await textOf(page)).toBe('/reports: alice, alice@example.com');

  await rename('mallory@example.com');
  // The provider returns the browser at once, with the same account.
  const response = await page.goto(`${wiki}/reports`);
  expect([response!.status(), await titleOf(page)]).toEqual([403, 'Your account is not allowed']);
});

it('says that a sign-in took too long, and begins another one', async (context) => {
  const { page, provider, wiki } = await twoServices(context);
  await page.goto(`${wiki}/reports`);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 11 * MINUTES });
  await fillIn(page, 'alice');
  await expect.poll(() => titleOf(page)).toBe('This sign-in has expired');
  await page.getByRole('link', { name: 'Sign in again' }).click();
  await page.waitForURL(`${wiki}/`);
  expect(await textOf(page)).toBe('/: alice, alice@example.com');
  expect(page.url()).not.toContain(provider.issuer);
});
