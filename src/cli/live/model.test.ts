import { describe, expect, it } from 'vitest';
import type { LeaseStatus } from '../../agent/status.js';
import type { ServedAs } from '../../agent/spec.js';
import { LiveModel, type Snapshot } from './model.js';

const lease = (over: Partial<LeaseStatus> = {}): LeaseStatus => ({
  service: 'web',
  relay: 'https://a',
  phase: 'ready',
  since: '',
  retries: 0,
  url: 'https://web.a',
  visitors: 1,
  bytesIn: 0,
  bytesOut: 0,
  mode: 'http',
  servedAs: 'http',
  target: 'localhost:3000',
  ...over,
});
const snapshot = (leases: readonly LeaseStatus[], over: Partial<Snapshot> = {}): Snapshot => ({
  leases,
  relays: [],
  unplaced: [],
  requests: [],
  inspector: undefined,
  ...over,
});

const STARTING = { targets: ['localhost:3000'] };

const viewOf = (...servedAs: ServedAs[]): unknown =>
  new LiveModel().view(snapshot(servedAs.map((each) => lease({ servedAs: each }))), 0).services[0];

const startingView = (starting: LeaseStatus['starting']) => {
  const down = { targetError: 'no', targetErrors: { 'localhost:3000': 'no' } };
  const all = lease({ ...down, ...(starting && { starting }) });
  return new LiveModel().view(snapshot([all]), 0).services[0]!;
};

const held = (service: string, route: string, waiting: number) => ({
  service,
  route,
  waiting,
  bytes: 1,
  since: '',
});

