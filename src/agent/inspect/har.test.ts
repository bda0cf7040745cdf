import { expect, it } from 'vitest';
import { harEntry } from './har.js';
import { CapturedBody, type Recording } from './recording.js';
import { detailsOf } from './view.js';

const none = CapturedBody.of(Buffer.alloc(0), 0, undefined);

const redirect: Recording = {
  id: 1,
  service: 'web',
  startedAt: 1,
  startedMs: 1,
  method: 'GET',
  target: '/',
  authority: 'web.localhost',
  hostname: 'web.localhost',
  remote: '192.0.2.1',
  version: '1.1',
  requestHeaders: [],
  requestBody: none,
  requestTrailers: [],
  upgrade: undefined,
  replayOf: undefined,
  outcome: 'done',
  status: 302,
  responseHeaders: ['Location', '/?code=secret'],
  responseBody: none,
  responseTrailers: [],
};

async function entryWith(bytes: Buffer, cut?: 'long'): Promise<object> {
  const answered = { ...redirect, responseBody: CapturedBody.of(bytes, bytes.length, cut) };
  const details = detailsOf(answered, { reveal: false, noReplay: undefined });
  return harEntry(answered, details, 1024);
}

it('a HAR contains a body as text only if the text preserves every byte', async () => {
  const half = Buffer.from('aä').subarray(0, 2);
  expect(await entryWith(half)).toMatchObject({
    response: { content: { text: half.toString('base64'), encoding: 'base64' } },
  });
  expect(await entryWith(half, 'long')).toMatchObject({ response: { content: { text: 'a' } } });
  expect(await entryWith(Buffer.from('\ufeffa'))).toMatchObject({
    response: { content: { text: '\ufeffa' } },
  });
});

async function redirectUrl(mask: readonly string[]): Promise<unknown> {
  const details = detailsOf(redirect, { reveal: false, noReplay: undefined, mask: new Set(mask) });
  const { response } = (await harEntry(redirect, details, 1024)) as { response: { redirectURL: string } };
  return response.redirectURL;
}

it('a HAR shows the target of a redirect, unless that field is masked', async () => {
  expect(await redirectUrl([])).toBe('/?code=secret');
  expect(await redirectUrl(['location'])).not.toContain('secret');
});
