import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync, gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { expect, it, onTestFinished, type TestContext } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import { startInspector } from '../../src/agent/inspect/server.js';
import { RequestStore } from '../../src/agent/inspect/store.js';
import { overflows, violationsIn } from '../support/accessible.js';
import { browserPage } from '../support/browser.js';
import { ask, connectTo, edge, type Edge } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';
import { log } from '../support/log.js';
import { httpService, WEB_DIR } from '../support/world.js';

/** The inspector's page in a real browser. PORTAL_SCREENSHOTS=FOLDER saves screenshots. */

interface Opened {
  readonly page: Page;
  readonly at: Edge;
  readonly store: RequestStore;
  /** Errors of the page. */
  readonly complaints: string[];
}

const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>';

async function open(context: TestContext, store = new RequestStore(), target?: number): Promise<Opened> {
  const page = await browserPage(context, { viewport: { width: 1280, height: 800 } });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  const { port } = await httpService((request, response) => {
    const { pathname } = new URL(request.url!, 'http://target');
    if (pathname === '/picture') response.setHeader('Content-Type', 'image/png').end(png());
    else if (pathname === '/hostile') response.setHeader('Content-Type', 'text/html').end(HOSTILE);
    else if (pathname === '/fails') response.writeHead(503).end('not now');
    else if (pathname === '/json')
      response
        .writeHead(200, {
          'Content-Type': 'application/json',
          'Content-Encoding': 'gzip',
          'Set-Cookie': 'id=s3cr3t',
        })
        .end(gzipSync('{"name":"Ada","tags":["a","b"]}'));
    else request.pipe(response);
  });
  const recorders = new Recorders(store);
  const at = await edge({ '/': target ?? port }, { recorders });
  const since = new Date().toISOString();
  const lease = { since, retries: 0, visitors: 1, bytesIn: 2_048, bytesOut: 10_240, target: String(port) };
  const inspector = await startInspector({
    recorders,
    webDir: WEB_DIR,
    port: 0,
    snapshot: () => ({
      leases: [
        {
          ...lease,
          service: 'app',
          mode: 'http',
          servedAs: 'http',
          relay: 'https://relay.example',
          phase: 'ready',
          url: 'https://app.relay.example',
        },
      ],
      relays: [{ relay: 'https://relay.example', state: 'connected', since, rttMs: 12 }],
    }),
    log,
  });
  onTestFinished(() => inspector.close());
  await page.goto(inspector.url);
  await page.getByText('live', { exact: true }).waitFor();
  return { page, at, store, complaints };
}

