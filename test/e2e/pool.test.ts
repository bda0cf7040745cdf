/** The pool: relays from a list, of which the best few stay connected, with failover and recovery. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePorts } from '../support/ports.js';
import { again, http, places, pooled, QUICK, registry, relays } from '../support/pool.js';
import { chainOf } from '../support/chain.js';
import { temporaryFolder } from '../support/folder.js';
import {
  agent,
  desired,
  get,
  handedOver,
  NOT_HTTP,
  readAll,
  relay,
  service,
  visit,
} from '../support/world.js';

describe('a pool with a registry', () => {
  it('connects the best few, gives each service a URL on each, and reports it', async () => {
    const all = await relays(3);
    const { file } = await registry(...all);
    const { port } = await http();
    const one = await agent({ candidates: QUICK });
    await one.runner.apply(pooled({ registry: file, maxActive: 2, caFiles: {} }, [], service('web', port)));
    const ready = await one.event('ready');
    const { urls } = ready.services['web']!;
    expect(urls).toHaveLength(2);
    for (const url of urls) {
      const at = all.find((each) => each.port === Number(new URL(url).port))!;
      expect((await get(at, 'web.localhost', one.ca)).text).toContain('here');
    }
    const status = await one.runner.status();
    expect(status.relays.map(({ state }) => state)).toEqual(['connected', 'connected']);
    expect(status.registry).toMatchObject({ source: file, relays: 3 });
    // The session reveals the relay's proven key and its capabilities.
    for (const { relay: url, address, capabilities } of status.relays) {
      expect(address).toBe(all.find((each) => each.url === url)!.address);
      expect(capabilities).toContain('stream');
    }
    expect(one.events.filter(({ event }) => event === 'applied')).toHaveLength(1);
  });

  it('replaces a failing relay, does not affect other services, and does not fail back', async () => {
    const [fixed, ...listed] = await relays(4);
    const { file } = await registry(...listed);
    const { port } = await http();
    const one = await agent({ candidates: QUICK });
    await one.runner.apply(pooled(file, [fixed!.spec], service('web', port)));
    const first = await one.event('lease', ({ relay: at, phase }) => at !== fixed!.url && phase === 'ready');
    await one.event('ready');
    const failed = listed.find(({ url }) => url === first.relay)!;
    const from = one.events.length;
    await failed.close();
    const second = await one.event(
      'lease',
      ({ relay: at, phase }) => at !== failed.url && phase === 'ready',
      from,
    );
    await one.event('lease', ({ relay: at, phase }) => at === failed.url && phase === 'closed', from);
    // The relay of `urls` is unaffected.
    expect(
      one.events.slice(from).filter((event) => event.event === 'lease' && event.relay === fixed!.url),
    ).toEqual([]);
    expect(await places(one)).toEqual({ [fixed!.url]: 'ready', [second.relay]: 'ready' });

    // It recovers and is healthy, and nothing changes.
    await again(failed);
    const settled = one.events.length;
    const isBack = async (): Promise<boolean> =>
      (await one.runner.relays()).relays.some(
        ({ url, health }) => url === failed.url && health === 'healthy',
      );
    await expect.poll(isBack).toBe(true);
    expect(one.events.slice(settled).filter(({ event }) => event === 'lease')).toEqual([]);
  });

  it('follows the list: services leave a removed relay once the next one is ready, and its visitors finish', async () => {
    const [a, b] = await relays(2);
    const { file, write } = await registry(a!);
    const slow = await handedOver();
    const one = await agent({ candidates: QUICK });
    await one.runner.apply(pooled(file, [], service('web', slow.port)));
    await one.event('ready');
    const visitor = await visit(a!, 'web.localhost', one.ca, NOT_HTTP);
    const download = readAll(visitor);
    const source = await slow.next();
    source.write('begun on the old, ');
    await write(b!);
    await one.event('lease', ({ relay: at, phase }) => at === b!.url && phase === 'ready');
    await one.event('lease', ({ relay: at, phase }) => at === a!.url && phase === 'draining');
    const order = one.events.flatMap((event) =>
      event.event === 'lease' ? [`${event.relay} ${event.phase}`] : [],
    );
    expect(order.indexOf(`${b!.url} ready`)).toBeLessThan(order.indexOf(`${a!.url} draining`));
    source.end('ended there');
    expect((await download).toString()).toBe('begun on the old, ended there');
    await one.event('lease', ({ relay: at, phase }) => at === a!.url && phase === 'closed');
  });

  it('checks relays against the keys in the list', async () => {
    const [a, b] = await relays(2);
    const file = join(await temporaryFolder(), 'registry.json');
    const ca = a!.ca.certificateFile;
    await writeFile(
      file,
      JSON.stringify({
        relays: [
          { url: a!.url, address: b!.address, ca },
          { url: b!.url, address: b!.address, ca },
        ],
      }),
    );
    const one = await agent({ candidates: QUICK });
    await one.runner.apply(
      pooled({ registry: file, maxActive: 2, caFiles: {} }, [], service('web', (await http()).port)),
    );
    const ready = await one.event('ready');
    expect(ready.services['web']!.urls).toEqual([`https://web.localhost:${b!.port}`]);
    expect(a!.counts().sessions).toBe(0);
  });

  it('waits while there are no relays, and reports why', async () => {
    const [a] = await relays(1);
    const file = join(await temporaryFolder(), 'registry.json');
    const warnings: string[] = [];
    const one = await agent({ candidates: QUICK, warn: (message) => warnings.push(message) });
    await one.runner.apply(pooled(file, [], service('web', (await http()).port)));
    expect(warnings).toEqual([expect.stringContaining('does not exist')]);
    expect((await one.runner.status()).registry?.error?.code).toBe('registry_unreachable');
    expect(one.events.some(({ event }) => event === 'ready')).toBe(false);
    const unplaced = { service: 'web', error: { code: 'no_relay' } };
    expect(one.events.filter(({ event }) => event === 'unplaced')).toMatchObject([
      { ...unplaced, error: { message: expect.stringContaining('does not exist') as string } },
    ]);
    expect((await one.runner.status()).unplaced).toMatchObject([unplaced]);
    await writeFile(file, JSON.stringify({ relays: [] }));
    const empty = await one.event('unplaced', ({ error }) => error.message.includes('lists no relay'));
    expect(empty).toMatchObject(unplaced);
    await writeFile(file, JSON.stringify({ relays: [{ url: a!.url, ca: a!.ca.certificateFile }] }));
    await one.event('ready');
    expect((await one.runner.status()).unplaced).toBeUndefined();
  });

  it('uses no relay of a chain, and reports it', async () => {
    const [a, b] = await relays(2);
    const { file } = await registry(a!, b!);
    const one = await agent({ candidates: QUICK });
    const { port } = await http();
    const wanted = pooled(file, [], service('web', port));
    const chained = { ...service('hidden', port), relays: [chainOf([a!, b!])] };
    await one.runner.apply({ ...wanted, services: [...wanted.services, chained] });
    const { error } = await one.event('unplaced', ({ error: { message } }) =>
      message.includes('part of a chain'),
    );
    expect(error.message).toMatch(/lists no free relay: 2 of its relays are part of a chain/);
    expect((await one.runner.status()).registry).toMatchObject({ relays: 2, inChains: 2 });
  });

  it('keeps services in place until a new relay is known', async () => {
    const [a, b] = await relays(2);
    const { file } = await registry(b!);
    const one = await agent({ candidates: QUICK });
    const web = service('web', (await http()).port);
    for (const _ of [1, 2]) {
      const from = one.events.length;
      await one.runner.apply(desired([a!.spec], web));
      await one.event('lease', ({ relay: at, phase }) => at === a!.url && phase === 'ready', from);
      await one.runner.apply(pooled(file, [], web));
      await one.event('lease', ({ relay: at, phase }) => at === a!.url && phase === 'closed', from);
      const order = one.events
        .slice(from)
        .flatMap((event) => (event.event === 'lease' ? [`${event.relay} ${event.phase}`] : []));
      expect(order.indexOf(`${b!.url} ready`)).toBeLessThan(order.lastIndexOf(`${a!.url} draining`));
      await expect.poll(() => places(one)).toEqual({ [b!.url]: 'ready' });
    }
    expect(one.events.filter(({ event }) => event === 'unplaced')).toEqual([]);
  });
});

describe('a pool without a registry', () => {
  it('keeps a working relay after the relay that announced it disconnects', async () => {
    const [first] = await relays(1);
    const { ca } = first!;
    const [port] = await freePorts(1);
    const late = `https://localhost:${port}`;
    const announced = await relay({
      ca,
      peers: [{ url: late, ca: ca.certificatePem }],
      limits: { peerRetryMs: 20 },
    });
    const announcer = await relay({ ca, peers: [{ url: announced.url, ca: ca.certificatePem }] });
    const one = await agent({ candidates: { ...QUICK, tickMs: 10, discoverMs: 20, unlistedMs: 0 } });
    const caFiles = { [announced.url]: ca.certificateFile, [late]: ca.certificateFile };
    await one.runner.apply(
      pooled({ maxActive: 1, caFiles }, [announcer.spec], service('web', (await http()).port)),
    );
    await one.event('lease', ({ relay: at, phase }) => at === announced.url && phase === 'ready');
    await announcer.close();
    const from = one.events.length;
    // A relay that it announces shows that unannounced relays would be removed by now.
    await relay({ ca, port: port! });
    const isKnown = async (): Promise<boolean> =>
      (await one.runner.relays()).relays.some(({ url, health }) => url === late && health === 'healthy');
    await expect.poll(isKnown).toBe(true);
    expect(
      one.events.slice(from).filter((event) => event.event === 'lease' && event.relay !== announcer.url),
    ).toEqual([]);
  });

  it('uses relays that connected relays announce, with the announced keys', async () => {
    const [announced] = await relays(1);
    const announcer = await relay({
      ca: announced!.ca,
      peers: [{ url: announced!.url, ca: announced!.ca.certificatePem }],
    });
    const one = await agent({ candidates: QUICK });
    const caFiles = { [announced!.url]: announced!.ca.certificateFile };
    await one.runner.apply(
      pooled({ maxActive: 1, caFiles }, [announcer.spec], service('web', (await http()).port)),
    );
    await one.event('lease', ({ relay: at, phase }) => at === announced!.url && phase === 'ready');
    expect((await one.runner.relays()).relays).toMatchObject([
      { url: announcer.url, source: 'urls', health: 'healthy', inUse: true },
      { url: announced!.url, source: 'discovered', address: announced!.address, inUse: true },
    ]);
  });
});

describe('a relay that has never worked', () => {
  it('is tried if there is no other, and does not fail a service that has others', async () => {
    const [good, untrusted] = await relays(2);
    const file = join(await temporaryFolder(), 'registry.json');
    await writeFile(file, JSON.stringify({ relays: [untrusted!.url] }));
    const { port } = await http();
    const one = await agent({ candidates: QUICK });
    await one.runner.apply(pooled(file, [], service('web', port)));
    expect(await places(one)).toEqual({ [untrusted!.url]: 'failed relay_untrusted' });
    const other = await agent({ candidates: QUICK });
    await other.runner.apply(pooled(file, [good!.spec], service('api', port)));
    await other.event('ready');
    expect(await places(other)).toEqual({ [good!.url]: 'ready' });
    const { relays: known } = await other.runner.relays();
    expect(known.at(-1)).toMatchObject({ url: untrusted!.url, error: { code: 'relay_untrusted' } });
  });
});

describe('a relay without a required capability', () => {
  it('is skipped for that service, with the reason, and does not delay readiness', async () => {
    const [plain] = await relays(1);
    const able = await relay({ ca: plain!.ca, ports: { tcp: 'any', udp: 'any' } });
    const one = await agent();
    const { port } = await http();
    await one.runner.apply(
      desired([plain!.spec, able.spec], service('web', port), service('game', port, { mode: 'tcp' })),
    );
    const ready = await one.event('ready');
    expect(ready.services['web']!.urls).toHaveLength(2);
    expect(ready.services['game']!.tcp).toHaveLength(1);
    const skipped = await one.event(
      'lease',
      ({ service: name, phase }) => name === 'game' && phase === 'failed',
    );
    expect(skipped).toMatchObject({
      relay: plain!.url,
      error: {
        code: 'capability_missing',
        message: `${plain!.url} does not offer mode tcp`,
        hint: 'Use another relay for the service, or start this one with `--tcp-ports FIRST-LAST`.',
      },
    });
    const { leases } = await one.runner.status();
    expect(leases.filter(({ phase }) => phase === 'failed').map(({ service: name }) => name)).toEqual([
      'game',
    ]);
  });

  it('is chosen after relays that have it', async () => {
    const [plain] = await relays(1);
    const able = await relay({ ca: plain!.ca, ports: { tcp: 'any' } });
    const { file } = await registry(plain!, able);
    const one = await agent({ candidates: QUICK });
    await one.runner.apply(pooled(file, [], service('game', (await http()).port, { mode: 'tcp' })));
    const ready = await one.event('ready');
    expect(ready.services['game']!.tcp).toHaveLength(1);
    expect(Object.keys(await places(one))).toEqual([able.url]);
  });

  it('is replaced immediately if it is the only one for a service that it cannot serve', async () => {
    const [plain] = await relays(1);
    const able = await relay({ ca: plain!.ca, ports: { tcp: 'any' } });
    const { file, write } = await registry(plain!);
    const one = await agent({ candidates: QUICK });
    const { port } = await http();
    const web = service('web', port);
    await one.runner.apply(pooled(file, [], web));
    await one.event('ready');
    await write(plain!, able);
    await one.runner.apply(pooled(file, [], web, service('game', port, { mode: 'tcp' })));
    await one.event(
      'lease',
      ({ service: name, relay: at, phase }) => name === 'game' && at === able.url && phase === 'ready',
    );
    await expect.poll(() => places(one)).toEqual({ [able.url]: 'ready' });
  });
});
