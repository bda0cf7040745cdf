import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RelaySession } from '../../src/agent/session/session.js';
import type { RelaySpec } from '../../src/agent/spec.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { deferred, delay } from '../../src/lib/wait.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import {
  agent,
  desired,
  get,
  handedOver,
  httpService,
  relay,
  service,
  visit,
  type TestAgent,
  type TestRelay,
} from '../support/world.js';
import { log } from '../support/log.js';
import { wire, type Wire } from '../support/wire.js';

const QUICK = { heartbeatMs: 200 };

/** A relay that agents reach through a path that the test controls. Visitors may connect directly. */
async function relayBehindWire(
  limits: Partial<RelayLimits>,
): Promise<{ at: TestRelay; path: Wire; spec: RelaySpec }> {
  let target = 0;
  const path = await wire(() => target);
  const at = await relay({ publicPort: path.port, limits });
  target = at.port;
  return {
    at,
    path,
    spec: { kind: 'url', url: `https://localhost:${path.port}`, caFile: at.ca.certificateFile },
  };
}

/** Resolves when the lease leaves `ready`, and again when it returns. */
async function lostAndBack(one: TestAgent, from: number): Promise<void> {
  const lost = await one.event('lease', ({ phase }) => phase === 'retrying', from);
  await one.event('lease', ({ phase }) => phase === 'ready', one.events.indexOf(lost));
}

/**
 * The index of the event at which the service was ready: on a busy machine, a heartbeat this short may lose its first
 * session.
 */
async function readyMark(one: TestAgent): Promise<number> {
  return one.events.indexOf(await one.event('ready')) + 1;
}

/** A service on a relay that its agent reaches through `path`, which leads to `way.target`. */
async function serviceBehindWire(limits: Partial<RelayLimits> = {}) {
  const way = { target: 0 };
  const path = await wire(() => way.target);
  const at = await relay({ publicPort: path.port, limits });
  way.target = at.port;
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  const url = `https://localhost:${path.port}`;
  await one.runner.apply(
    desired([{ kind: 'url', url, caFile: at.ca.certificateFile }], service('app', port)),
  );
  await one.event('ready');
  return { at, one, path, way };
}

it('data connections that briefly could not be opened arrive in time for waiting visitors', async () => {
  const { at, one, path, way } = await serviceBehindWire();
  // Nothing listens there.
  way.target = 1;
  const visitors = Array.from({ length: 8 }, () => visit(at, 'app.localhost', one.ca));
  await expect.poll(() => at.counts().waiting).toBeGreaterThan(0);
  await expect.poll(() => path.connections.length).toBeLessThan(8);
  way.target = at.port;
  await Promise.all(visitors);
});

it('visitors who came while the agent changed networks are served when it returns', async () => {
  const { at, one, path, way } = await serviceBehindWire({ silentDataMs: -1 });
  await get(at, 'app.localhost', one.ca);
  await expect.poll(() => path.connections.length).toBeGreaterThan(3);
  // The relay keeps its ends, and gives these connections to the visitors.
  way.target = 1;
  while (path.connections.length > 0) path.connections[0]!.leave();
  const visits = Array.from({ length: 3 }, () => get(at, 'app.localhost', one.ca));
  // Some get a connection that is dead, and the others wait.
  await expect
    .poll(() => {
      const { visitors, waiting } = at.counts();
      return [visitors > 0, visitors + waiting];
    })
    .toEqual([true, 3]);
  way.target = at.port;
  expect((await Promise.all(visits)).map(({ text }) => text.includes('hello'))).toEqual([true, true, true]);
});

