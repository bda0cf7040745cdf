import { expect, it } from 'vitest';
import type { PortalEvent } from '../../reconcile/events.js';
import { createStyle } from '../text/style.js';
import { EventGroups } from './event-groups.js';

const lost = (service: string, relay = 'https://a'): PortalEvent => ({
  event: 'lease',
  service,
  relay,
  phase: 'retrying',
  error: { code: 'relay_unreachable', message: 'connection lost' },
});

const readyAgain = (service: string): PortalEvent => {
  const { error: _, ...lease } = lost(service) as Extract<PortalEvent, { event: 'lease' }>;
  return { ...lease, phase: 'ready', url: `https://${service}.a` };
};

const atPort = (event: PortalEvent, tcpAddr: string) =>
  ({ ...event, url: undefined, tcpAddr }) as PortalEvent;

function reporter() {
  const lines: string[] = [];
  return { lines, groups: new EventGroups(createStyle(false), (line) => lines.push(line)) };
}

it('prints one line for a lost relay, however many services it had', () => {
  const { lines, groups } = reporter();
  for (const service of ['a', 'b', 'c', 'd']) groups.print(lost(service));
  groups.print(lost('e', 'https://b'));
  groups.flush();
  expect(lines).toEqual([
    'https://a: 4 services retrying: connection lost [relay_unreachable]',
    'e: retrying (https://b): connection lost [relay_unreachable]',
  ]);
});

it.each(['relay_key_changed', 'address_in_use'])(
  'prints one line if services fail together with %s',
  (code) => {
    const { lines, groups } = reporter();
    const error = {
      code,
      message: 'https://a has the key 0x2 now',
      hint: 'Ask its operator.',
    };
    for (const service of ['a', 'b', 'c'])
      groups.print({ event: 'lease', service, relay: 'https://a', phase: 'failed', error });
    groups.print({ event: 'stopped', reason: 'all_failed' });
    expect(lines).toEqual([
      `3 services failed: https://a has the key 0x2 now [${code}]\n  Ask its operator.`,
      'stopped: all_failed',
    ]);
  },
);

it('prints one line for a relay that recovers, and no more for services that return later', () => {
  const { lines, groups } = reporter();
  for (const service of ['a', 'b', 'c']) groups.print(lost(service));
  for (const service of ['b', 'a', 'c']) groups.print(readyAgain(service));
  groups.flush();
  groups.print(readyAgain('a'));
  expect(lines.slice(1)).toEqual(['https://a: 3 services ready again', 'a: ready at https://a.a']);
});

it('prints one line for services whose events arrive one by one, as from a background agent', async () => {
  const { lines, groups } = reporter();
  for (const service of ['a', 'b', 'c']) {
    groups.print(lost(service));
    await new Promise((resolve) => setImmediate(resolve));
  }
  groups.flush();
  expect(lines).toEqual(['https://a: 3 services retrying: connection lost [relay_unreachable]']);
});

it('prints lines in the order of events', () => {
  const { lines, groups } = reporter();
  groups.print(lost('a'));
  groups.print({ event: 'stopped', reason: 'down' });
  groups.print(lost('b'));
  groups.flush();
  expect(lines.map((line) => line.split(':')[0])).toEqual(['a', 'stopped', 'b']);
});

const taken = (service: string, relay = 'https://relay.example.com'): PortalEvent => ({
  event: 'lease',
  service,
  relay,
  phase: 'failed',
  error: { code: 'name_taken', message: `"${service}" is taken by another identity.` },
});

it('says why services failed before it says that the agent stopped', () => {
  const { lines, groups } = reporter();
  groups.print(taken('web'));
  groups.print({ event: 'stopped', reason: 'all_failed' });
  expect(lines.map((line) => line.split(':')[0])).toEqual(['web', 'stopped']);
});

const applied: PortalEvent = {
  event: 'applied',
  revision: 1,
  opened: [],
  updated: [],
  replaced: [],
  closed: [],
  kept: [],
  failed: [],
  durationMs: 1,
};