it('shows requests as they arrive, with all details', async (context) => {
  const { page, at, store, complaints } = await open(context);
  expect(new URL(page.url()).hash).toBe('');
  await page.getByText('No request yet').waitFor();
  const services = page.getByRole('region', { name: 'Services' });
  expect(await services.textContent()).toContain('appreadyhttps://app.relay.example');

  await ask(at, '/json?q=a%20b', { headers: { Authorization: 'Bearer s3cr3t', 'X-Note': HOSTILE } });
  await ask(at, '/fails');
  await ask(at, '/hostile');
  await ask(at, '/picture');
  await ask(at, '/form', {
    method: 'POST',
    body: 'name=Ada+L&x=1',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  const rows = page.getByRole('row');
  await rows.nth(5).waitFor();

  await page.getByRole('row', { name: '/json' }).click();
  const panel = page.getByRole('tabpanel');
  await page.getByText('"name": "Ada"').waitFor();
  expect(await panel.textContent()).toContain('gzip decoded');
  await shoot(page, 'bodies');
  await page.getByRole('button', { name: 'Bytes' }).click();
  await page.getByText('00000000  7b 22').waitFor();
  await page.getByRole('tab', { name: 'Overview' }).click();
  await page.getByRole('heading', { name: 'Timing' }).waitFor();
  await shoot(page, 'overview');
  await page.getByRole('tab', { name: 'Headers' }).click();
  expect(await page.getByRole('table', { name: 'Query' }).textContent()).toBe('qa b');
  expect(await panel.textContent()).toContain('Bearer ••••••');
  expect(await page.content()).not.toContain('s3cr3t');
  await page.getByRole('button', { name: 'Reveal secrets' }).click();
  await page.getByText('Bearer s3cr3t').waitFor();

  await page.getByRole('row', { name: '/picture' }).click();
  const picture = page.getByRole('img');
  await expect
    .poll(() => picture.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth))
    .toBe(2);

  await page.getByRole('row', { name: '/form' }).click();
  await page.getByRole('table', { name: 'Form' }).waitFor();
  expect(await page.getByRole('table', { name: 'Form' }).textContent()).toBe('nameAda Lx1');

  // The page shows recorded data as text only.
  await page.getByRole('row', { name: '/hostile' }).click();
  await page.getByText(HOSTILE).waitFor();
  expect(await page.title()).toBe('Portal inspector');
  expect(store.size).toBe(5);
  expect(complaints).toEqual([]);
});

it('filters, works by keyboard, copies as curl and replays', async (context) => {
  const { page, at, store, complaints } = await open(context);
  for (let i = 0; i < 5; i++) await ask(at, `/item/${i}`, { headers: { Cookie: 'sid=s3cr3t' } });
  await ask(at, '/fails');
  await page.getByRole('row').nth(6).waitFor();
  const paths = async (): Promise<(string | null)[]> =>
    page.locator('.rows .path').evaluateAll((cells) => cells.map(({ textContent }) => textContent));

  await page.getByLabel('Status', { exact: true }).selectOption('5xx');
  await expect.poll(paths).toEqual(['/fails']);
  await page.getByLabel('Status', { exact: true }).selectOption('any status');
  await page.getByRole('searchbox').fill('ITEM/3 get');
  await expect.poll(paths).toEqual(['/item/3']);
  expect(await page.getByText('1 of 6 requests').count()).toBe(1);
  await page.getByRole('searchbox').fill('');

  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  const isSearching = (): Promise<boolean> =>
    page.getByRole('searchbox').evaluate((element) => element.matches(':focus'));
  await expect.poll(isSearching).toBe(true);
  await page.keyboard.press('Escape');
  await expect.poll(isSearching).toBe(false);
  await page.keyboard.press('j');
  await page.getByRole('heading', { name: '/fails' }).waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.getByRole('heading', { name: '/item/3' }).waitFor();
  await page.keyboard.press('k');
  await page.getByRole('heading', { name: '/item/4' }).waitFor();
  expect(await page.locator('[aria-selected=true][role=row]').textContent()).toContain('/item/4');

  await page.getByRole('button', { name: 'Copy as curl' }).click();
  await page.getByText('copied, with its secrets masked').waitFor();
  const copied = await page.evaluate<string>('navigator.clipboard.readText()');
  expect(copied).toContain(`https://${at.host}/item/4`);
  expect(copied).not.toContain('s3cr3t');
  for (const [name, part] of [
    ['fetch', '["Cookie", "sid='],
    ['HTTPie', "'Cookie:sid="],
  ] as const) {
    await page.getByRole('button', { name: `Copy as ${name}` }).click();
    await expect.poll(() => page.evaluate<string>('navigator.clipboard.readText()')).toContain(part);
    expect(await page.evaluate<string>('navigator.clipboard.readText()')).not.toContain('s3cr3t');
  }

  await page.keyboard.press('r');
  await page.getByRole('tab', { name: 'Overview' }).click();
  await page.getByText('request 5', { exact: true }).waitFor();
  expect((await settled(store, 7)).requestHeaders).toContain('sid=s3cr3t');
  expect(complaints).toEqual([]);
});

it('replays with changes and secrets that the page does not have, and compares', async (context) => {
  const { page, at, store, complaints } = await open(context);
  const headers = { Authorization: 'Bearer s3cr3t', 'X-Drop': '1' };
  await ask(at, '/echo', { method: 'POST', body: 'one\ntwo\nthree', headers });
  await page.getByRole('row', { name: '/echo' }).click();
  await page.getByRole('button', { name: 'Compare' }).click();
  await page.getByRole('button', { name: 'Edit and replay' }).click();
  const form = page.getByRole('form', { name: 'Edit and replay' });
  expect(await form.getByLabel('Value of Authorization').inputValue()).toBe('as recorded');
  await form.getByLabel('Path and query').fill('/echo?again');
  await form.getByLabel('Remove X-Drop').click();
  await form.getByRole('button', { name: 'Add a header' }).click();
  await form.getByLabel('Name of the header').last().fill('X-Added');
  await form.getByLabel('Value of X-Added').fill('yes');
  await expect.poll(() => form.getByLabel('Body').inputValue()).toBe('one\ntwo\nthree');
  await form.getByLabel('Body').fill('one\n2\nthree');
  await shoot(page, 'edit');
  await form.getByRole('button', { name: 'Send' }).click();
  const replayed = await settled(store, 2);
  expect(replayed).toMatchObject({ target: '/echo?again', replayOf: 1, status: 200 });
  expect(replayed.requestHeaders).toContain('Bearer s3cr3t');
  expect(replayed.requestHeaders).toContain('X-Added');
  expect(replayed.requestHeaders).not.toContain('X-Drop');
  expect(replayed.responseBody.kept().toString()).toBe('one\n2\nthree');

  await page.getByRole('tab', { name: 'Compare' }).waitFor();
  const differences = page.getByRole('table', { name: 'Request headers' });
  await differences.waitFor();
  expect(await differences.textContent()).toContain('x-drop1—');
  await page.getByText('− two').first().waitFor();
  expect(await page.getByText('+ 2').count()).toBe(2);
  await shoot(page, 'compare');

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export HAR' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('portal.har');
  const archive = JSON.parse(await readFile(await download.path(), 'utf8')) as { log: { entries: object[] } };
  expect(archive.log.entries).toHaveLength(2);
  expect(complaints).toEqual([]);
});

it('shows the messages of a WebSocket live', async (context) => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(sockets, 'listening');
  onTestFinished(() => sockets.close());
  const arrived = once(sockets, 'connection');
  const target = (sockets.address() as { port: number }).port;
  const { page, at, complaints } = await open(context, new RequestStore(), target);
  const visitor = await connectTo(at);
  visitor.write(
    `GET /live HTTP/1.1\r\nHost: ${at.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  const [socket] = (await arrived) as [WebSocket];
  await page.getByRole('row', { name: '/live' }).click();
  await page.getByRole('tab', { name: 'Messages' }).click();
  await page.getByText('no message yet').waitFor();
  socket.send('{"price":1}');
  await page.getByText('"price": 1').waitFor();
  // `hi`, masked with zeros.
  visitor.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
  await page.getByText('hi', { exact: true }).waitFor();
  const shown = page.getByRole('list', { name: 'Messages, latest first' }).getByRole('listitem');
  expect(await shown.first().textContent()).toMatch(/visitor.*text, 2 Bhi$/);
  await shoot(page, 'messages');
  visitor.destroy();
  await page.getByRole('row', { name: '/live' }).getByText('101', { exact: true }).waitFor();
  expect(complaints).toEqual([]);
});

it('stays fast with 10,000 requests', async (context) => {
  const store = new RequestStore({ requestsPerSecond: 1_000_000 });
  const { page, at } = await open(context, store);
  await ask(at, '/first');
  const one = await settled(store, 1);
  for (let i = 2; i <= 10_500; i++) store.add({ ...one, id: store.nextId(), target: `/item/${i}` });
  await page.getByText('10000 requests').waitFor();
  expect(await page.getByRole('row').count()).toBeLessThan(80);
  await page.getByRole('grid').focus();
  await page.keyboard.press('End');
  await page.getByRole('heading', { name: '/item/501' }).waitFor();
  expect(await page.getByRole('row').count()).toBeLessThan(80);
  await page.getByRole('searchbox').fill('/item/777');
  await page.getByText('11 of 10000 requests').waitFor();
});

it('is readable in light and dark, and reports an outdated token', async (context) => {
  const { page, at } = await open(context);
  await ask(at, '/json');
  await ask(at, '/fails');
  await page.getByRole('row', { name: '/fails' }).click();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const selector of ['.row .time', '.badge.s2', '.badge.s5', '.quiet', '.link.live', 'dt'])
      expect(await contrast(page, selector), `${selector} in ${colorScheme}`).toBeGreaterThanOrEqual(4.5);
    await shoot(page, colorScheme);
  }
  await page.goto(`${page.url()}#wrong`);
  await page.reload();
  await page.getByText('This page belongs to another run of the agent').waitFor();
});

it('is accessible: the list and a request, wide and narrow, light and dark, and by keyboard', async (context) => {
  const { page, at, store } = await open(context);
  await ask(at, '/json?q=1', { headers: { Authorization: 'Bearer s3cr3t' } });
  await ask(at, '/upload', { method: 'POST', body: UPLOAD, headers: { 'Content-Type': UPLOAD_TYPE } });
  const down = { code: 'target_down', title: 'app is not running' };
  for (const reload of [false, true, true])
    store.add({
      ...store.get(1)!,
      id: store.nextId(),
      target: '/down',
      status: 503,
      portal: down,
      ...(reload && { reload }),
    });
  await page.getByRole('row', { name: /×3.*\/down/ }).waitFor();
  expect(await page.getByRole('row').count()).toBe(4);
  for (const [width, colorScheme, tab] of [
    [1_280, 'light', 'Headers'],
    [800, 'dark', 'Overview'],
    [390, 'light', 'Headers'],
    [390, 'dark', 'Bodies'],
  ] as const) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.keyboard.press('Escape');
    await page.getByRole('row', { name: '/upload' }).click();
    await page.getByRole('tab', { name: 'Bodies' }).click();
    await page.getByRole('table', { name: 'Form' }).waitFor();
    expect(await page.getByRole('table', { name: 'Form' }).textContent()).toBe(
      'titleHoliday7 Bphotofile fjord.jpgimage/jpeg, 4 B',
    );
    const isAlone = width < 960;
    expect(await page.getByRole('grid').isVisible()).toBe(!isAlone);
    await page.getByRole('tab', { name: tab }).click();
    const shown = `${tab} in ${colorScheme} at ${width} px`;
    expect(await violationsIn(page), `violations in ${shown}`).toEqual([]);
    expect(await overflows(page), `width of ${shown}`).toBe(false);
    expect(await tooSmall(page), `buttons of ${shown}`).toEqual([]);
    await shoot(page, `${tab}-${width}-${colorScheme}`);
    if (!isAlone) continue;
    await page.getByRole('button', { name: '← Requests' }).click();
    await page.getByRole('grid').waitFor();
    expect(await overflows(page), `the list at ${width} px`).toBe(false);
    expect(await tooSmall(page), `the list at ${width} px`).toEqual([]);
  }
  expect(await violationsIn(page), 'the list').toEqual([]);
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  expect(await violationsIn(page), 'the keys').toEqual([]);
}, 180_000);

