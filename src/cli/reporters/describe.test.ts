import { expect, it } from 'vitest';
import type { PortalEvent } from '../../reconcile/events.js';
import { createStyle } from '../text/style.js';
import { describeEvent } from './describe.js';

const shown = (event: PortalEvent): string => describeEvent(event, createStyle(false));

it.each([
  ['SIGINT', 'stopped: SIGINT'],
  ['down', 'stopped: portal down'],
  ['starter exited', 'stopped: its start failed or was interrupted'],
  ['output closed', 'stopped: its output was closed'],
  ['all_failed', 'stopped: all_failed'],
])('says why the agent stopped: %s', (reason, text) => {
  expect(shown({ event: 'stopped', reason })).toBe(text);
  expect(shown({ event: 'stopped', reason, disconnected: 2 })).toBe(`${text}; disconnected 2 visitors`);
});

it.each([
  [undefined, 'it is in use, or the relay does not offer it'],
  [{ from: 20_000, to: 20_999 }, 'the relay offers the ports 20000-20999'],
  [{ from: 25_565, to: 25_600 }, 'it is in use, or reserved for another identity'],
])('says why a relay with the ports %j did not assign the requested one', (portRange, why) => {
  const lease = { event: 'lease', service: 'game', relay: 'https://a', tcpAddr: 'a:20005' } as const;
  expect(
    shown({ ...lease, phase: 'ready', proven: true, askedPort: 25_565, ...(portRange && { portRange }) }),
  ).toBe(`game: ready at a:20005 (not port 25565: ${why})`);
});

it('does not call a service ready while its target is down', () => {
  const lease = {
    event: 'lease',
    service: 'api',
    relay: 'https://a',
    url: 'https://api.a',
    phase: 'ready',
  } as const;
  expect(shown({ ...lease, proven: true, unreachable: true })).toBe(
    'api: published at https://api.a; the target is down',
  );
  expect(shown({ ...lease, proven: true })).toBe('api: ready at https://api.a');
});

it('describes a change of the configuration without its number', () => {
  const none = { opened: [], replaced: [], closed: [], kept: [], failed: [] };
  expect(shown({ event: 'applied', revision: 7, ...none, updated: ['web'], durationMs: 5.2 })).toBe(
    'applied the configuration: updated web (5 ms)',
  );
});

it.each([
  [['bye'], [], 'expired bye (5 ms)'],
  [['bye'], ['web'], 'applied the configuration: updated web; expired bye (5 ms)'],
])('says that services ended by their `expires`: %j', (expired, updated, text) => {
  const none = { opened: [], replaced: [], kept: [], failed: [] };
  expect(
    shown({ event: 'applied', revision: 7, ...none, updated, closed: expired, expired, durationMs: 5 }),
  ).toBe(text);
});

it('marks a save that opens services to more people', () => {
  const none = { opened: [], replaced: [], closed: [], kept: [], failed: [] };
  const updated = ['web', 'api'];
  const applied = { event: 'applied' as const, revision: 7, ...none, updated, durationMs: 5 };
  expect(shown({ ...applied, exposed: ['web'] })).toBe(
    'applied the configuration: updated web, api (5 ms); ! web opens to more people',
  );
  expect(shown({ ...applied, exposed: ['web', 'api'] })).toMatch(/; ! web, api open to more people$/);
});

it('describes held requests without their path', () => {
  const of = { service: 'hooks', route: '/', id: '1', waiting: 2 };
  expect(shown({ ...of, event: 'held', until: '2027-01-31T18:00:00Z' })).toBe(
    'hooks: held a request until the target is back (2 held)',
  );
  expect(shown({ ...of, waiting: 0, event: 'delivered', status: 200, heldMs: 61_000, attempts: 1 })).toBe(
    'hooks: delivered a held request after 1m: 200 (no other is held)',
  );
  expect(shown({ ...of, event: 'expired', reason: 'its route is not running', attempts: 0 })).toBe(
    'hooks: a held request expired: its route is not running (2 more held)',
  );
});

it('says which visitor a gate rejected', () => {
  expect(shown({ event: 'refused', service: 'web', remote: '192.0.2.1', reason: 'pin' })).toBe(
    'web: rejected a visitor from 192.0.2.1 (pin)',
  );
});

it('calls a service unverified that no visit of the agent has reached', () => {
  const unproven = { since: '', failures: 1, reason: 'timeout' };
  const lease = { event: 'lease', service: 'web', relay: 'https://a', url: 'https://web.a' } as const;
  expect(shown({ ...lease, phase: 'ready', proven: false, unproven })).toMatch(
    /^web: ready \(unverified\) at https:\/\/web\.a: .*timed out/,
  );
  expect(shown({ event: 'ready', services: {}, unproven: ['web'] })).toBe(
    'all services are ready, unverified: web',
  );
});

it('does not call a service ready whose target is down', () => {
  expect(shown({ event: 'ready', services: {}, unreachable: ['web', 'api'] })).toBe(
    'all services are published, target down: web, api',
  );
});
