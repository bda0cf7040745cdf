import { expect, it } from 'vitest';
import type { MetricValues } from '../../metrics/exporter.js';
import type { RelayStats } from '../relay.js';
import { createMetrics } from './metrics.js';
import { createWorkerMetrics } from './workers.js';

const NOTHING: RelayStats = {
  sessions: 0,
  handshakes: 0,
  mostHandshakes: 0,
  leases: 0,
  unrouted: 0,
  visitors: 0,
  waiting: 0,
  tickets: 0,
  flows: 0,
  hops: 0,
  hopBytes: 0,
  hopTickets: 0,
  peers: 0,
  knownPeers: 0,
  dropped: {},
  refused: {},
  withoutDescriptor: 0,
  leasesByKind: { tls: 0, tcp: 0, udp: 0 },
  leasesAway: 0,
  visitorsByKind: { tls: 0, tcp: 0 },
  bytesByKind: { tls: { toA: 0, toB: 0 }, tcp: { toA: 0, toB: 0 } },
  visitorEnds: [{}, {}],
  sessionsOpened: 0,
  channelsFailed: {},
  requestsFailed: {},
  dataConnections: {},
  visitorsForwarded: 0,
  visitorsMoved: 0,
  visitorsRemote: 0,
  forwardsFailed: {},
  visitorsServed: {},
  visitorsUnserved: {},
  datagrams: { toAgent: 0, toAgentBytes: 0, toVisitor: 0, toVisitorBytes: 0 },
  denied: {},
  signedIn: 0,
  signInsRefused: {},
  storeFailures: 0,
  certificateEndsAt: undefined,
};

/** What a worker with these values sends. */
async function valuesOf(values: Partial<RelayStats>, waits: readonly number[] = []): Promise<MetricValues> {
  const metrics = await createMetrics({ version: '1.2.3', node: 'v20' });
  for (const seconds of waits) metrics.onVisitorWaited(seconds);
  metrics.watch({ stats: () => ({ ...NOTHING, ...values }) });
  return structuredClone(await metrics.values());
}

const line = (text: string, series: string): string | undefined =>
  text
    .split('\n')
    .find((each) => each.startsWith(`${series} `))
    ?.slice(series.length + 1);

it('adds up the values of all workers, and keeps those that are no sums', async () => {
  const all = new Map([
    ['w1', await valuesOf({ sessions: 2, sessionsOpened: 5, certificateEndsAt: 9_000 }, [0.002])],
    ['w2', await valuesOf({ sessions: 3, sessionsOpened: 7, certificateEndsAt: 8_000 }, [0.002, 2])],
  ]);
  const metrics = await createWorkerMetrics({
    workerCounts: () => ({ running: 2, restarts: 4 }),
    workerMetrics: () => Promise.resolve(all),
    isRunning: () => true,
  });
  const text = await metrics.text();
  expect(line(text, 'portal_relay_sessions')).toBe('5');
  expect(line(text, 'portal_relay_sessions_opened_total')).toBe('12');
  expect(line(text, 'portal_relay_visitor_wait_seconds_count')).toBe('3');
  expect(line(text, 'portal_relay_visitor_wait_seconds_bucket{le="0.0025"}')).toBe('2');
  expect(line(text, 'portal_relay_certificate_not_after_seconds')).toBe('8');
  expect(line(text, 'portal_relay_build_info{version="1.2.3",node="v20"}')).toBe('1');
  expect(line(text, 'portal_relay_workers')).toBe('2');
  expect(line(text, 'portal_relay_worker_restarts_total')).toBe('4');
  // Those of the main process count, too.
  expect(Number(line(text, 'process_resident_memory_bytes'))).toBeGreaterThan(0);
});

it('counters never fall: those of a worker that ended stay, and its gauges do not', async () => {
  const running = new Map([
    ['w1', await valuesOf({ sessions: 2, sessionsOpened: 5 }, [0.1])],
    ['w2', await valuesOf({ sessions: 3, sessionsOpened: 7 })],
  ]);
  const silentWorkers = new Set<string>();
  const metrics = await createWorkerMetrics({
    workerCounts: () => ({ running: running.size, restarts: 0 }),
    workerMetrics: () => Promise.resolve(new Map([...running].filter(([name]) => !silentWorkers.has(name)))),
    isRunning: (name) => running.has(name),
  });
  const read = async (): Promise<(string | undefined)[]> => {
    const text = await metrics.text();
    return ['sessions', 'sessions_opened_total', 'visitor_wait_seconds_count'].map((name) =>
      line(text, `portal_relay_${name}`),
    );
  };
  expect(await read()).toEqual(['5', '12', '1']);
  silentWorkers.add('w2');
  expect(await read()).toEqual(['5', '12', '1']);
  running.delete('w1');
  running.set('w3', await valuesOf({ sessions: 1, sessionsOpened: 1 }));
  expect(await read()).toEqual(['4', '13', '1']);
  running.delete('w3');
  expect(await read()).toEqual(['3', '13', '1']);
});
