import { describe, expect, it } from 'vitest';
import type { PortalEvent } from '../../reconcile/events.js';
import { News } from './news.js';

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
const applied = (revision: number): PortalEvent =>
  ({ event: 'applied', revision, opened: [], updated: [], replaced: [], closed: [] }) as never;
const served = (servedAs: string): PortalEvent => ({ event: 'served', service: 'web', servedAs }) as never;
const told = (news: News, events: readonly PortalEvent[]): boolean[] =>
  events.map((event) => news.isNews(event));

describe('news', () => {
  it('report that a target responds only if it did not respond before', () => {
    expect(told(new News(), [target(true), target(false), target(true)])).toEqual([false, true, true]);
  });

  it('report an unhealthy service only while its target responds', () => {
    const news = new News();
    expect(told(news, [target(false), health(false), health(true)])).toEqual([true, false, false]);
    expect(told(news, [target(true), health(false), health(true)])).toEqual([true, true, true]);
  });

  it('omit intermediate steps, and report the first pass as a whole', () => {
    const start = ['connecting', 'opening', 'ready'].map((phase) => lease(phase));
    expect(told(new News(), [...start, applied(1)])).toEqual([false, false, false, false]);
  });

  it('report a lost lease, each reason once, and its return', () => {
    const news = new News();
    told(news, [lease('ready'), applied(1)]);
    const lost = [
      lease('retrying', 'a'),
      lease('connecting'),
      lease('retrying', 'a'),
      lease('retrying', 'b'),
    ];
    expect(told(news, lost)).toEqual([true, false, false, true]);
    expect(told(news, [lease('opening'), lease('ready'), lease('ready')])).toEqual([false, true, false]);
    expect(told(news, [lease('draining'), lease('closed')])).toEqual([false, false]);
  });

  it('report a later edit, and a change of a target’s protocol', () => {
    const news = new News();
    expect(told(news, [served('undecided'), served('http'), served('stream')])).toEqual([false, false, true]);
    expect(told(news, [applied(1), applied(2)])).toEqual([false, true]);
  });

  it('contain only errors with --quiet, and each step with --verbose', () => {
    const events = [lease('connecting'), applied(1), lease('failed', 'a'), target(true), target(false)];
    expect(told(new News('quiet'), events)).toEqual([false, false, true, false, false]);
    expect(told(new News('verbose'), events)).toEqual([true, true, true, false, true]);
    expect(told(new News('quiet'), [lease('retrying', 'a'), health(false)])).toEqual([false, false]);
  });
});