describe('reconnecting', () => {
  it('has the same hostname after the relay was killed and restarted', async () => {
    const first = await relay({ limits: QUICK });
    const { port } = await httpService((_request, response) => response.end('here'));
    const one = await agent();
    await one.runner.apply(desired([first.spec], service('web', port)));
    const mark = await readyMark(one);
    await first.close();
    const second = await relay({ limits: QUICK, port: first.port, ca: first.ca });
    await lostAndBack(one, mark);
    expect((await get(second, 'web.localhost', one.ca)).text).toContain('here');
    expect((await one.runner.status()).leases[0]).toMatchObject({
      phase: 'ready',
      url: `https://web.localhost:${first.port}`,
    });
  });

  it('recovers when the control connection is cut, and a visitor notices nothing', async () => {
    const { at, path, spec } = await relayBehindWire(QUICK);
    const held = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([spec], service('web', held.port)));
    const visitor = await visit(at, 'web.localhost', one.ca);
    visitor.setEncoding('utf8');
    const source = await held.next();
    source.write('before');
    await once(visitor, 'data');

    const mark = await readyMark(one);
    path.connections[0]!.kill();
    await one.event('lease', ({ phase }) => phase === 'retrying', mark);
    source.write('while it is away ');
    expect((await once(visitor, 'data'))[0]).toBe('while it is away ');
    await lostAndBack(one, mark);
    source.write('after');
    expect((await once(visitor, 'data'))[0]).toBe('after');
    expect((await one.runner.status()).leases[0]).toMatchObject({
      phase: 'ready',
      url: `https://web.localhost:${path.port}`,
    });
  });

  it('queues a visitor who comes while the agent is disconnected until it returns', async () => {
    const { at, path, spec } = await relayBehindWire(QUICK);
    const { port } = await httpService((_request, response) => response.end('worth the wait'));
    const one = await agent();
    await one.runner.apply(desired([spec], service('web', port)));
    const mark = await readyMark(one);
    path.connections[0]!.kill();
    await one.event('lease', ({ phase }) => phase === 'retrying', mark);
    expect((await get(at, 'web.localhost', one.ca)).text).toContain('worth the wait');
  });

  it('never reports ready while a frozen relay blocks visitors, and is ready after it resumes', async () => {
    const { at, path, spec } = await relayBehindWire({ heartbeatMs: 60_000 });
    const { port } = await httpService((_request, response) => response.end('awake'));
    const one = await agent();
    await one.runner.apply(desired([spec], service('web', port)));
    expect((await one.runner.status()).leases[0]?.phase).toBe('ready');
    const mark = one.events.length;
    path.freeze();
    // The heartbeat is a minute away, so only the probe can detect it.
    expect((await one.runner.status()).leases[0]?.phase).toBe('retrying');
    path.thaw();
    await lostAndBack(one, mark);
    expect((await get(at, 'web.localhost', one.ca)).text).toContain('awake');
    expect((await one.runner.status()).leases[0]).toMatchObject({
      phase: 'ready',
      retries: expect.any(Number),
    });
  });

  it('detects a silent relay by heartbeat alone', async () => {
    const { path, spec } = await relayBehindWire(QUICK);
    const { port } = await httpService((_request, response) => response.end('x'));
    const one = await agent();
    await one.runner.apply(desired([spec], service('web', port)));
    const mark = await readyMark(one);
    path.freeze();
    const { error } = await one.event('lease', ({ phase }) => phase === 'retrying', mark);
    expect(error?.code).toBe('relay_unreachable');
    path.thaw();
    await one.event('lease', ({ phase }) => phase === 'ready', one.events.length);
  });

  it('sends goaway before it shuts down, and the agent connects to the new process', async () => {
    const first = await relay({ limits: QUICK });
    const { port } = await httpService((_request, response) => response.end('x'));
    const one = await agent();
    await one.runner.apply(desired([first.spec], service('web', port)));
    const mark = await readyMark(one);
    await first.close({ drainMs: 1_000 });
    const { error } = await one.event('lease', ({ phase }) => phase === 'retrying', mark);
    expect(error?.code).toBe('shutting_down');
    await relay({ limits: QUICK, port: first.port, ca: first.ca });
    await one.event('lease', ({ phase }) => phase === 'ready', mark);
  });
});

describe('two identities', () => {
  it('the second that requests a name learns that it is taken, and what to do', async () => {
    const at = await relay();
    const { port } = await httpService((_request, response) => response.end('mine'));
    const [one, two] = [await agent(), await agent()];
    await one.runner.apply(desired([at.spec], service('web', port)));
    await two.runner.apply(desired([at.spec], service('web', port)));
    const [lease] = (await two.runner.status()).leases;
    expect(lease).toMatchObject({ phase: 'failed', error: { code: 'name_taken' } });
    expect(lease?.error?.message).toMatch(/Use another name/);
    expect((await get(at, 'web.localhost', one.ca)).text).toContain('mine');
  });

  it('detects a relay that uses its own certificate', async () => {
    // The relay forwards the probe to another agent's service: the same name, but another key.
    const honest = await relay();
    const { port } = await httpService((_request, response) => response.end('x'));
    const stranger = await agent();
    await stranger.runner.apply(desired([honest.spec], service('web', port)));
    const lying = await relay({ publicPort: honest.port, ca: honest.ca });
    const victim = await agent();
    const spec: RelaySpec = {
      kind: 'url',
      url: `https://localhost:${lying.port}`,
      caFile: lying.ca.certificateFile,
    };
    await victim.runner.apply(desired([spec], service('web', port)));
    expect((await victim.runner.status()).leases[0]?.phase).not.toBe('ready');
  });
});

it('closes the session of a relay that is removed while its key is being checked', async () => {
  const at = await relay();
  const [requested, decided] = [deferred<void>(), deferred<void>()];
  const one = await agent({
    trust: {
      admit: async () => undefined,
      trust: async () => {
        requested.resolve();
        await decided.promise;
      },
      check: async () => undefined,
    },
  });
  await one.runner.apply(desired([at.spec]));
  await requested.promise;
  expect(at.counts().sessions).toBe(1);
  const closed = one.runner.apply(desired([]));
  await expect.poll(async () => (await one.runner.status()).relays).toEqual([]);
  decided.resolve();
  await closed;
  await expect.poll(() => at.counts().sessions).toBe(0);
});

it('reaches a slow relay while the machine’s addresses keep changing', async () => {
  const at = await relay();
  let tell: ((addresses: ReadonlySet<string>) => void) | undefined;
  const session = new RelaySession({
    resolve: async () => {
      await delay(700);
      return { url: at.url, ca: at.ca.certificatePem };
    },
    identity: generateIdentity(),
    instance: randomUUID(),
    version: 'test',
    network: { watch: (changed) => ((tell = changed), () => undefined) },
    log,
  });
  onTestFinished(() => session.close());
  const flapping = setInterval(() => tell?.(new Set()), 50);
  onTestFinished(() => clearInterval(flapping));
  await expect.poll(() => session.status().state, { timeout: 20_000 }).toBe('connected');
});
