import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, it, type TestContext } from 'vitest';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { browserPage } from '../support/browser.js';
import { ask, signIn } from '../support/sign-in.js';
import { AGENTS_WEB_DIR, relay, type TestRelay } from '../support/world.js';
import { Peer, settled } from './relay-peer.js';

/** A relay's agents page in a real browser. PORTAL_SCREENSHOTS=FOLDER saves screenshots. */

const HOSTILE = '<img src=x onerror="document.title=1">';

/** A link as `portal agents page` prints it. */
async function linkFor(at: TestRelay, identity: Identity): Promise<string> {
  const { body } = await ask(at, 'POST', '/v1/sign-in/link', { token: await signIn(at, identity) });
  return body['url'] as string;
}

interface World {
  readonly at: TestRelay;
  readonly identity: Identity;
  readonly laptop: Peer;
  readonly build: Peer;
}

/** Two machines of one identity, one of them with a failed service, and an unused name. */
async function world(): Promise<World> {
  const at = await relay({ agents: { webDir: AGENTS_WEB_DIR }, ports: { tcp: 'any' } });
  const identity = generateIdentity();
  const [laptop, build] = [await Peer.open(at, { identity }), await Peer.open(at, { identity })];
  const { lease } = await laptop.lease('shop');
  await laptop.lease('db', { mode: 'tcp', carrier: 'tls' });
  await laptop.request({
    type: 'report',
    machine: 'laptop',
    services: [
      { service: 'web', lease, phase: 'ready' },
      { service: HOSTILE, phase: 'failed', code: 'name_taken' },
    ],
  });
  await build.request({ type: 'report', machine: 'build-3' });
  const { lease: old } = await build.lease('old-demo');
  await build.request({ type: 'lease.close', lease: old });
  return { at, identity, laptop, build };
}

async function open(context: TestContext, options: Parameters<typeof browserPage>[1] = {}) {
  const page = await browserPage(context, { viewport: { width: 1100, height: 800 }, ...options });
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  return { page, complaints };
}

async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['PORTAL_SCREENSHOTS'];
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** Nothing is wider than the window. */
const fits = (page: Page) => page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth');

it('signs in with a one-time link, shows agents and names, and disconnects and releases after confirmation', async (context) => {
  const { page, complaints } = await open(context);
  const { at, identity, laptop, build } = await world();
  // A visitor without a link sees how to get one.
  await page.goto(`${at.url}/agents`);
  await page.getByText(`portal agents page --relay ${at.url}`).waitFor();
  await picture(page, 'agents-signed-out');
  // The browser logs the 401.
  complaints.length = 0;

  const link = await linkFor(at, identity);
  await page.goto(link);
  const card = page.getByRole('article', { name: 'laptop' });
  await card.waitFor();
  expect(page.url()).toBe(`${at.url}/agents`);
  const text = await card.textContent();
  for (const part of [
    'connected',
    'from 127.0.0.1',
    'ready',
    `https://shop.localhost:${at.port}`,
    HOSTILE,
    'name_taken',
  ])
    expect(text).toContain(part);
  expect(await page.title()).toBe('Agents · Portal relay');
  expect(await page.getByText('signed in as').textContent()).toContain(identity.address);
  await picture(page, 'agents-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'agents-dark');
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await fits(page)).toBe(true);
  await picture(page, 'agents-phone');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1100, height: 800 });

  // The link is used up, for other browsers too. Scripts cannot read the cookie.
  const stranger = await browserPage(context);
  await stranger.goto(link);
  await stranger.getByText('this link was used').waitFor();
  expect(await page.evaluate('document.cookie')).toBe('');

  // The page asks for confirmation. Escape and Cancel decline.
  await page.getByRole('button', { name: 'Disconnect laptop' }).click();
  const question = page.getByRole('dialog', { name: 'Disconnect laptop?' });
  await question.waitFor();
  await picture(page, 'agents-question');
  await page.keyboard.press('Escape');
  await question.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Disconnect laptop' }).click();
  await question.getByRole('button', { name: 'Cancel' }).click();
  await question.waitFor({ state: 'detached' });
  expect(at.counts().sessions).toBe(2);
  await page.getByRole('button', { name: 'Disconnect laptop' }).click();
  await question.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByText('Disconnected laptop.').waitFor();
  expect(await laptop.next('error')).toMatchObject({ code: 'disconnected' });
  await card.getByText('disconnected', { exact: true }).waitFor();

  // An unused name. The page removes a disconnected agent's name automatically.
  expect(await page.getByRole('row', { name: /^db tcp \d+ no/ }).count()).toBe(1);
  await page.getByRole('button', { name: 'Release old-demo' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click();
  await page.getByText('Released old-demo.').waitFor();
  await page.getByRole('button', { name: 'Release old-demo' }).waitFor({ state: 'detached' });
  // The page shows later changes automatically.
  await build.lease('fresh');
  await page.getByRole('row', { name: /^fresh – by build-3/ }).waitFor();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('There is no password').waitFor();
  await settled(() => at.stats().signedIn > 0);
  // The browser logs the 401 responses, and nothing else.
  expect(complaints.filter((each) => !each.includes('401'))).toEqual([]);
});

