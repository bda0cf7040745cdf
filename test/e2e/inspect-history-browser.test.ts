import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, it, onTestFinished, type TestContext } from 'vitest';
import type { HistoryLimits } from '../../src/agent/inspect/history/limits.js';
import type { RequestHistory } from '../../src/agent/inspect/history/history.js';
import { firstOfRun } from '../../src/agent/inspect/history/ids.js';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import { startInspector } from '../../src/agent/inspect/server.js';
import { browserPage } from '../support/browser.js';
import { ask, edge, type Edge } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';
import { log } from '../support/log.js';
import { fill, historyPlace, type Place } from '../support/recordings.js';
import { httpService, WEB_DIR } from '../support/world.js';

/** How the inspector's page shows earlier runs, in a real browser. PORTAL_SCREENSHOTS=FOLDER saves screenshots. */

interface Run {
  readonly at: Edge;
  readonly recorders: Recorders;
  readonly history: RequestHistory;
}

async function run(place: Place, port: number, limits: Partial<HistoryLimits> = {}): Promise<Run> {
  const recorders = new Recorders();
  const history = await place.open({ limits });
  recorders.history = history;
  return { at: await edge({ '/': port }, { recorders }), recorders, history };
}

async function open(context: TestContext, { recorders }: Run): Promise<{ page: Page; complaints: string[] }> {
  const page = await browserPage(context, { viewport: { width: 1280, height: 800 } });
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  const inspector = await startInspector({ recorders, webDir: WEB_DIR, port: 0, snapshot, log });
  onTestFinished(() => inspector.close());
  await page.goto(inspector.url);
  await page.getByText('live', { exact: true }).waitFor();
  return { page, complaints };
}

const paths = (page: Page): Promise<(string | null)[]> =>
  page.locator('.rows .path').evaluateAll((cells) => cells.map(({ textContent }) => textContent));

async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['PORTAL_SCREENSHOTS'];
  if (folder) await page.screenshot({ path: join(folder, `history-${name}.png`) });
}

const snapshot = () => ({ leases: [], relays: [] });

it('shows requests of earlier runs like those of this one, and removes them', async (context) => {
  const { port } = await httpService((request, response) => {
    response.statusCode = request.url === '/fails' ? 503 : 200;
    request.pipe(response.setHeader('Content-Type', 'text/plain'));
  });
  const place = await historyPlace();
  const first = await run(place, port);
  const headers = { Authorization: 'Bearer s3cr3t' };
  await ask(first.at, '/one', { method: 'POST', body: 'one\ntwo', headers });
  await ask(first.at, '/fails');
  await settled(first.recorders.store, firstOfRun(1) + 2);
  await first.recorders.endHistory();

  const second = await run(place, port);
  const { page, complaints } = await open(context, second);
  await expect.poll(() => paths(page)).toEqual(['/fails', '/one']);
  await page.getByRole('row', { name: '/one' }).click();
  await page.getByText('one\ntwo').first().waitFor();
  await page.getByRole('tab', { name: 'Headers' }).click();
  await page.getByText('Bearer ••••••').waitFor();
  await page.getByRole('tab', { name: 'Overview' }).click();
  await page.getByText('1-1, from an earlier run').waitFor();
  await page.getByRole('button', { name: 'Compare' }).click();

  await page.getByRole('button', { name: 'Replay', exact: true }).click();
  await page.getByRole('tab', { name: 'Compare' }).waitFor();
  await page.getByText('Request 1-1 beside request 2-1').waitFor();
  const replayed = await settled(second.recorders.store, firstOfRun(2) + 1);
  expect(replayed.requestHeaders).toContain('Bearer s3cr3t');
  expect(replayed.responseBody.kept().toString()).toBe('one\ntwo');
  await expect.poll(() => paths(page)).toEqual(['↻ /one', '/fails', '/one']);

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export HAR' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('portal.har');
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await shoot(page, colorScheme);
  }

  // The search covers both.
  await page.getByLabel('Status', { exact: true }).selectOption('5xx');
  await expect.poll(() => paths(page)).toEqual(['/fails']);
  await page.getByLabel('Status', { exact: true }).selectOption('any status');
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByRole('button', { name: 'Delete all, earlier runs too' }).click();
  await page.getByText('No request yet').waitFor();
  expect((await place.search()).rows).toEqual([]);
  await ask(second.at, '/after');
  await expect.poll(() => paths(page)).toEqual(['/after']);
  expect(complaints).toEqual([]);
});

it('shows as many as requested, and removes those wiped elsewhere', async (context) => {
  const { port } = await httpService((_request, response) => response.end());
  const place = await historyPlace();
  const before = await place.open();
  await fill(before, 1, 25, (n) => ({ startedAt: place.now - 60_000 + n * 1_000 }));
  await before.close();
  const now = await run(place, port, { maxEarlier: 10 });
  const { page, complaints } = await open(context, now);
  const shown = async (): Promise<number> => (await paths(page)).length;
  await expect.poll(shown).toBe(10);
  expect((await paths(page))[0]).toBe('/item/25');
  await page.getByRole('button', { name: 'Show earlier requests' }).click();
  await expect.poll(shown).toBe(20);
  await shoot(page, 'more');
  await page.getByRole('button', { name: 'Show earlier requests' }).click();
  await expect.poll(shown).toBe(25);
  expect(await page.getByRole('button', { name: 'Show earlier requests' }).count()).toBe(0);
  await now.recorders.wipe();
  await page.getByText('No request yet').waitFor();
  expect(complaints).toEqual([]);
});
