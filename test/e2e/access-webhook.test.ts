import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Gates } from '../../src/agent/access/gates.js';
import { Rejections } from '../../src/agent/access/rejections.js';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import type { Recording } from '../../src/agent/inspect/recording.js';
import { generateIdentity } from '../../src/identity/keys.js';
import type { AccessSpec } from '../../src/agent/spec.js';
import { ask, askH2, connectTo, edge, h2Visitor, HOST } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';
import { readAll, service } from '../support/world.js';

/** The gates for signed webhooks and for the rate of requests, over each HTTP version. */

const SECRET = 'a long enough secret';
const GITHUB: AccessSpec = { webhook: { provider: 'github', secret: SECRET } };

const signatureOf = (body: string | Buffer): string =>
  `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;

/** A target that records what it gets. */
async function receiver() {
  const bodies: Buffer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      bodies.push(Buffer.concat(chunks));
      response.end('received');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, bodies };
}

async function gated(
  access: AccessSpec,
  { visitor, recorders }: { visitor?: () => string; recorders?: Recorders } = {},
) {
  const target = await receiver();
  const reports: string[] = [];
  const rejections = new Rejections((reason) => reports.push(reason));
  const spec = service('hooks', target.port, { mode: 'http', access });
  const gates = new Gates({ spec, sessionKey: Buffer.alloc(32), identity: generateIdentity(), rejections });
  const at = await edge(
    { '/': target.port },
    { gates, ...(visitor && { visitor }), ...(recorders && { recorders }) },
  );
  return { at, target, reports, gates, spec };
}

const head = (length: number): string =>
  `POST / HTTP/1.1\r\nHost: ${HOST}\r\nX-Hub-Signature-256: ${signatureOf('body')}\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`;

const firstLine = (socket: TLSSocket): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('\r\n')) resolve(text.slice(0, text.indexOf('\r\n')));
    });
  });

describe('a service for signed webhooks', () => {
  it('gives the target the whole body of a signed request', async () => {
    const { at, target, reports } = await gated(GITHUB);
    const body = Buffer.alloc(1_000_000, 'portal');
    const headers = { 'x-hub-signature-256': signatureOf(body) };
    expect(await ask(at, '/', { method: 'POST', body, headers })).toMatchObject({ status: 200 });
    const visitor = await h2Visitor(at);
    const h2 = { ':method': 'POST', ':path': '/', ...headers };
    expect(await askH2(visitor, h2, body)).toMatchObject({ status: 200, body: 'received' });
    expect(target.bodies.map((each) => each.equals(body))).toEqual([true, true]);
    expect(reports).toEqual([]);
  });

  it('gives the target nothing of other requests', async () => {
    const { at, target, reports } = await gated(GITHUB);
    const wrong = { 'x-hub-signature-256': signatureOf('another body') };
    const accept = { accept: 'application/json' };
    const visitor = await h2Visitor(at);
    const h2 = { ':method': 'POST', ':path': '/', ...wrong };
    const answers = [
      await ask(at, '/', { headers: accept }),
      await ask(at, '/', { method: 'POST', body: 'body', headers: { ...accept, ...wrong } }),
      await ask(at, '/', { method: 'OPTIONS', headers: { ...accept, origin: 'https://elsewhere.example' } }),
    ];
    expect(
      answers.map(({ status, body }) => [status, (JSON.parse(body) as { error: string }).error]),
    ).toEqual([
      [403, 'signature_missing'],
      [403, 'signature_wrong'],
      [403, 'signature_missing'],
    ]);
    expect(await askH2(visitor, h2, 'body')).toMatchObject({ status: 403 });
    expect(target.bodies).toEqual([]);
    // Once for an address in a minute.
    expect(reports).toEqual(['webhook']);
  });

  it('accepts a signed request without a body', async () => {
    const { at, target } = await gated({
      webhook: { header: 'x-signature', algorithm: 'sha256', secret: SECRET },
    });
    const headers = { 'x-signature': signatureOf('').slice(7) };
    expect(await ask(at, '/', { headers })).toMatchObject({ status: 200 });
    expect(target.bodies).toEqual([Buffer.alloc(0)]);
  });

  it('asks for a body that the sender holds back, and rejects one that is too long', async () => {
    const { at, target } = await gated(GITHUB);
    const socket = await connectTo(at);
    socket.write(head(4));
    let text = '';
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('body');
        if (text.includes('received')) resolve();
      });
    });
    expect(target.bodies).toEqual([Buffer.from('body')]);
    const other = await connectTo(at);
    other.write(head(26 * 1024 * 1024));
    expect((await readAll(other)).toString()).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('rejects a request without a signature, or with an old one, before its body arrives', async () => {
    const { at } = await gated({ webhook: { provider: 'slack', secret: SECRET } });
    for (const fields of ['', 'X-Slack-Request-Timestamp: 1531420618\r\nX-Slack-Signature: v0=00\r\n']) {
      const socket = await connectTo(at);
      socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 1000\r\n${fields}\r\n`);
      expect(await firstLine(socket)).toBe('HTTP/1.1 403 Forbidden');
      socket.destroy();
    }
  });

  it('keeps few buffers of a body that arrives byte by byte', async () => {
    const { at, target } = await gated(GITHUB);
    const body = Buffer.alloc(3_000, 'portal');
    const socket = await connectTo(at);
    socket.write(
      `POST / HTTP/1.1\r\nHost: ${HOST}\r\nX-Hub-Signature-256: ${signatureOf(body)}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`,
    );
    for (const byte of body) socket.write(`1\r\n${String.fromCodePoint(byte)}\r\n`);
    socket.write('0\r\nX-Trailer: unsigned\r\n\r\n');
    expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 200 /);
    expect(target.bodies.map((each) => each.equals(body))).toEqual([true]);
  });

  it('serves other senders while one has sent all that it may without the end of a body', async () => {
    let address = '203.0.113.7';
    const { at } = await gated(GITHUB, { visitor: () => address });
    const headers = { 'x-hub-signature-256': signatureOf('body') };
    const bytes = 25 * 1024 * 1024;
    const slow = await connectTo(at);
    slow.write(
      `POST / HTTP/1.1\r\nHost: ${HOST}\r\nX-Hub-Signature-256: ${signatureOf('body')}\r\nContent-Length: ${bytes}\r\n\r\n`,
    );
    await new Promise<void>((resolve) => slow.write(Buffer.alloc(bytes - 1), () => resolve()));
    await expect
      .poll(async () => (await ask(at, '/', { method: 'POST', body: 'body', headers })).status)
      .toBe(503);
    address = '203.0.113.8';
    expect(await ask(at, '/', { method: 'POST', body: 'body', headers })).toMatchObject({ status: 200 });
    slow.destroy();
  });

  it('verifies with the next secret after a save, on the same connection', async () => {
    const { at, gates, spec } = await gated(GITHUB);
    const visitor = await h2Visitor(at);
    const headers = { ':method': 'POST', ':path': '/', 'x-hub-signature-256': signatureOf('body') };
    expect(await askH2(visitor, headers, 'body')).toMatchObject({ status: 200 });
    gates.update({ ...spec, access: { webhook: { provider: 'github', secret: 'the next secret' } } });
    expect(await askH2(visitor, headers, 'body')).toMatchObject({ status: 403 });
  });
});