describe('the model of the live view', () => {
  it('groups the leases of a service, the best one first', () => {
    const other = lease({ relay: 'https://b', url: 'https://web.b', phase: 'retrying', visitors: 2 });
    const { services } = new LiveModel().view(snapshot([other, lease(), lease({ phase: 'draining' })]), 0);
    expect(services).toMatchObject([
      { state: 'degraded', open: 3, addresses: ['https://web.a', 'https://web.b'] },
    ]);
  });

  it.each<[string, Partial<LeaseStatus>]>([
    ['ready', {}],
    ['target down', { targetError: 'nothing listens' }],
    ['target down', { targetError: 'nothing listens', unproven: { since: '', failures: 1, reason: 'x' } }],
    ['degraded', { targetError: 'nothing listens', routes: { '/': 'localhost:1', '/api': 'localhost:2' } }],
    [
      'target down',
      { targetError: 'nothing listens', routes: { '/': 'localhost:1', '/api': 'localhost:1' } },
    ],
    ['starting', { targetError: 'x', targetErrors: { 'localhost:3000': 'x' }, starting: STARTING }],
    // Another target of the service is down.
    [
      'degraded',
      {
        targetError: 'x',
        targetErrors: { 'localhost:3000': 'x', 'localhost:1': 'y' },
        routes: { '/': 'localhost:3000', '/api': 'localhost:1' },
        starting: STARTING,
      },
    ],
    ['unhealthy', { healthError: 'GET / returned 500' }],
    ['unverified', { unproven: { since: '', failures: 1, reason: 'timeout' } }],
    ['failed', { phase: 'failed', targetError: 'nothing listens' }],
    ['starting', { phase: 'opening' }],
    ['stopping', { phase: 'draining' }],
  ])('says %s of a lease with %j', (state, over) => {
    expect(new LiveModel().view(snapshot([lease(over)]), 0).services[0]!.state).toBe(state);
  });

  it('says that a service is degraded while one of its relays has a problem', () => {
    const other = lease({ relay: 'https://b', phase: 'failed', error: { code: 'x', message: 'y' } });
    expect(new LiveModel().view(snapshot([lease(), other]), 0).services[0]!.state).toBe('degraded');
  });

  it('names each route whose target is down', () => {
    const routes = {
      '/': 'localhost:1',
      '/api': 'localhost:2',
      '/docs': 'localhost:2',
      '/ws': 'localhost:3',
    };
    const targetErrors = { 'localhost:2': 'nothing listens on 2', 'localhost:3': 'nothing listens on 3' };
    const down = lease({ routes, targetError: 'nothing listens on 2', targetErrors });
    expect(new LiveModel().view(snapshot([down]), 0).services[0]!.problems).toEqual([
      'routes /api and /docs: nothing listens on 2',
      'route /ws: nothing listens on 3',
    ]);
    const one = lease({
      routes: { '/': 'localhost:2', '/api': 'localhost:2' },
      targetError: 'x',
      targetErrors,
    });
    expect(new LiveModel().view(snapshot([one]), 0).services[0]!.problems).toEqual(['x']);
  });

  it('shows what a command waits for, and no dead target while it starts', () => {
    expect(startingView(STARTING)).toMatchObject({ state: 'starting', problems: [], isReachable: undefined });
    expect(startingView({ ...STARTING, waitsFor: ['api', 'db'] })).toMatchObject({
      state: 'starting',
      problems: ['waiting for api and db'],
    });
    expect(startingView(undefined)).toMatchObject({
      state: 'target down',
      problems: ['no'],
      isReachable: false,
    });
  });

  it('counts the held requests of all routes of a service', () => {
    const { services } = new LiveModel().view(
      snapshot([lease(), lease({ service: 'api' })], {
        unplaced: [{ service: 'lost', since: '', error: { code: 'x', message: 'y' } }],
        held: [held('web', '/', 1), held('web', '/hook', 2), held('lost', '/', 4)],
      }),
      0,
    );
    expect(services.map((each) => [each.service, each.held])).toEqual([
      ['web', 3],
      ['api', 0],
      ['lost', 4],
    ]);
  });

  it('names the relay of a problem if the service is on several', () => {
    const other = lease({ relay: 'https://b', phase: 'failed', error: { code: 'x', message: 'y' } });
    const named = { ...other, relay: 'https://c', error: { code: 'x', message: 'https://c is full' } };
    expect(new LiveModel().view(snapshot([lease(), other, named]), 0).services[0]!.problems).toEqual([
      'on https://b: y [x]',
      'https://c is full [x]',
    ]);
    expect(new LiveModel().view(snapshot([other]), 0).services[0]!.problems).toEqual(['y [x]']);
  });

  it('remembers the last addresses, without services that were removed', () => {
    const model = new LiveModel();
    expect(model.served).toEqual([]);
    const db = lease({ service: 'db', url: 'https://db.a' });
    model.view(snapshot([lease(), lease({ relay: 'https://b', url: 'https://web.b' }), db]), 0);
    model.view(snapshot([lease({ phase: 'retrying' }), { ...db, phase: 'draining' }]), 0);
    expect(model.served).toEqual([{ service: 'web', address: 'https://web.a' }]);
    model.view(snapshot([lease({ phase: 'draining' })]), 0);
    model.view(snapshot([]), 0);
    expect(model.served).toEqual([{ service: 'web', address: 'https://web.a' }]);
  });

  it('knows the state of a target only from events and status', () => {
    const model = new LiveModel();
    const isReachable = (over: Partial<LeaseStatus> = {}): boolean | undefined =>
      model.view(snapshot([lease(over)]), 0).services[0]!.isReachable;
    expect(isReachable()).toBeUndefined();
    const time = '2026-01-01T00:00:00.000Z';
    model.note({ time, event: 'target', service: 'web', target: 'localhost:3000', reachable: true });
    expect(isReachable()).toBe(true);
    expect(isReachable({ targetError: 'down' })).toBe(false);
  });

  it('shows no state for a udp target, unless it is known to be down', () => {
    const model = new LiveModel();
    const udp = (over: Partial<LeaseStatus> = {}): boolean | undefined =>
      model.view(snapshot([lease({ mode: 'udp', target: 'localhost:53', ...over })]), 0).services[0]!
        .isReachable;
    const time = '2026-01-01T00:00:00.000Z';
    model.note({ time, event: 'target', service: 'web', target: 'localhost:53', reachable: true });
    expect(udp()).toBeUndefined();
    expect(udp({ targetError: 'nothing receives datagrams on port 53' })).toBe(false);
  });

  it('marks the last status as outdated from the time the target recovers until the next response', () => {
    const model = new LiveModel();
    const last = (requests: number, lastStatus: number): unknown => {
      const shown = model.view(snapshot([lease({ requests, lastStatus })]), 0).services[0]!;
      return [shown.lastStatus, shown.isLastOutdated];
    };
    const target = (reachable: boolean): void =>
      model.note({ time: '', event: 'target', service: 'web', target: 'localhost:3000', reachable });
    target(false);
    expect([last(1, 503), last(2, 503)]).toEqual([
      [503, true],
      [503, false],
    ]);
    target(true);
    expect([last(2, 503), last(2, 503), last(3, 200)]).toEqual([
      [503, true],
      [503, true],
      [200, false],
    ]);
  });

  it('shows the error of a lost relay and the next attempt only with the relay', () => {
    const error = { code: 'relay_unreachable', message: 'connection refused' };
    const relay = { relay: 'https://a', state: 'retrying', since: '', error } as const;
    const view = (nextInMs?: number): unknown =>
      new LiveModel().view(
        snapshot(
          [lease({ phase: 'retrying', error }), lease({ service: 'db', error: { code: 'x', message: 'y' } })],
          {
            relays: [{ ...relay, ...(nextInMs !== undefined && { nextInMs }) }],
          },
        ),
        0,
      );
    expect(view(2_100)).toMatchObject({
      services: [{ state: 'retrying', problems: [] }, { problems: ['y [x]'] }],
      relays: [{ error: 'connection refused [relay_unreachable]', nextTryS: 3 }],
    });
    expect(view()).toMatchObject({ relays: [{ nextTryS: undefined }] });
  });

  it('shows when the agent retries a lease', () => {
    const waiting = lease({ phase: 'retrying', error: { code: 'x', message: 'y' }, nextInMs: 47_200 });
    expect(new LiveModel().view(snapshot([waiting]), 0).services[0]!.problems).toEqual([
      'y [x]',
      'next try in 48 s',
    ]);
  });

  it('shows no requests while the protocol of a target is unknown, and none of a stream', () => {
    expect(viewOf('undecided')).toMatchObject({ requests: 0, rate: { unit: 'requests', perSecond: 0 } });
    expect(viewOf('undecided', 'stream')).toMatchObject({ requests: undefined, rate: { unit: 'bytes' } });
  });

  it('shows requests per second if known, else bytes per second', () => {
    const model = new LiveModel();
    const rate = (over: Partial<LeaseStatus>, at: number): unknown =>
      model.view(snapshot([lease(over)]), at).services[0]!.rate;
    rate({ requests: 10 }, 0);
    expect(rate({ requests: 14 }, 2_000)).toEqual({ unit: 'requests', perSecond: 2 });
    expect(rate({ bytesIn: 500, bytesOut: 500, servedAs: 'stream' }, 2_500)).toEqual({
      unit: 'bytes',
      perSecond: 400,
    });
    expect(rate({ bytesIn: 0, servedAs: 'stream' }, 3_000)).toEqual({ unit: 'bytes', perSecond: 0 });
  });

  it('removes escape sequences from text that others wrote', () => {
    const escape = '\u001B[31mred\u0007';
    const { services, requests } = new LiveModel().view(
      snapshot([lease({ targetError: escape, url: `https://${escape}` })], {
        requests: [
          { startedAt: 0, service: 'web', method: 'GET', target: `/${escape}`, outcome: 'done' } as never,
        ],
        unplaced: [{ service: 'db', since: '', error: { code: 'x', message: escape } }],
      }),
      0,
    );
    expect(JSON.stringify([services, requests])).not.toMatch(/\\u001b|\\u0007/i);
  });
});
