import { describe, expect, it } from 'vitest';
import { chain, chainOf, peerOf } from '../support/chain.js';
import { wire } from '../support/wire.js';
import { agent, desired, get, httpService, relay, service } from '../support/world.js';

const published = async (): Promise<number> =>
  (await httpService((_request, response) => response.end('hello'))).port;

const QUICK = { limits: { peerRetryMs: 50 } };

describe('the error of a broken chain names', () => {
  it('the exit, by the agent', async () => {
    const { exit, spec } = await chain(2);
    await exit.close();
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await published())));
    const { error } = await one.event('lease', ({ phase }) => phase === 'retrying');
    expect(error).toMatchObject({
      code: 'relay_unreachable',
      message: expect.stringContaining(`${exit.url} is unreachable`) as string,
    });
    const { relays } = await one.runner.status();
    expect(relays).toMatchObject([{ hops: [{ relay: exit.url, state: 'retrying' }] }]);
  });

  it.each([
    ['the entry, by the exit', 2, 0],
    ['the entry, by the one in the middle', 3, 0],
    ['the one in the middle, by the exit', 3, 1],
  ])('%s', async (_what, length, broken) => {
    const { relays, spec } = await chain(length);
    const [down, teller] = [relays[broken]!, relays[broken + 1]!];
    await down.close();
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await published())));
    const { error } = await one.event('lease', ({ phase }) => phase === 'retrying');
    expect(error).toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining(`${teller.url} could not reach ${down.url}`) as string,
    });
    // The relays that respond are not blamed.
    const [{ hops = [] } = {}] = (await one.runner.status()).relays;
    expect(hops.at(-1)).toMatchObject({ relay: relays.at(-1)!.url, state: 'connected' });
  });

  it('a full relay, by its limit', async () => {
    const { exit, spec } = await chain(2, {}, { limits: { maxHopConnections: 1 } });
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await published())));
    const { error } = await one.event('lease', ({ phase }) => phase === 'retrying');
    expect(error?.message).toContain(`${exit.url} does not forward to`);
    expect(error?.message).toContain('A limit of the relay is reached');
  });

  it('a hop with an untrusted certificate, by the agent', async () => {
    const { entry, exit } = await chain(2);
    const other = await relay();
    const spec = chainOf([
      Object.assign(Object.create(entry) as typeof entry, {
        spec: { ...entry.spec, caFile: other.ca.certificateFile },
      }),
      exit,
    ]);
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await published())));
    const { phase, error } = await one.event('lease', (event) => event.error !== undefined);
    expect(phase).toBe('failed');
    expect(error).toMatchObject({
      code: 'relay_untrusted',
      message: expect.stringContaining(entry.url) as string,
    });
  });
});

describe('a chain recovers', () => {
  it('when its exit returns, at the same address', async () => {
    const { entry, exit, spec } = await chain(2);
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await published())));
    const { url } = await one.event('lease', ({ phase }) => phase === 'ready');
    const seen = one.events.length;
    await exit.close();
    await one.event('lease', ({ phase }) => phase === 'retrying', seen);
    await relay({ port: exit.port, ca: exit.ca, peers: [peerOf(entry)], ...QUICK });
    const back = await one.event('lease', ({ phase }) => phase === 'ready', seen);
    expect(back.url).toBe(url);
    expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
  });

  it('when its entry was unavailable at the start', async () => {
    const entry = await relay();
    await entry.close();
    const exit = await relay({ peers: [peerOf(entry)], ...QUICK });
    const one = await agent();
    await one.runner.apply(desired([chainOf([entry, exit])], service('app', await published())));
    await one.event('lease', ({ error }) => error?.code === 'peer_unreachable');
    await relay({ port: entry.port, ca: entry.ca });
    await one.event('lease', ({ phase }) => phase === 'ready');
    expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
  });

  it('when its entry starts just after its exit: the first retry of a relay comes soon', async () => {
    let [port, requested] = [0, 0];
    const between = await wire(() => {
      requested++;
      return port;
    });
    const entry = await relay({ publicPort: between.port });
    const exit = await relay({ peers: [peerOf(entry)], limits: { peerRetryMs: 3_600_000 } });
    await expect.poll(() => requested).toBeGreaterThan(0);
    port = entry.port;
    await expect.poll(() => exit.counts().knownPeers).toBe(1);
  });

  it('when the session with the exit is lost, without affecting the session with the entry', async () => {
    const { entry, exit: far, spec } = await chain(2);
    let port = 0;
    const between = await wire(() => port);
    const exit = await relay({ publicPort: between.port, peers: [peerOf(entry)] });
    port = exit.port;
    await expect.poll(() => exit.counts().knownPeers).toBe(1);
    expect(spec.hops).toHaveLength(2);
    await far.close();
    const one = await agent();
    await one.runner.apply(desired([chainOf([entry, exit])], service('app', await published())));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const seen = one.events.length;
    // The first that the agent opened.
    between.connections[0]!.kill();
    await expect.poll(async () => (await one.runner.status()).relays[0]?.hops?.[0]?.state).toBe('connected');
    for (let index = 0; index < 5; index++)
      expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
    expect(one.events.slice(seen)).toEqual([]);
  });
});
