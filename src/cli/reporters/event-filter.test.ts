import { describe, expect, it } from 'vitest';
import type { PortalEvent } from '../../reconcile/events.js';
import { EventFilter } from './event-filter.js';

const target = (reachable: boolean) =>
  ({ event: 'target', service: 'web', target: 'localhost:3000', reachable }) as const;
const health = (healthy: boolean) => ({ event: 'health', service: 'web', healthy }) as const;
const lease = (phase: string, code?: string): PortalEvent =>
  ({
    event: 'lease',
    service: 'web',
    relay: 'https://a',
    phase,
    ...(code !== undefined && { error: { code, message: 'm' } }),
  }) as PortalEvent;
const readyAt = (tcpAddr: string, askedPort?: number): PortalEvent =>
  ({ ...lease('ready'), tcpAddr, ...(askedPort !== undefined && { askedPort }) }) as PortalEvent;
const applied = (revision: number): PortalEvent =>
  ({ event: 'applied', revision, opened: [], updated: [], replaced: [], closed: [] }) as never;
const served = (servedAs: string): PortalEvent => ({ event: 'served', service: 'web', servedAs }) as never;
const stopped = (reason: string): PortalEvent => ({ event: 'stopped', reason });
const told = (filter: EventFilter, events: readonly PortalEvent[]): boolean[] =>
  events.map((event) => filter.isShown(event));

const held = (event: 'held' | 'delivered' | 'expired', waiting: number): PortalEvent =>
  ({ event, service: 'web', route: '/', id: '1', waiting }) as never;

describe('the filter', () => {
  it('report the first request that is held and the last that is delivered, and each that expires', () => {
    const events = [held('held', 1), held('held', 2), held('delivered', 1), held('delivered', 0)];
    expect(told(new EventFilter(), events)).toEqual([true, false, false, true]);
    expect(told(new EventFilter('verbose'), events)).toEqual([true, true, true, true]);
    expect(told(new EventFilter('quiet'), [...events, held('expired', 0)])).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
  });

  it('report that a command waits, its first start, and each exit', () => {
    const events = ['waiting', 'running', 'exited', 'running', 'stopped'].map(
      (state): PortalEvent => ({ event: 'command', service: 'web', name: 'web', state }) as never,
    );
    expect(told(new EventFilter(), events)).toEqual([true, true, true, false, false]);
    expect(told(new EventFilter('verbose'), events)).toEqual([true, true, true, true, true]);
  });

  it('report that a target responds only if it did not respond before', () => {
    expect(told(new EventFilter(), [target(true), target(false), target(true)])).toEqual([false, true, true]);
  });

  it('report an unhealthy service only while its target responds', () => {
    const filter = new EventFilter();
    expect(told(filter, [target(false), health(false), health(true)])).toEqual([true, false, false]);
    expect(told(filter, [target(true), health(false), health(true)])).toEqual([true, true, true]);
  });

  it('omit intermediate steps, and report the first pass as a whole', () => {
    const start = ['connecting', 'opening', 'ready'].map((phase) => lease(phase));
    expect(told(new EventFilter(), [...start, applied(1)])).toEqual([false, false, false, false]);
  });

  it('report a port other than the requested one, even in the first pass', () => {
    const other = { ...lease('ready'), askedPort: 25565 } as PortalEvent;
    expect(told(new EventFilter(), [other, applied(1)])).toEqual([true, false]);
  });

  it('report a new port of a ready service, and one that the relay did not assign', () => {
    const filter = new EventFilter();
    told(filter, [readyAt('a:1'), applied(1)]);
    expect(told(filter, [readyAt('a:2'), readyAt('a:2')])).toEqual([true, false]);
    expect(told(filter, [readyAt('a:2', 3), readyAt('a:2', 3)])).toEqual([true, false]);
    expect(told(filter, [readyAt('a:2')])).toEqual([true]);
  });

  it('report a lost lease, each reason once, and its return', () => {
    const filter = new EventFilter();
    told(filter, [lease('ready'), applied(1)]);
    const lost = [
      lease('retrying', 'a'),
      lease('connecting'),
      lease('retrying', 'a'),
      lease('retrying', 'b'),
    ];
    expect(told(filter, lost)).toEqual([true, false, false, true]);
    expect(told(filter, [lease('opening'), lease('ready'), lease('ready')])).toEqual([false, true, false]);
    expect(told(filter, [lease('draining'), lease('closed')])).toEqual([false, false]);
  });

  it('report that the agent stopped, unless an error follows', () => {
    expect(told(new EventFilter(), [stopped('SIGINT'), stopped('all_failed')])).toEqual([true, false]);
    expect(told(new EventFilter('verbose'), [stopped('all_failed')])).toEqual([true]);
  });

  it('report a later edit, and a change of a target’s protocol', () => {
    const filter = new EventFilter();
    expect(told(filter, [served('undecided'), served('http'), served('stream')])).toEqual([
      false,
      false,
      true,
    ]);
    expect(told(filter, [applied(1), applied(2)])).toEqual([false, true]);
  });

  it('contain only errors with --quiet, and each step with --verbose', () => {
    const events = [lease('connecting'), applied(1), lease('failed', 'a'), target(true), target(false)];
    expect(told(new EventFilter('quiet'), events)).toEqual([false, false, true, false, false]);
    expect(told(new EventFilter('verbose'), events)).toEqual([true, true, true, false, true]);
    expect(told(new EventFilter('quiet'), [lease('retrying', 'a'), health(false)])).toEqual([false, false]);
  });
});