it('shows nothing of another identity, and a new link replaces the signed-in identity', async (context) => {
  const { page, complaints } = await open(context);
  const { at, identity } = await world();
  const other = generateIdentity();
  await page.goto(await linkFor(at, other));
  await page.getByText('None of your agents connected recently').waitFor();
  const text = (await page.textContent('body'))!;
  for (const part of ['laptop', 'build-3', 'shop', 'old-demo', identity.address])
    expect(text).not.toContain(part);
  // In the same tab: only the part after # changes.
  await page.goto(await linkFor(at, identity));
  await page.getByRole('article', { name: 'laptop' }).waitFor();
  expect(await page.textContent('body')).not.toContain(other.address);
  expect(complaints).toEqual([]);
});

it('marks agents of a team, and offers no actions on them', async (context) => {
  const { page } = await open(context);
  const { at, identity, laptop } = await world();
  const member = generateIdentity();
  await laptop.request({ type: 'report', team: [member.address] });
  await page.goto(await linkFor(at, member));
  const card = page.getByRole('article', { name: 'laptop' });
  await card.waitFor();
  expect(await card.textContent()).toContain(`of ${identity.address}, which lets you see it`);
  expect(await card.textContent()).not.toContain('127.0.0.1');
  expect(await page.getByRole('button', { name: /Disconnect|Release/ }).count()).toBe(0);
  expect(await page.textContent('body')).not.toContain('build-3');
  await picture(page, 'agents-team');
  await laptop.request({ type: 'report', team: [] });
  await page.getByText('None of your agents connected recently').waitFor();
});

it('does not run when a tenant’s page frames or requests it', async (context) => {
  const { page } = await open(context);
  const { at, identity } = await world();
  await page.goto(await linkFor(at, identity));
  await page.getByRole('article', { name: 'laptop' }).waitFor();
  const elsewhere = await page.context().newPage();
  await elsewhere.route('https://evil.localhost/**', (route) =>
    route.fulfill({ contentType: 'text/html', body: `<iframe src="${at.url}/agents"></iframe>` }),
  );
  await elsewhere.goto('https://evil.localhost/');
  const stolen = await elsewhere.evaluate(async (url) => {
    const tries = ['/v1/agents', '/v1/agents/000000000000/disconnect'].map(async (path, index) => {
      try {
        const method = index === 0 ? 'GET' : 'POST';
        return await (await fetch(url + path, { method, credentials: 'include' })).text();
      } catch {
        return 'blocked';
      }
    });
    return Promise.all(tries);
  }, at.url);
  expect(stolen).toEqual(['blocked', 'blocked']);
  const frame = elsewhere.frames()[1];
  expect(await frame?.evaluate('document.body.textContent')).not.toContain('laptop');
  expect(at.counts().sessions).toBe(2);
});
