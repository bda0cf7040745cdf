import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import type { ServiceSpec } from '../../src/agent/spec.js';
import {
  agent,
  desired,
  get,
  handedOver,
  httpService,
  readAll,
  NOT_HTTP,
  relay,
  service,
  visit,
} from '../support/world.js';

describe('editing the file during a visit', () => {
  it('keeps a download through edits of other services, a rejected save, and a new target of its service', async () => {
    const at = await relay();
    const slow = await handedOver();
    const { port: other } = await httpService((_request, response) => response.end('other'));
    const { port: later } = await httpService((_request, response) => response.end('new target'));
    const one = await agent();
    const apply = (...services: ServiceSpec[]): Promise<void> =>
      one.runner.apply(desired([at.spec], ...services));

    await apply(service('a', slow.port));
    const visitor = await visit(at, 'a.localhost', one.ca, NOT_HTTP);
    const download = readAll(visitor);
    const source = await slow.next();
    const hash = createHash('sha256');
    const send = async (): Promise<void> => {
      const part = randomBytes(2_000_000);
      hash.update(part);
      if (!source.write(part)) await once(source, 'drain');
    };

    await send();
    await apply(service('a', slow.port), service('b', other));
    await send();
    await apply(service('a', slow.port), service('b', later));
    await send();
    one.runner.reject([
      { file: 'portal.yaml', line: 1, column: 1, path: '', code: 'config_invalid', message: 'bad' },
    ]);
    await send();
    await apply(service('a', slow.port));
    await send();
    await apply(service('a', later));
    await send();
    expect((await get(at, 'a.localhost', one.ca)).text).toContain('new target');
    await send();
    source.end();

    const received = await download;
    expect(received.length).toBe(14_000_000);
    expect(createHash('sha256').update(received).digest('hex')).toBe(hash.digest('hex'));
    const applied = one.events.filter((event) => event.event === 'applied');
    expect(applied.map(({ opened, updated, closed, kept }) => ({ opened, updated, closed, kept }))).toEqual([
      { opened: ['a'], updated: [], closed: [], kept: [] },
      { opened: ['b'], updated: [], closed: [], kept: ['a'] },
      { opened: [], updated: ['b'], closed: [], kept: ['a'] },
      { opened: [], updated: [], closed: ['b'], kept: ['a'] },
      { opened: [], updated: ['a'], closed: [], kept: [] },
    ]);
  });

  it('has a renamed service ready under the new name before the old one closes, and lets its visitor finish', async () => {
    const at = await relay();
    const held = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('a', held.port)));
    const visitor = await visit(at, 'a.localhost', one.ca, NOT_HTTP);
    const source = await held.next();
    await one.runner.apply(desired([at.spec], service('a', held.port, { name: 'z' })));
    const phases = one.events
      .filter((event) => event.event === 'lease')
      .map(({ phase, url }) => `${phase} ${url?.slice(8, 9)}`);
    expect(phases.indexOf('ready z')).toBeLessThan(phases.indexOf('draining a'));
    source.end('still here');
    expect((await readAll(visitor)).toString()).toBe('still here');
    await one.event('lease', ({ phase }) => phase === 'closed');
    await expect(visit(at, 'a.localhost', one.ca)).rejects.toThrow(/unrecognized name|alert/i);
  });

  it('combines edits during a pass into one more pass, which applies the last edit', async () => {
    const at = await relay();
    const { port } = await httpService((_request, response) => response.end('x'));
    const one = await agent();
    const first = one.runner.apply(desired([at.spec], service('a', port)));
    const middle = one.runner.apply(desired([at.spec], service('a', port), service('b', port)));
    const last = one.runner.apply(desired([at.spec], service('a', port), service('c', port)));
    await Promise.all([first, middle, last]);
    const applied = one.events.filter((event) => event.event === 'applied');
    expect(applied.map(({ opened }) => opened)).toEqual([['a'], ['c']]);
  });

  it('reports the services that a save opens to more people', async () => {
    const at = await relay();
    const { port } = await httpService((_request, response) => response.end('x'));
    const one = await agent();
    const apply = (a: ServiceSpec['access'], b: ServiceSpec['access']): Promise<void> =>
      one.runner.apply(
        desired([at.spec], service('a', port, { access: a }), service('b', port, { access: b })),
      );
    await apply({ pin: '1234' }, {});
    await apply({}, { pin: '1234' });
    await apply({ allowIps: ['10.0.0.0/8'] }, { pin: '1234' });
    const applied = one.events.filter((event) => event.event === 'applied');
    expect(applied.map(({ exposed }) => exposed)).toEqual([undefined, ['a'], undefined]);
  });

  it('shows the plan of a command without applying it', async () => {
    const at = await relay();
    const { port } = await httpService((_request, response) => response.end('x'));
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('a', port)));
    const next = desired([at.spec], service('a', port, { carrier: 'tls' }), service('b', port));
    expect(one.runner.plan(next).map(({ kind, service: name, changes }) => [kind, name, changes])).toEqual([
      ['update', 'a', ['carrier']],
      ['open', 'b', []],
    ]);
    expect((await one.runner.status()).leases.map(({ service: name }) => name)).toEqual(['a']);
  });
});

