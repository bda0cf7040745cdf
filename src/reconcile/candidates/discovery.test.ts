import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { UrlRelay } from '../../agent/spec.js';
import { openLocalCa } from '../../certificates/local-ca.js';
import { generateIdentity } from '../../identity/keys.js';
import { silent } from '../../lib/logger.js';
import { deferred } from '../../lib/wait.js';
import { signDescriptor } from '../../protocol/descriptor.js';
import { PROTOCOL_VERSION } from '../../protocol/limits.js';
import { Discovery } from './discovery.js';

const EVERY_MS = 1_000;

/** A relay that announces the current `urls`. */
async function announcer(urls: string[]): Promise<UrlRelay> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-discovery-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const ca = await openLocalCa(folder);
  const server = createServer(await ca.issue(['localhost']), (_request, response) => {
    response.end(JSON.stringify({ relays: urls.map(descriptor) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { kind: 'url', url: `https://localhost:${port}`, caFile: ca.certificateFile };
}

function descriptor(url: string): object {
  const identity = generateIdentity();
  const now = Date.now();
  return signDescriptor(identity, {
    url,
    protocols: [PROTOCOL_VERSION],
    capabilities: ['stream'],
    carriers: ['raw'],
    limits: {},
    issuedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + 60_000).toISOString(),
  });
}

function discovery(): { discovery: Discovery; ask: (relay: UrlRelay) => Promise<void>; pass: () => void } {
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  let now = 0;
  let answered = deferred<void>();
  const made = new Discovery({
    everyMs: EVERY_MS,
    onChange: () => answered.resolve(),
    log: silent,
    signal: abort.signal,
  });
  const pass = (): void => void (now += 2 * EVERY_MS);
  const ask = async (relay: UrlRelay): Promise<void> => {
    pass();
    answered = deferred();
    made.tick([relay], now);
    await answered.promise;
  };
  return { discovery: made, ask, pass };
}

const urls = (relays: readonly UrlRelay[]): string[] => relays.map(({ url }) => url);

it('keeps the last announcement of a relay that is disconnected, and forgets it once that relay is unknown', async () => {
  const { discovery: found, ask, pass } = discovery();
  const one = await announcer(['https://b.example', 'https://c.example']);
  await ask(one);
  pass();
  found.tick([], 10 * EVERY_MS);
  expect(urls(found.from([one.url]))).toEqual(['https://b.example', 'https://c.example']);
  expect(urls(found.from([]))).toEqual([]);
  expect(urls(found.from([one.url]))).toEqual([]);
});

it('follows announcements of announced relays', async () => {
  const { discovery: found, ask } = discovery();
  const far = await announcer(['https://d.example']);
  const near = await announcer([far.url, 'https://b.example']);
  await ask(near);
  await ask(far);
  expect(urls(found.from([near.url]))).toEqual([far.url, 'https://b.example', 'https://d.example']);
  expect(urls(found.from([far.url]))).toEqual(['https://d.example']);
});

it('forgets a relay after three responses without it, because a new relay knows no others yet', async () => {
  const { discovery: found, ask } = discovery();
  const list = ['https://b.example'];
  const one = await announcer(list);
  await ask(one);
  list.length = 0;
  await ask(one);
  await ask(one);
  expect(urls(found.from([one.url]))).toEqual(['https://b.example']);
  list.push('https://b.example');
  await ask(one);
  list.length = 0;
  await ask(one);
  await ask(one);
  expect(urls(found.from([one.url]))).toEqual(['https://b.example']);
  await ask(one);
  expect(urls(found.from([one.url]))).toEqual([]);
});
