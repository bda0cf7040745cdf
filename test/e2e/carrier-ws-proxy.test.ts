import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Person } from './cli-support.js';
import { connectProxy, type ConnectProxy } from '../support/connect-proxy.js';
import { agent, desired, get, httpService, readAll, relay, service, tcpService } from '../support/world.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { connect } from 'node:net';
import type { Carrier } from '../../src/agent/spec.js';

/** A name that only the proxy can resolve: whatever goes around it fails. */
const DOMAIN = 'relay.test';

async function behind(proxy: ConnectProxy, url = proxy.url) {
  const at = await relay({ domain: DOMAIN, ports: { tcp: 'any', udp: 'any' } });
  const asked: string[] = [];
  const one = await agent({
    proxyFor: (relayUrl) => {
      asked.push(relayUrl);
      return url;
    },
  });
  return { at, asked, ...one };
}

describe('behind an HTTP proxy', () => {
  it.each<Carrier>(['raw', 'tls', 'ws'])('everything goes through it, with carrier %s', async (carrier) => {
    const { port } = await httpService((_request, response) => void response.end('hello'));
    const proxy = await connectProxy();
    const { at, asked, runner, event, ca } = await behind(proxy);
    await runner.apply(desired([at.spec], service('web', port, { carrier })));
    await event('lease', ({ phase }) => phase === 'ready');
    expect((await get(at, `web.${DOMAIN}`, ca)).text).toContain('hello');
    expect(new Set(proxy.asked)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
    // The control channel, the probe, and at least one data connection for each of the two visits.
    expect(proxy.asked.length).toBeGreaterThanOrEqual(4);
    expect(proxy.open()).toBeGreaterThanOrEqual(1);
    expect(asked).toContain(at.url);
    await runner.stop({ reason: 'test', drainMs: 0 });
    await expect.poll(() => proxy.open()).toBe(0);
  });

  it('the credentials in its URL are shown to it, and to nobody else', async () => {
    const { port } = await httpService((_request, response) => void response.end('hello'));
    const proxy = await connectProxy();
    const { at, runner, event } = await behind(proxy, proxy.url.replace('//', '//me:s3cret@'));
    await runner.apply(desired([at.spec], service('web', port, { carrier: 'ws' })));
    await event('lease', ({ phase }) => phase === 'ready');
    const basic = `Basic ${Buffer.from('me:s3cret').toString('base64')}`;
    expect(new Set(proxy.credentials)).toEqual(new Set([basic]));
    expect(JSON.stringify(await runner.status())).not.toContain('s3cret');
  });

  it('one that refuses is named as the reason; nothing goes around it', async () => {
    const proxy = await connectProxy(() => false);
    const { at, runner, event } = await behind(proxy, proxy.url.replace('//', '//me:s3cret@'));
    await runner.apply(desired([at.spec], service('web', 1, { carrier: 'ws' })));
    const { error } = await event(
      'lease',
      ({ phase, error: why }) => phase === 'retrying' && why !== undefined,
    );
    expect(error).toMatchObject({ code: 'proxy_refused' });
    expect(error!.message).toContain(`${new URL(proxy.url).host} refused ${DOMAIN}:${at.port} (403)`);
    expect(error!.message).not.toContain('s3cret');
    expect(at.counts().sessions).toBe(0);
  });

  it('one that is not there is said to be so', async () => {
    const proxy = await connectProxy();
    const { at, runner, event } = await behind(proxy, 'http://127.0.0.1:1');
    await runner.apply(desired([at.spec], service('web', 1, { carrier: 'ws' })));
    const { error } = await event(
      'lease',
      ({ phase, error: why }) => phase === 'retrying' && why !== undefined,
    );
    expect(error).toMatchObject({ code: 'relay_unreachable' });
    expect(error!.message).toContain('the proxy 127.0.0.1:1 cannot be reached: ECONNREFUSED');
  });

  it('that opens one port only, mode tcp works, unproven', async () => {
    const target = await tcpService((socket) => socket.end('hello'));
    let own = '';
    const proxy = await connectProxy((authority) => authority === own);
    const { at, runner, event } = await behind(proxy);
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
    'mode udp works in a WebSocket through it, unproven, with carrier %s',
    async (carrier) => {
      const echo = await udpService();
      const proxy = await connectProxy();
      const { at, runner, event } = await behind(proxy);
      await runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp', carrier })));
      const { udpAddr } = await event('lease', ({ phase }) => phase === 'ready');
      const { leases, relays } = await runner.status();
      expect(relays[0]!.datagrams!.carrier).toBe('ws');
      expect(leases[0]!.provenAt).toBeUndefined();
      const visitor = await udpVisitor(Number(udpAddr!.split(':')[1]));
      expect(await visitor.ask('hello')).toBe('hello');
      expect(new Set(proxy.asked)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
    },
  );
});

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
  it('names the proxy: HTTPS_PROXY', async () => {
    const [at, proxy] = [await relay({ domain: DOMAIN }), await connectProxy()];
    const someone = await person(at);
    const running = someone.start(['up', '--json'], {
      env: { HTTPS_PROXY: proxy.url, NO_PROXY: 'other.test' },
    });
    await running.event('ready');
    expect(new Set(proxy.asked)).toEqual(new Set([`${DOMAIN}:${at.port}`]));
  });

  it('spares a relay that NO_PROXY names', async () => {
    const [at, proxy] = [await relay(), await connectProxy()];
    const someone = await person(at);
    const running = someone.start(['up', '--json'], {
      env: { HTTPS_PROXY: proxy.url, NO_PROXY: 'localhost' },
    });
    await running.event('ready');
    expect(proxy.asked).toEqual([]);
  });
});
