import { expect, it } from 'vitest';
import { browserPage } from '../support/browser.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';

it('asks people for the PIN, reports a wrong one, and redirects to the requested page', async (context) => {
  const page = await browserPage(context);
  const { port } = await httpService((request, response) =>
    response.setHeader('content-type', 'text/html').end(`<title>site</title><p>You are at ${request.url}`),
  );
  const at = await relay();
  const { runner, event } = await agent();
  const spec = service('staging', port, { access: { pin: 'correct horse' }, alpn: 'auto' });
  await runner.apply(desired([at.spec], spec));
  const { url } = await event('lease', ({ phase }) => phase === 'ready');

  const loaded: string[] = [];
  page.on('request', (request) => loaded.push(new URL(request.url()).pathname));
  await page.goto(`${url}/reports?year=2026#totals`);
  expect(await page.title()).toBe('staging');
  // One file: no script, image or font.
  expect(loaded.filter((path) => path !== '/favicon.ico')).toEqual(['/reports']);
  const field = page.getByLabel('PIN', { exact: true });
  expect(await field.evaluate((element) => element.matches(':focus'))).toBe(true);
  expect(await page.getByRole('alert').count()).toBe(0);

  await page.keyboard.type('correct hoarse');
  await page.keyboard.press('Enter');
  expect(await page.getByRole('alert').textContent()).toBe('Wrong PIN.');
  expect(await field.getAttribute('aria-invalid')).toBe('true');

  await field.fill('correct horse');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL('**/reports?year=2026*');
  expect(await page.textContent('p')).toBe('You are at /reports?year=2026');
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({
    name: '__Host-portal',
    httpOnly: true,
    secure: true,
    sameSite: 'Lax',
    path: '/',
  });
  await page.goto(`${url}/elsewhere`);
  expect(await page.textContent('p')).toBe('You are at /elsewhere');
});
