import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { connectProxy } from '../../../test/support/connect-proxy.js';
import { rejectingCa } from '../../../test/support/fake-ca.js';
import { parseProxy } from '../../net/proxy/server.js';
import { exchange } from './transport.js';

async function directoryThrough(proxyUrl: string) {
  const { spec } = await rejectingCa(() => ({ status: 400, type: 'malformed', detail: '' }));
  const wire = {
    signal: new AbortController().signal,
    trust: await readFile(spec.caFile!, 'utf8'),
    proxyFor: () => parseProxy(proxyUrl, 'HTTPS_PROXY'),
  };
  return { spec, answer: exchange(wire, { url: spec.directory, method: 'GET' }) };
}

describe('a CA behind a proxy', () => {
  it('is reached through it', async () => {
    const proxy = await connectProxy();
    const { spec, answer } = await directoryThrough(proxy.url);
    expect((await answer).status).toBe(200);
    expect(proxy.requested).toEqual([new URL(spec.directory).host]);
  });

  it('is distinguished from a proxy that requires credentials or is unreachable', async () => {
    const proxy = await connectProxy(() => 407);
    await expect((await directoryThrough(proxy.url)).answer).rejects.toMatchObject({
      code: 'proxy_credentials',
    });
    await expect((await directoryThrough('http://127.0.0.1:1')).answer).rejects.toMatchObject({
      code: 'acme_unreachable',
      message: expect.stringMatching(
        /the proxy 127\.0\.0\.1:1 is unreachable: it refused the connection \(ECONNREFUSED\)$/,
      ) as string,
    });
  });
});

it('names a CA on port 443 without its port, so the URLs that the CA builds from Host lead there', async () => {
  const { spec, hosts } = await rejectingCa(() => ({ status: 400, type: 'malformed', detail: '' }));
  const proxy = await connectProxy(undefined, () => Number(new URL(spec.directory).port));
  const wire = {
    signal: new AbortController().signal,
    trust: await readFile(spec.caFile!, 'utf8'),
    proxyFor: () => parseProxy(proxy.url, 'HTTPS_PROXY'),
  };
  expect((await exchange(wire, { url: 'https://localhost/dir', method: 'GET' })).status).toBe(200);
  expect(proxy.requested).toEqual(['localhost:443']);
  expect(hosts).toEqual(['localhost']);
});

it.each([
  ['no CA file', undefined, /acme: \{ ca \}.*--acme-ca/],
  ['the file of another CA', 'other', /Replace the file/],
])('says that the CA is not trusted, with %s', async (_case, trust, hint) => {
  const { spec } = await rejectingCa(() => ({ status: 400, type: 'malformed', detail: '' }));
  const other = await rejectingCa(() => ({ status: 400, type: 'malformed', detail: '' }));
  const wire = {
    signal: new AbortController().signal,
    ...(trust !== undefined && { trust: await readFile(other.spec.caFile!, 'utf8') }),
  };
  await expect(exchange(wire, { url: spec.directory, method: 'GET' })).rejects.toMatchObject({
    code: 'acme_unreachable',
    message: expect.stringMatching(/^the certificate of the CA at localhost:\d+ is not trusted: /) as string,
    hint: expect.stringMatching(hint) as string,
  });
});