it('is small', async () => {
  const html = await readFile(join(WEB_DIR, 'index.html'), 'utf8');
  const files = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  const bytes = await Promise.all(files.map((file) => readFile(join(WEB_DIR, file))));
  expect(bytes.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(100_000);
});

const UPLOAD_TYPE = 'multipart/form-data; boundary=XX';
const UPLOAD = Buffer.from(
  '--XX\r\nContent-Disposition: form-data; name="title"\r\n\r\nHoliday\r\n' +
    '--XX\r\nContent-Disposition: form-data; name="photo"; filename="fjord.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' +
    '\xff\xd8\xff\xe0\r\n--XX--\r\n',
  'latin1',
);

/** Controls that people touch in a narrow window, and that are less than 40 px high. */
const tooSmall = (page: Page): Promise<string[]> =>
  page.evaluate<
    string[]
  >(`innerWidth > 640 ? [] : [...document.querySelectorAll('button:not(.plain), input, select, .row:not(.head)')]
    .filter((each) => each.offsetHeight > 0 && each.offsetHeight < 40)
    .map((each) => each.outerHTML)`);

/** Contrast of text with its background (WCAG 2), computed in the page. */
const CONTRAST = `(element) => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while (/, 0\\)$|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const one = luminance(getComputedStyle(element).color);
  const other = luminance(getComputedStyle(behind).backgroundColor);
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}`;

function contrast(page: Page, selector: string): Promise<number> {
  const quoted = JSON.stringify(selector);
  return page.evaluate<number>(`(${CONTRAST})(document.querySelector(${quoted}))`);
}

async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['PORTAL_SCREENSHOTS'];
  if (folder) await page.screenshot({ path: join(folder, `inspector-${name}.png`) });
}

/** A PNG of 2 by 2 pixels. */
function png(): Buffer {
  const head = Buffer.from([0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0]);
  const pixels = deflateSync(Buffer.from([0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255, 255, 255, 0]));
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', head),
    pngChunk('IDAT', pixels),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const around = Buffer.alloc(8);
  around.writeUInt32BE(data.length, 0);
  around.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)]);
}
