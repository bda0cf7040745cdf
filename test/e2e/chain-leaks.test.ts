import { expect, it } from 'vitest';
import { chain } from '../support/chain.js';
import { agent, desired, get, httpService, service } from '../support/world.js';

const TIMES = Number(process.env['CHAIN_TIMES'] ?? 15);

/** Open sockets of this process, which contains relays, agent, service and visitors. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => /TCPSocketWrap|UDPWrap/.test(kind)).length;
}

it('leaves nothing open when chains come and go', { timeout: 30_000 + TIMES * 10_000 }, async () => {
  const limits = { requestHeadMs: 500 };
  const { entry, relays, spec } = await chain(3, { limits, ports: { tcp: 'any', udp: 'any' } }, { limits });
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  const quiet = async (): Promise<void> => {
    for (const at of relays)
      await expect
        .poll(() => at.counts())
        .toMatchObject({ sessions: 0, leases: 0, hops: 0, hopTickets: 0, visitors: 0, unrouted: 0 });
  };
  const all = [
    service('app', port, { carrier: 'tls' }),
    service('raw', port, { mode: 'tcp', carrier: 'tls' }),
    service('packets', port, { mode: 'udp', carrier: 'ws' }),
  ];
  let before: number | undefined;
  for (let round = 0; round < TIMES; round++) {
    const seen = one.events.length;
    await one.runner.apply({ ...desired([spec], ...all), relays: [] });
    for (const { service: name } of all)
      await one.event('lease', (event) => event.service === name && event.phase === 'ready', seen);
    expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
    // Some close while they reopen.
    if (round % 3 === 2) {
      await one.runner.apply({ ...desired([spec]), relays: [] });
      void one.runner.apply({ ...desired([spec], ...all), relays: [] });
      await new Promise(setImmediate);
    }
    await one.runner.apply({ ...desired([spec]), relays: [] });
    await quiet();
    if (round === 1) before = sockets();
  }
  await expect.poll(sockets).toBeLessThanOrEqual(before ?? 0);
});