function seen(...events: readonly PortalEvent[]): string[] {
  const { lines, groups } = reporter();
  for (const event of events) {
    if (event.event === 'lease' && event.phase === 'failed') groups.print(event);
    groups.note(event);
  }
  return lines;
}

it('prints one message if another identity has the names of all services on a relay', () => {
  expect(seen(taken('web'), taken('api'), taken('docs'), applied)).toEqual([
    'All 3 names are taken by another identity on relay.example.com. Use a different name for each person, for example `name: web-${user}`.',
  ]);
});

it('prints one message if some of the names are reserved', () => {
  const reserved = { ...taken('api'), error: { code: 'name_reserved', message: 'reserved' } } as PortalEvent;
  expect(seen(taken('web'), reserved, applied)).toEqual([
    'All 2 names are taken or reserved on relay.example.com. Use a different name for each person, for example `name: web-${user}`.',
  ]);
});

it('prints a line for each service if only some names are taken', () => {
  const ready = { ...taken('docs'), phase: 'ready', error: undefined } as unknown as PortalEvent;
  const lines = seen(taken('web'), taken('api'), ready, applied);
  expect(lines.map((line) => line.split(':')[0])).toEqual(['web', 'api']);
  expect(seen(taken('web'), applied)).toHaveLength(1);
  expect(seen(taken('web'), applied)[0]).toContain('web: failed');
});

it('prints the message without `applied` when the reporter closes, and again after a later save', () => {
  const { lines, groups } = reporter();
  for (const service of ['web', 'api']) {
    groups.print(taken(service));
    groups.note(taken(service));
  }
  groups.flush();
  expect(lines).toHaveLength(1);
  groups.note(applied);
  for (const service of ['web', 'api']) groups.note({ ...taken(service), phase: 'opening' } as PortalEvent);
  for (const service of ['web', 'api']) {
    groups.print(taken(service));
    groups.note(taken(service));
  }
  expect(lines).toHaveLength(2);
});

const target = (service: string, reachable = false): PortalEvent => ({
  event: 'target',
  service,
  target: 'localhost:1',
  reachable,
  ...(!reachable && { error: 'nothing listens on port 1' }),
});

it('prints one line for many targets that stop together, and one when they are back', () => {
  const { lines, groups } = reporter();
  const services = Array.from({ length: 30 }, (_, index) => `web-${index}`);
  for (const service of services) groups.print(target(service));
  groups.flush();
  for (const service of services) groups.print(target(service, true));
  groups.flush();
  expect(lines).toEqual([
    '30 targets unreachable: web-0, web-1, web-2 and 27 more\n  web-0: nothing listens on port 1',
    '30 targets reachable again: web-0, web-1, web-2 and 27 more',
  ]);
});

it('names the route of a target if the service has several', () => {
  const { lines, groups } = reporter();
  const down = { ...target('app'), routes: ['/api'] } as PortalEvent;
  groups.print(down);
  groups.print({ ...down, routes: ['/', '/old'] } as PortalEvent);
  groups.flush();
  expect(lines).toEqual([
    'app/api: unreachable: nothing listens on port 1',
    'app (routes / and /old): unreachable: nothing listens on port 1',
  ]);
});

it('prints one line for each of a few targets, before later events', () => {
  const { lines, groups } = reporter();
  groups.print(target('a'));
  groups.print(target('b'));
  groups.print(applied);
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['a:', 'b:', 'applied']);
});

it('prints a target that stops without waiting for another event', async () => {
  const { lines, groups } = reporter();
  groups.print(target('a'));
  await expect.poll(() => lines).toHaveLength(1);
});

it('prints a line of its own for a service that recovers at another port', () => {
  const { lines, groups } = reporter();
  for (const service of ['a', 'b', 'c']) groups.print(atPort(lost(service), 'relay:1'));
  for (const service of ['a', 'b']) groups.print(atPort(readyAgain(service), 'relay:1'));
  groups.print(atPort(readyAgain('c'), 'relay:2'));
  groups.flush();
  expect(lines.slice(1)).toEqual(['c: ready at relay:2', 'https://a: 2 services ready again']);
});
