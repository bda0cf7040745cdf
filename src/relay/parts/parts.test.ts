import { expect, it, onTestFinished } from 'vitest';
import { generateIdentity } from '../../identity/keys.js';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { readDenyList } from '../protection/access-lists.js';
import type { RelayOptions } from '../options.js';
import type { SessionContext } from '../sessions/session.js';
import { Access } from './access.js';
import { Control } from './control.js';
import { Health } from './health.js';
import { Leasing } from './leasing.js';
import { DurableState } from './durable-state.js';
import { placeAt, settingsOf } from './settings.js';
import { Visiting } from './visiting.js';

/** Parts of a relay that listens nowhere. */

const options = (over: Partial<RelayOptions> = {}): RelayOptions => ({
  domain: 'relay.test',
  host: '127.0.0.1',
  port: 0,
  store: 'memory',
  identity: generateIdentity(),
  ...over,
});

async function leasing(over: Partial<RelayOptions> = {}) {
  const settings = settingsOf(options(over));
  const access = new Access(settings);
  const durable = await DurableState.open(settings, access.quotas.refusals);
  const visiting = new Visiting(settings, access);
  const made = new Leasing(settings, { access, durable, visiting });
  onTestFinished(async () => {
    visiting.close();
    await made.close();
    await durable.close();
  });
  return { durable, leasing: made };
}

it('a place names its port unless that is 443', () => {
  const hosts = [{ host: '127.0.0.1' }];
  expect(placeAt(options(), hosts, 8443)).toMatchObject({
    port: 8443,
    publicPort: 8443,
    authority: 'relay.test:8443',
    url: 'https://relay.test:8443',
  });
  expect(placeAt(options({ publicPort: 443 }), hosts, 8443)).toMatchObject({
    port: 8443,
    publicPort: 443,
    authority: 'relay.test',
    url: 'https://relay.test',
  });
});

it('the options of a relay change its limits, including those for few file descriptors', () => {
  const { limits } = settingsOf(options({ limits: { graceMs: 7 } }));
  expect(limits).toMatchObject({ graceMs: 7 });
  const few = settingsOf(options({ descriptorLimit: 200 })).limits;
  expect(few.maxUnroutedConnections).toBeLessThan(limits.maxUnroutedConnections);
});

it('control channels wait until the relay has started, and end with it', () => {
  const settings = settingsOf(options());
  const control = new Control(settings, new Access(settings));
  expect(control.reject(new FakeSocket())).toMatchObject({ code: 'relay_busy', retryAfterSeconds: 1 });
  control.start({} as SessionContext, () => undefined);
  expect(control.reject(new FakeSocket())).toBeUndefined();
  control.stop();
  expect(control.reject(new FakeSocket())).toMatchObject({ code: 'shutting_down' });
});

it('a relay that stops is unhealthy', () => {
  const health = new Health(undefined);
  expect([health.problem(), health.stopping, health.certificateEndsAt]).toEqual([
    undefined,
    false,
    undefined,
  ]);
  health.stop();
  expect([health.problem(), health.stopping]).toEqual(['stopping', true]);
});

it('visitors of reserved names wait once the relay listens', async () => {
  const { leasing: made, durable } = await leasing();
  await durable.store.reserve('web', '0xA', Date.now());
  expect(made.leases.expected.at('web.relay.test')).toBeUndefined();
  await made.expectAgents();
  expect(made.leases.expected.at('web.relay.test')).toBeDefined();
  await made.close();
  expect([made.leases.size, made.leases.expected.at('web.relay.test')]).toEqual([0, undefined]);
});

it('a relay offers the kinds of ports that have a range', async () => {
  const { leasing: made } = await leasing({ ports: { tcp: { from: 1, to: 2 } } });
  expect([made.ports.offers('tcp'), made.ports.offers('udp')]).toEqual([true, false]);
});

it('a client on the deny list, or with too many connections, gets none', () => {
  const deny = readDenyList('192.0.2.0/24');
  const access = new Access(settingsOf(options({ deny, limits: { maxConnectionsPerAddress: 1 } })));
  const admits = (address: string): boolean => access.admits(new FakeSocket(address).asSocket);
  expect([admits('192.0.2.1'), admits('198.51.100.1'), admits('198.51.100.1')]).toEqual([false, true, false]);
});