describe('a service with a limit for each visitor', () => {
  it('responds with 429 beyond the burst, and says when to try again', async () => {
    let address = '203.0.113.7';
    const limit = { rateLimit: { requests: 1, per: 'h', burst: 2 } } as const;
    const { at, target, reports } = await gated(limit, { visitor: () => address });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask(at, '/')).status);
    expect(statuses).toEqual([200, 200, 429]);
    const rejected = await ask(at, '/');
    expect(Number(rejected.headers['retry-after'])).toBeGreaterThan(3_000);
    expect(reports).toEqual(['rate']);
    address = '203.0.113.8';
    expect(await ask(at, '/')).toMatchObject({ status: 200 });
    expect(target.bodies).toHaveLength(3);
  });
});

it('lets the owner replay a request that has passed the gates as often as wanted', async () => {
  const recorders = new Recorders();
  const limit = { rateLimit: { requests: 1, per: 'h', burst: 1 } } as const;
  const { at, target } = await gated(limit, { recorders });
  expect([(await ask(at, '/first')).status, (await ask(at, '/second')).status]).toEqual([200, 429]);
  const [first, second] = [await settled(recorders.store, 1), await settled(recorders.store, 2)];
  const replay = async (recording: Recording): Promise<number | undefined> =>
    (await settled(recorders.store, recorders.replay(recording, {}))).status;
  expect([await replay(first), await replay(first)]).toEqual([200, 200]);
  // The gate counts it as a request of this machine.
  expect([await replay(second), await replay(second)]).toEqual([200, 429]);
  expect(target.bodies).toHaveLength(4);
  // A request that never reached the gates' verdict.
  expect(second.passedAs).toBeUndefined();
});
