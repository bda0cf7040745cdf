import { expect, it } from 'vitest';
import { browserPage } from '../support/browser.js';
import { shared } from '../support/shared-site.js';

it('opens a share link in a browser, keeps it out of the history, and shows a page once it is revoked', async (context) => {
  const page = await browserPage(context);
  const { one, at, store, create, seen } = await shared({ pin: '2580-1379' });
  const [lease] = (await one.runner.status()).leases;
  const origin = lease!.url!.replace(/\/$/, '');
  expect(new URL(origin).port).toBe(String(at.port));
  const { id, target } = await create('/demo');

  await page.goto('about:blank');
  await page.goto(origin + target);
  expect(page.url()).toBe(`${origin}/demo`);
  expect(await page.textContent('body')).toBe('the site');
  await page.goto(`${origin}/demo/page`);
  await page.goBack();
  expect(page.url()).toBe(`${origin}/demo`);
  expect(seen.map(({ url, headers }) => [url, headers.cookie, headers.referer])).toEqual(
    expect.arrayContaining([
      ['/demo', undefined, undefined],
      ['/demo/page', undefined, undefined],
    ]),
  );
  expect(JSON.stringify(seen.map(({ url, rawHeaders }) => [url, rawHeaders]))).not.toContain('portal-share');
  // Scripts of the site cannot read it.
  expect(await page.evaluate('document.cookie')).toBe('');

  await page.goto(`${origin}/other`);
  expect(await page.getByLabel('PIN', { exact: true }).count()).toBe(1);

  await store.revoke(id, Date.now());
  await one.runner.sharing!.load();
  await page.goto(`${origin}/demo`);
  expect(await page.getByLabel('PIN', { exact: true }).count()).toBe(1);
  const response = await page.goto(origin + target);
  expect([response!.status(), await page.textContent('h1')]).toEqual([403, 'This link is not valid']);
});
