import { createHash, createPublicKey, generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../local-ca.js';
import { AcmeClient } from './client.js';
import type { Wire } from './transport.js';

interface Asked {
  readonly path: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: unknown;
  readonly isSigned: boolean;
}

type Reply = { status: number; body: object; location?: string };

/** A CA with prepared responses, one for each signed request. Records the requests. */
async function fakeCa(key: KeyObject, replies: Reply[], directory: object = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const ca = await openLocalCa(folder);
  const asked: Asked[] = [];
  let nonces = 0;
  const server: Server = createServer(await ca.issue(['127.0.0.1']), (request, response) => {
    response.setHeader('replay-nonce', `nonce-${++nonces}`);
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    if (request.method === 'HEAD') return void response.end();
    if (request.method === 'GET') {
      const paths = { newNonce: '/nonce', newAccount: '/account', newOrder: '/order' };
      const urls = Object.entries(paths).map(([name, path]) => [name, `${url}${path}`] as const);
      return void response.end(JSON.stringify({ ...Object.fromEntries(urls), ...directory }));
    }
    const answer = async (): Promise<void> => {
      const body = await text(request);
      asked.push({ path: request.url!, ...opened(body, key) });
      const { status, body: said, location } = replies.shift()!;
      if (location !== undefined) response.setHeader('location', `${url}${location}`);
      response.writeHead(status).end(JSON.stringify(said));
    };
    return void answer();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const wire: Wire = {
    signal: AbortSignal.timeout(20_000),
    trust: await readFile(ca.certificateFile, 'utf8'),
  };
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { wire, url, asked, connect: () => AcmeClient.connect(wire, `${url}/directory`, key) };
}

function opened(body: string, key: KeyObject): Omit<Asked, 'path'> {
  const jws = JSON.parse(body) as { protected: string; payload: string; signature: string };
  const signed = Buffer.from(`${jws.protected}.${jws.payload}`);
  const by = { key: createPublicKey(key), dsaEncoding: 'ieee-p1363' } as const;
  return {
    header: decode(jws.protected) as Record<string, unknown>,
    payload: jws.payload === '' ? undefined : decode(jws.payload),
    isSigned: verify('sha256', signed, by, Buffer.from(jws.signature, 'base64url')),
  };
}

const decode = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());

const p256 = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const badNonce = { status: 400, body: { type: 'urn:ietf:params:acme:error:badNonce' } };
const order = { status: 'pending', authorizations: [], finalize: 'https://ca.test/finalize' };

it.each<[string, object]>([
  ['URLs that are not text', { ...order, authorizations: [42] }],
  ['URLs of another scheme', { ...order, authorizations: ['http://ca.test/1'] }],
  ['a certificate that is not text', { ...order, certificate: {} }],
  ['nowhere to finalize', { ...order, finalize: null }],
])('an order with %s is malformed', async (_name, body) => {
  const ca = await fakeCa(p256(), [{ status: 201, body, location: '/order/1' }]);
  await expect((await ca.connect()).newOrder('shop.test')).rejects.toMatchObject({
    code: 'acme_rejected',
    message: 'the CA does not follow ACME: an order is malformed',
  });
});

it('ignores malformed challenges of an authorization', async () => {
  const good = { type: 'tls-alpn-01', token: 'x', url: 'https://ca.test/1', status: 'pending' };
  const challenges = [null, 5, { type: 7 }, { ...good, token: undefined }, { ...good, url: 'here' }, good];
  const ca = await fakeCa(p256(), [{ status: 200, body: { status: 'pending', challenges } }]);
  const read = await (await ca.connect()).authorization(`${ca.url}/authorization`);
  expect(read.challenges).toEqual([good]);
});

it('signs with its key until the account exists, and then with the account URL', async () => {
  const ca = await fakeCa(p256(), [
    { status: 201, body: {}, location: '/account/1' },
    { status: 201, body: order, location: '/order/1' },
  ]);
  const client = await ca.connect();
  expect(await client.openAccount(undefined)).toBe(`${ca.url}/account/1`);
  expect(await client.newOrder('web.test')).toMatchObject({ url: `${ca.url}/order/1`, status: 'pending' });
  const [first, second] = ca.asked;
  expect(first).toMatchObject({
    isSigned: true,
    payload: { termsOfServiceAgreed: true },
    header: { alg: 'ES256', url: `${ca.url}/account`, jwk: { kty: 'EC', crv: 'P-256' } },
  });
  expect(second).toMatchObject({
    isSigned: true,
    payload: { identifiers: [{ type: 'dns', value: 'web.test' }] },
    header: { kid: `${ca.url}/account/1` },
  });
  expect(second!.header).not.toHaveProperty('jwk');
  expect(second!.header['nonce']).not.toBe(first!.header['nonce']);
});

it('sends its contact to an existing account', async () => {
  const ca = await fakeCa(p256(), [
    { status: 200, body: {}, location: '/account/7' },
    { status: 200, body: {} },
  ]);
  await (await ca.connect()).openAccount('me@web.test');
  expect(ca.asked[1]).toMatchObject({ path: '/account/7', payload: { contact: ['mailto:me@web.test'] } });
});

it('repeats a request with a new nonce after a rejected one, a limited number of times', async () => {
  const ca = await fakeCa(p256(), [
    badNonce,
    badNonce,
    { status: 201, body: {}, location: '/account/1' },
    ...Array.from({ length: 20 }, () => badNonce),
  ]);
  const client = await ca.connect();
  await client.openAccount(undefined);
  expect(new Set(ca.asked.map(({ header }) => header['nonce'])).size).toBe(3);
  await expect(client.newOrder('web.test')).rejects.toMatchObject({ type: 'badNonce' });
  expect(ca.asked).toHaveLength(3 + 12);
});

it('accepts an RSA account key', async () => {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const ca = await fakeCa(key, [{ status: 201, body: {}, location: '/account/1' }]);
  await (await ca.connect()).openAccount(undefined);
  expect(ca.asked[0]).toMatchObject({ isSigned: true, header: { alg: 'RS256', jwk: { kty: 'RSA' } } });
});

it('responds to a challenge with the thumbprint of its key (RFC 7638)', async () => {
  const key = p256();
  const ca = await fakeCa(key, []);
  const { crv, kty, x, y } = createPublicKey(key).export({ format: 'jwk' });
  const thumbprint = createHash('sha256')
    .update(`{"crv":"${crv}","kty":"${kty}","x":"${x}","y":"${y}"}`)
    .digest('base64url');
  const challenge = { type: 'tls-alpn-01', token: 'abc', url: 'https://ca.test/1', status: 'pending' };
  expect((await ca.connect()).keyAuthorization(challenge)).toBe(`abc.${thumbprint}`);
});

it('reports a URL that is not an ACME directory', async () => {
  const ca = await fakeCa(p256(), [], { newOrder: undefined });
  await expect(ca.connect()).rejects.toMatchObject({ code: 'acme_rejected' });
});
