import { describe, expect, it } from 'vitest';
import { chain } from '../support/chain.js';
import { agent, desired, get, httpService, service } from '../support/world.js';

describe('a chain', () => {
  it.each([2, 3])('of %d relays publishes a service at its first relay', async (length) => {
    const { entry, relays, spec } = await chain(length);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', port)));
    const ready = await one.event('lease', ({ phase }) => phase === 'ready');
    expect(ready).toMatchObject({
      relay: relays.map(({ url }) => url).join(','),
      url: `https://app.localhost:${entry.port}`,
    });
    expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
    const status = await one.runner.status();
    expect(status.leases[0]!.provenAt).toBeDefined();
    expect(status.relays).toMatchObject([
      { state: 'connected', hops: relays.slice(1).map(({ url }) => ({ relay: url, state: 'connected' })) },
    ]);
    await one.runner.stop({ reason: 'test', drainMs: 0 });
    await expect.poll(() => relays.map((each) => each.counts().hops)).toEqual(relays.map(() => 0));
    await expect.poll(() => relays.map((each) => each.counts().sessions)).toEqual(relays.map(() => 0));
  });
});
