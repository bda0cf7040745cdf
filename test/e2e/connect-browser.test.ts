import { expect, it, onTestFinished } from 'vitest';
import type { Mode } from '../../src/agent/spec.js';
import { PlaceConnector } from '../../src/cli/connect/connection.js';
import { forward } from '../../src/cli/connect/forward.js';
import { browserPage } from '../support/browser.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';

/** What web pages reach through the local port of `portal connect`, in a real browser. */

/** The local port of a private web app, and the requests that the app gets. */
async function connected(mode: Mode, pin?: string): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = [];
  const app = await httpService((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    // The forms of this page have the origin `null`.
    response.setHeader('Referrer-Policy', 'no-referrer').setHeader('Content-Type', 'text/html');
    response.end('<title>the app</title><form method="post" action="/form"><button>Send</button></form>');
  });
  const at = await relay();
  const one = await agent();
  const access = { identities: [], ...(pin !== undefined && { pin }) };
  await one.runner.apply(desired([at.spec], service('app', app.port, { mode, access })));
  await one.event('lease', ({ phase }) => phase === 'ready');
  const hostname = 'app.localhost';
  const place = { service: 'app', hostname, doors: [{ hostname, host: '127.0.0.1', port: at.port }] };
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const port = await forward(new PlaceConnector(place, one.identity, { address: undefined }), {
    port: undefined,
    onFailed: (error) => seen.push(error.message),
    signal: ending.signal,
  });
  return { port, seen };
}

/** A page that sends what pages can send without permission, and then changes its title. */
const attack = (port: number): string => `<body><script>
  const at = 'http://localhost:${port}'
  const done = (one, ...events) => new Promise((resolve) => { for (const event of events) one.addEventListener(event, resolve) })
  const frame = (name) => document.body.appendChild(Object.assign(document.createElement('iframe'), { name }))
  const image = new Image(), socket = new WebSocket('ws://localhost:${port}/socket')
  const waits = [done(image, 'load', 'error'), done(socket, 'close')]
  image.src = at + '/image'
  waits.push(fetch(at + '/post', { method: 'POST', mode: 'no-cors', body: 'x' }).catch(() => {}))
  waits.push(fetch(at + '/put', { method: 'PUT' }).catch(() => {}))
  const shown = frame('shown'), posted = frame('posted')
  shown.src = at + '/frame'
  const form = Object.assign(document.createElement('form'), { method: 'post', action: at + '/form', target: 'posted' })
  document.body.append(form)
  form.submit()
  waits.push(done(shown, 'load'), done(posted, 'load'))
  Promise.all(waits).then(() => (document.title = 'sent'))
</script>`;

it('keeps the pages of other sites from a web app, and not its own pages', async (context) => {
  const page = await browserPage(context);
  const { port: evil } = await httpService((request, response) => {
    response.setHeader('Content-Type', 'text/html').end(attack(Number(request.url!.slice(1))));
  });
  const [app, unread] = [await connected('http'), await connected('stream')];
  for (const { port } of [app, unread]) {
    await page.goto(`http://evil.localhost:${evil}/${port}`);
    await page.waitForFunction("document.title === 'sent'");
  }
  expect(app.seen).toEqual([]);
  // In mode stream, the agent reads no requests: this is what the page has sent.
  expect(unread.seen.toSorted()).toEqual([
    'GET /frame',
    'GET /image',
    'GET /socket',
    'OPTIONS /put',
    'POST /form',
    'POST /post',
  ]);

  await page.goto(`http://localhost:${app.port}/`);
  expect(await page.title()).toBe('the app');
  await page.getByRole('button').click();
  await page.waitForURL('**/form');
  expect(await page.evaluate("fetch('/own', { method: 'POST' }).then(({ status }) => status)")).toBe(200);
  expect(app.seen.filter((each) => !each.endsWith('/favicon.ico'))).toEqual([
    'GET /',
    'POST /form',
    'POST /own',
  ]);
});

it('asks for the PIN through the local port as well', async (context) => {
  const page = await browserPage(context);
  const { port, seen } = await connected('http', '2580-1379');
  await page.goto(`http://localhost:${port}/`);
  expect(seen).toEqual([]);
  await page.getByLabel('PIN').fill('2580-1379');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForFunction("document.title === 'the app'");
});
