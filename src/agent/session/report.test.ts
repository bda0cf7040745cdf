import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { silent } from '../../lib/logger.js';
import { deferred } from '../../lib/wait.js';
import { LIMITS } from '../../protocol/limits.js';
import { mayReport, Reporter, type AgentInfo } from './report.js';

/** The agent's reports about itself to a relay: changes only, at most once per second. */

interface Report {
  readonly machine?: string;
  readonly team?: readonly string[];
  readonly services?: readonly { service: string; phase: string; lease?: string; code?: string }[];
}
type Leases = Iterable<ConstructorParameters<typeof Reporter>[2] extends () => Iterable<infer L> ? L : never>;

const lease = (service: string, phase: string, over: object = {}) => ({
  spec: { service },
  phase,
  id: `id-${service}`,
  error: undefined,
  isEnding: false,
  ...over,
});

let reports: Report[];
let leases: object[];
let about: AgentInfo;
let answer: () => Promise<unknown>;
let channel: { closed: boolean };

const request = (report: object): Promise<unknown> => {
  const { type: _, ...rest } = report as { type: string };
  reports.push(rest);
  return answer();
};

function reporter(): Reporter {
  const one = new Reporter(
    Object.assign(channel, { request }) as never,
    () => about,
    () => leases as unknown as Leases,
    silent,
  );
  onTestFinished(() => one.close());
  return one;
}

beforeEach(() => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  reports = [];
  leases = [];
  about = { machine: 'laptop', team: [] };
  answer = () => Promise.resolve();
  channel = { closed: false };
});

it('reports everything first, then only changes', async () => {
  leases = [lease('web', 'opening')];
  const one = reporter();
  await vi.advanceTimersByTimeAsync(0);
  expect(reports).toEqual([
    { machine: 'laptop', team: [], services: [{ service: 'web', phase: 'opening', lease: 'id-web' }] },
  ]);
  one.changed();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(reports).toHaveLength(1);
  leases = [lease('web', 'failed', { id: undefined, error: { code: 'name_taken' } }), lease('api', 'ready')];
  one.changed();
  await vi.advanceTimersByTimeAsync(0);
  expect(reports[1]).toEqual({
    services: [
      { service: 'web', phase: 'failed', code: 'name_taken' },
      { service: 'api', phase: 'ready', lease: 'id-api' },
    ],
  });
  leases = [lease('api', 'ready'), lease('web', 'closed')];
  about = { machine: undefined, team: ['0x1'] };
  one.changed();
  await vi.advanceTimersByTimeAsync(LIMITS.minReportMs);
  expect(reports[2]).toEqual({
    machine: '',
    team: ['0x1'],
    services: [{ service: 'web', phase: 'closed' }],
  });
});

it("waits a second between two reports, and for the relay's reply", async () => {
  const answered = deferred<void>();
  answer = () => answered.promise;
  const one = reporter();
  await vi.advanceTimersByTimeAsync(0);
  for (const phase of ['connecting', 'opening', 'ready']) {
    leases = [lease('web', phase)];
    one.changed();
  }
  await vi.advanceTimersByTimeAsync(10_000);
  expect(reports).toHaveLength(1);
  answered.resolve();
  await vi.advanceTimersByTimeAsync(LIMITS.minReportMs - 1);
  expect(reports).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(reports[1]?.services).toMatchObject([{ phase: 'ready' }]);
});

it('reports the remaining lease of a service that moves', async () => {
  leases = [lease('web', 'draining', { isEnding: true }), lease('web', 'opening', { id: 'new' })];
  reporter();
  await vi.advanceTimersByTimeAsync(0);
  expect(reports[0]?.services).toEqual([{ service: 'web', phase: 'opening', lease: 'new' }]);
});

it('splits a report that exceeds one message', async () => {
  const count = LIMITS.maxReportedServices + 5;
  leases = Array.from({ length: count }, (_, index) => lease(`s${index}`, 'ready'));
  about = {
    machine: `a\u0007${'b'.repeat(100)}`,
    team: Array.from({ length: 40 }, (_, index) => `0x${index}`),
  };
  reporter();
  await vi.advanceTimersByTimeAsync(0);
  expect(reports[0]?.services).toHaveLength(LIMITS.maxReportedServices);
  expect(reports[0]?.machine).toBe(`a ${'b'.repeat(LIMITS.maxMachineChars - 2)}`);
  expect(reports[0]?.team).toHaveLength(LIMITS.maxTeam);
  await vi.advanceTimersByTimeAsync(LIMITS.minReportMs);
  expect(reports[1]?.services).toHaveLength(5);
});

it('repeats a full report after a rejection, and sends nothing on a closed channel', async () => {
  answer = () => Promise.reject(new PortalError('internal', 'not now'));
  leases = [lease('web', 'ready')];
  const one = reporter();
  await vi.advanceTimersByTimeAsync(0);
  answer = () => Promise.resolve();
  one.changed();
  await vi.advanceTimersByTimeAsync(LIMITS.minReportMs);
  expect(reports[1]).toEqual(reports[0]);
  channel.closed = true;
  leases = [];
  one.changed();
  await vi.advanceTimersByTimeAsync(LIMITS.minReportMs);
  expect(reports).toHaveLength(2);
  one.close();
  expect(vi.getTimerCount()).toBe(0);
});

const to = (capabilities: string[], hides?: boolean) =>
  mayReport({
    welcome: { capabilities },
    via: hides === undefined ? undefined : { hides },
  } as never);

it('reports only to relays that show agents, and never over a chain', () => {
  expect(to(['stream', 'agents'])).toBe(true);
  expect(to(['stream'])).toBe(false);
  // A proxy does not hide the agent.
  expect(to(['agents'], false)).toBe(true);
  expect(to(['agents'], true)).toBe(false);
});
