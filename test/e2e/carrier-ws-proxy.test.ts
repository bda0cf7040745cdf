import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Person } from './cli-support.js';
import { connectProxy } from '../support/connect-proxy.js';
import { socksProxy } from '../support/socks-proxy.js';
import { agent, desired, get, httpService, readAll, relay, service, tcpService } from '../support/world.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { connect, type AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Carrier } from '../../src/agent/spec.js';
import { parseProxy } from '../../src/net/proxy/server.js';

/** A name that only the proxy can resolve, so that a direct connection fails. */
const DOMAIN = 'relay.test';

async function behind(url: string) {
  const at = await relay({ domain: DOMAIN, ports: { tcp: 'any', udp: 'any' } });
  const requested: string[] = [];
  const one = await agent({
    proxyFor: (relayUrl) => {
      requested.push(relayUrl);
      return parseProxy(url, 'HTTPS_PROXY');
    },
  });
  return { at, requested, ...one };
}

describe('behind an HTTP proxy', () => {
  it.each<Carrier>(['raw', 'tls', 'ws'])('all connections use it, with carrier %s', async (carrier) => {
    const { port } = await httpService((_request, response) => void response.end('hello'));
    const proxy = await connectProxy();
    const { at, requested, runner, event, ca } = await behind(proxy.url);
    await runner.apply(desired([at.spec], service('web', port, { carrier })));
    await event('lease', ({ phase }) => phase === 'ready');
    expect((await get(at, `web.${DOMAIN}`, ca)).text).toContain('hello');
    expect(new Set(proxy.requested)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
    // The control channel, the probe, and at least one data connection for each of the two visits.
    expect(proxy.requested.length).toBeGreaterThanOrEqual(4);
    expect(proxy.open()).toBeGreaterThanOrEqual(1);
    expect(requested).toContain(at.url);
    await runner.stop({ reason: 'test', drainMs: 0 });
    await expect.poll(() => proxy.open()).toBe(0);
  });

  it('only the proxy sees the credentials in its URL', async () => {
    const { port } = await httpService((_request, response) => void response.end('hello'));
    const proxy = await connectProxy();
    const { at, runner, event } = await behind(proxy.url.replace('//', '//me:s3cret@'));
    await runner.apply(desired([at.spec], service('web', port, { carrier: 'ws' })));
    await event('lease', ({ phase }) => phase === 'ready');
    const basic = `Basic ${Buffer.from('me:s3cret').toString('base64')}`;
    expect(new Set(proxy.credentials)).toEqual(new Set([basic]));
    expect(JSON.stringify(await runner.status())).not.toContain('s3cret');
  });

  it('names the proxy that rejects the connection, and connects to nothing directly', async () => {
    const proxy = await connectProxy(() => false);
    const { at, runner, event } = await behind(proxy.url.replace('//', '//me:s3cret@'));
    await runner.apply(desired([at.spec], service('web', 1, { carrier: 'ws' })));
    const { error } = await event(
      'lease',
      ({ phase, error: why }) => phase === 'retrying' && why !== undefined,
    );
    expect(error).toMatchObject({ code: 'proxy_refused' });
    expect(error!.message).toContain(`${new URL(proxy.url).host} rejected ${DOMAIN}:${at.port} (403)`);
    expect(error!.message).not.toContain('s3cret');
    expect(at.counts().sessions).toBe(0);
  });

  it('reports an unreachable proxy', async () => {
    const { at, runner, event } = await behind('http://127.0.0.1:1');
    await runner.apply(desired([at.spec], service('web', 1, { carrier: 'ws' })));
    const { error } = await event(
      'lease',
      ({ phase, error: why }) => phase === 'retrying' && why !== undefined,
    );
    expect(error).toMatchObject({ code: 'relay_unreachable' });
    expect(error!.message).toContain(
      'the proxy 127.0.0.1:1 is unreachable: it refused the connection (ECONNREFUSED)',
    );
  });

  it('mode tcp works, unverified, through a proxy that allows only one port', async () => {
    const target = await tcpService((socket) => socket.end('hello'));
    let own = '';
    const proxy = await connectProxy((authority) => authority === own);
    const { at, runner, event } = await behind(proxy.url);
    own = `${DOMAIN}:${at.port}`;
    await runner.apply(desired([at.spec], service('db', target, { mode: 'tcp', carrier: 'ws' })));
    const { tcpAddr } = await event('lease', ({ phase }) => phase === 'ready');
    const [lease] = (await runner.status()).leases;
    expect(lease).toMatchObject({ phase: 'ready' });
    expect(lease!.provenAt).toBeUndefined();
    const visitor = connect({ host: '127.0.0.1', port: Number(tcpAddr!.split(':')[1]) });
    expect(String(await readAll(visitor))).toBe('hello');
  });

  it.each<Carrier>(['tls', 'ws'])(
    'mode udp works in a WebSocket through it, unverified, with carrier %s',
    async (carrier) => {
      const echo = await udpService();
      const proxy = await connectProxy();
      const { at, runner, event } = await behind(proxy.url);
      await runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp', carrier })));
      const { udpAddr } = await event('lease', ({ phase }) => phase === 'ready');
      const { leases, relays } = await runner.status();
      expect(relays[0]!.datagrams!.carrier).toBe('ws');
      expect(leases[0]!.provenAt).toBeUndefined();
      const visitor = await udpVisitor(Number(udpAddr!.split(':')[1]));
      expect(await visitor.ask('hello')).toBe('hello');
      expect(new Set(proxy.requested)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
    },
  );
});

describe('behind a SOCKS5 proxy', () => {
  it.each<Carrier>(['raw', 'tls', 'ws'])('all connections use it, with carrier %s', async (carrier) => {
    const { port } = await httpService((_request, response) => void response.end('hello'));
    const proxy = await socksProxy({ wants: 'me:s3cret' });
    const { at, runner, event, ca } = await behind(`socks5h://me:s3cret@${proxy.authority}`);
    await runner.apply(desired([at.spec], service('web', port, { carrier })));
    await event('lease', ({ phase }) => phase === 'ready');
    expect((await get(at, `web.${DOMAIN}`, ca)).text).toContain('hello');
    expect(new Set(proxy.requested)).toEqual(new Set([`name:${DOMAIN}:${at.port}`]));
    expect(new Set(proxy.credentials)).toEqual(new Set(['me:s3cret']));
    expect(JSON.stringify(await runner.status())).not.toContain('s3cret');
    await runner.stop({ reason: 'test', drainMs: 0 });
    await expect.poll(() => proxy.open()).toBe(0);
  });

  it('mode udp works in a WebSocket through it, unverified', async () => {
    const [echo, proxy] = [await udpService(), await socksProxy()];
    const { at, runner, event } = await behind(`socks5h://${proxy.authority}`);
    await runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp' })));
    const { udpAddr } = await event('lease', ({ phase }) => phase === 'ready');
    const { leases, relays } = await runner.status();
    expect(relays[0]!.datagrams!.carrier).toBe('ws');
    expect(leases[0]!.provenAt).toBeUndefined();
    const visitor = await udpVisitor(Number(udpAddr!.split(':')[1]));
    expect(await visitor.ask('hello')).toBe('hello');
  });

  it('that rejects the credentials fails the lease, with the fix', async () => {
    const proxy = await socksProxy({ wants: 'me:s3cret' });
    const { at, runner, event } = await behind(`socks5h://me:wr0ng@${proxy.authority}`);
    await runner.apply(desired([at.spec], service('web', 1)));
    const { error } = await event('lease', ({ phase }) => phase === 'failed');
    expect(error).toMatchObject({
      code: 'proxy_credentials',
      message: `the proxy ${proxy.authority} rejected the user name and password`,
    });
    expect(JSON.stringify(error)).not.toContain('wr0ng');
  });
});

/** A TLS server that forwards everything to `port`. */
async function tlsInFrontOf(port: number, credentials: { cert: string; key: string }): Promise<AddressInfo> {
  const server = createTlsServer(credentials, (near) => {
    const far = connect({ host: '127.0.0.1', port });
    near.on('error', () => far.destroy()).pipe(far);
    far.on('error', () => near.destroy()).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return server.address() as AddressInfo;
}

async function person(at: Awaited<ReturnType<typeof relay>>): Promise<Person> {
  const someone = await Person.create();
  const { port } = await httpService((_request, response) => void response.end('hello'));
  await writeFile(
    join(someone.folder, 'portal.yaml'),
    `version: 1
relays: { urls: [{ url: "${at.url}", ca: "${at.ca.certificateFile}" }] }
services:
  web: { target: ${port}, carrier: ws }
`,
  );
  return someone;
}

describe('the environment of `portal up`', () => {
  it('names the proxy, with a scheme and without', async () => {
    const [at, proxy] = [await relay({ domain: DOMAIN }), await connectProxy()];
    const someone = await person(at);
    const running = someone.start(['up', '--json'], {
      env: { HTTPS_PROXY: new URL(proxy.url).host, NO_PROXY: 'other.test' },
    });
    await running.event('ready');
    expect(new Set(proxy.requested)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
  });

  it('names a SOCKS5 proxy: ALL_PROXY', async () => {
    const [at, proxy] = [await relay({ domain: DOMAIN }), await socksProxy({ wants: 'm@e:s3cret' })];
    const someone = await person(at);
    const running = someone.start(['up', '--json'], {
      env: { ALL_PROXY: `socks5h://m@e:s3cret@${proxy.authority}` },
    });
    await running.event('ready');
    expect(new Set(proxy.requested)).toEqual(new Set([`name:${DOMAIN}:${at.port}`]));
  });

  it('names a proxy over TLS, whose CA NODE_EXTRA_CA_CERTS trusts, and the error asks for', async () => {
    const [at, proxy] = [await relay({ domain: DOMAIN }), await connectProxy()];
    const { port } = await tlsInFrontOf(Number(new URL(proxy.url).port), await at.ca.issue(['localhost']));
    const someone = await person(at);
    const env = { HTTPS_PROXY: `https://localhost:${port}` };
    const untrusting = someone.start(['up', '--json'], { env });
    const { error } = await untrusting.event('lease', ({ phase }) => phase === 'retrying');
    expect(error).toMatchObject({
      message: expect.stringContaining(`the proxy localhost:${port} is unreachable`) as string,
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS') as string,
    });
    untrusting.kill('SIGTERM');
    await untrusting.finished;
    const trusting = { ...env, NODE_EXTRA_CA_CERTS: at.ca.certificateFile };
    await someone.start(['up', '--json'], { env: trusting }).event('ready');
    expect(new Set(proxy.requested)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
  });

  it('has no effect on a relay on this machine', async () => {
    const [at, proxy] = [await relay(), await connectProxy()];
    const someone = await person(at);
    const running = someone.start(['up', '--json'], { env: { HTTPS_PROXY: proxy.url, NO_PROXY: '' } });
    await running.event('ready');
    expect(proxy.requested).toEqual([]);
  });

  it('names a proxy that requires credentials and says how to set them', async () => {
    const [at, proxy] = [await relay({ domain: DOMAIN }), await connectProxy(() => 407)];
    const someone = await person(at);
    const { code, stderr } = await someone.run(['up', '--wait'], { env: { HTTPS_PROXY: proxy.url } });
    const name = new URL(proxy.url).host;
    expect(code).toBe(1);
    expect(stderr).toContain(`the proxy ${name} requires credentials`);
    expect(stderr).toContain(`http://USER:PASSWORD@${name}`);
  });

  it.each([
    [['up'], ''],
    [['up', '--json'], ''],
    [['expose', '1', '--relay', 'https://relay.test'], ''],
  ])('with a malformed proxy makes `portal %j` fail, without showing a secret', async (args) => {
    const someone = await person(await relay({ domain: DOMAIN }));
    const { code, stdout, stderr } = await someone.run(args, { env: { HTTPS_PROXY: 'me:s3cret@:::' } });
    expect(code).toBe(2);
    expect(stdout + stderr).toContain('HTTPS_PROXY does not name a proxy: HOST:PORT is malformed');
    expect(stdout + stderr).toContain('proxy_invalid');
    expect(stdout + stderr).not.toContain('s3cret');
  });
});
