import { join } from 'node:path';
import { expect, it } from 'vitest';
import { browserPage } from '../support/browser.js';
import { holdingPlace, receiver, sendHook } from '../support/hold.js';
import { temporaryFolder } from '../support/world.js';

/** Held requests on the inspector's page, in a real browser. PORTAL_SCREENSHOTS=FOLDER saves screenshots. */

it('shows what waits, and links each delivery to the request that was held', async (context) => {
  const page = await browserPage(context, { viewport: { width: 1280, height: 800 } });
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  const here = await holdingPlace();
  const target = await receiver();
  const inspect = { mask: [] };
  const historyDir = await temporaryFolder();
  const one = await here.start(target.port, { inspect }, { inspector: true, historyDir });
  for (const path of ['/first', '/second'])
    expect((await sendHook(here, one, path, { path })).status).toBe(202);
  const shoot = async (name: string): Promise<void> => {
    const folder = process.env['PORTAL_SCREENSHOTS'];
    if (folder) await page.screenshot({ path: join(folder, `hold-${name}.png`) });
  };

  await page.goto((await one.event('inspector')).url);
  const rows = page.locator('.rows .path');
  await expect.poll(() => rows.allTextContents()).toEqual(['held/second', 'held/first']);
  await page.getByText('2 requests are held').waitFor();
  await shoot('waiting');
  await target.up();
  await one.event('delivered', ({ waiting }) => waiting === 0);
  await expect
    .poll(() => rows.allTextContents())
    .toEqual(['⇥ /second', '⇥ /first', 'held/second', 'held/first']);
  await page.getByText('2 requests are held').waitFor({ state: 'detached' });
  await rows.nth(1).click();
  await page.getByRole('tab', { name: 'Overview' }).click();
  await page.getByRole('button', { name: /^held request/ }).waitFor();
  await shoot('delivered');
  await page.getByRole('button', { name: /^held request/ }).click();
  await page.getByText('Portal responded, not hooks: Request held.').waitFor();
  await shoot('held');
  expect(complaints).toEqual([]);
});