describe('a local service that is down', () => {
  it('gives the visitor a 503 page immediately, and works again when the service does', async () => {
    const at = await relay();
    const gone = await httpService((_request, response) => response.end('first life'));
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', gone.port)));
    expect((await get(at, 'web.localhost', one.ca)).status).toBe(200);
    await gone.close();
    const down = await get(at, 'web.localhost', one.ca);
    expect(down.status).toBe(503);
    expect(down.text).toContain('web is not running');
    expect((await one.runner.status()).leases[0]?.targetError).toContain('nothing listens on port');
    await httpService((_request, response) => response.end('second life'), gone.port);
    expect((await get(at, 'web.localhost', one.ca)).text).toContain('second life');
    // The lease itself stayed verified: visitors reached the agent throughout.
    expect((await one.runner.status()).leases[0]).toMatchObject({ phase: 'ready', retries: 0 });
    expect((await one.runner.status()).leases[0]).not.toHaveProperty('targetError');
  });

  it('disconnects a visitor who does not speak HTTP', async () => {
    const at = await relay();
    const gone = await httpService(() => undefined);
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', gone.port)));
    await gone.close();
    const visitor = await visit(at, 'web.localhost', one.ca);
    const reset = once(visitor, 'error');
    visitor.write(Buffer.from([0, 1, 2, 3]));
    expect(await reset).toMatchObject([{ code: 'ECONNRESET' }]);
    expect(visitor.bytesRead).toBe(0);
  });
});

describe('stopping', () => {
  it('lets a download finish, and does not wait for an idle visitor', async () => {
    const at = await relay();
    const held = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('a', held.port)));
    const idle = await visit(at, 'a.localhost', one.ca);
    await held.next();
    const busy = await visit(at, 'a.localhost', one.ca);
    const download = readAll(busy);
    const source = await held.next();
    // Transfers a little all the time until the idle connection closed: only idle time counts, not speed.
    const drip = setInterval(() => source.write('x'), 50);
    const stopped = one.runner.stop({ reason: 'test', drainMs: 60_000 });
    await once(idle.resume(), 'close');
    clearInterval(drip);
    source.end('end');
    expect((await download).toString()).toMatch(/^x+end$/);
    await stopped;
    expect(one.events.at(-1)).toEqual({ event: 'stopped', reason: 'test' });
    await eventually(() => expect(at.counts()).toMatchObject({ sessions: 0, leases: 0, visitors: 0 }));
  });
});

it('closes a service when it expires, and leaves the others', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  const one = await agent();
  const until = (moment: number) =>
    desired(
      [at.spec],
      service('brief', port, { expires: { at: moment } }),
      service('gone', port, { expires: { at: 0 } }),
      service('lasting', port),
    );
  await one.runner.apply(until(Date.now() + 600_000));
  await one.event('ready');
  const [brief] = (await one.runner.status()).leases;
  expect(brief).toMatchObject({ service: 'brief', phase: 'ready', expiresAt: expect.any(String) as string });
  const wanted = until(Date.now() + 500);
  await one.runner.apply(wanted);
  await one.event('lease', (lease) => lease.service === 'brief' && lease.phase === 'closed');
  expect(await one.event('applied', ({ closed }) => closed.length > 0)).toMatchObject({ closed: ['brief'] });
  expect(await get(at, 'lasting.localhost', one.ca)).toMatchObject({ status: 200 });
  expect(one.runner.plan(wanted).map(({ kind }) => kind)).toEqual(['keep']);
  expect(one.events).not.toContainEqual(expect.objectContaining({ service: 'gone' }));
});

it('says which relay is leaving while the one that replaces it does not respond', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port)));
  await one.event('lease', ({ phase }) => phase === 'ready');
  expect((await one.runner.status()).relays[0]).not.toHaveProperty('leaving');
  const missing = { kind: 'url', url: 'https://localhost:1' } as const;
  await one.runner.apply(desired([missing], service('web', port)));
  await expect
    .poll(async () => (await one.runner.status()).relays.map(({ leaving = false }) => leaving))
    .toEqual([true, false]);
  expect((await get(at, 'web.localhost', one.ca)).text).toContain('here');
  await one.runner.apply(desired([at.spec], service('web', port)));
  await expect
    .poll(async () => (await one.runner.status()).relays.map(({ leaving = false }) => leaving))
    .toEqual([false]);
});
