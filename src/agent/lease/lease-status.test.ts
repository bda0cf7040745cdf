import { expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import { PortalError } from '../../lib/errors.js';
import { parseTarget } from '../../net/target/target.js';
import { Tally } from '../../lib/tally.js';
import { Rejections } from '../access/rejections.js';
import { Proof } from '../proof/proof.js';
import { PhaseRecord } from '../session/phase.js';
import type { ServiceSpec } from '../spec.js';
import { leaseStatus, otherPortOf } from './lease-status.js';
import type { LeaseParts } from './parts.js';

function parts(over: object = {}): LeaseParts {
  return {
    phase: new PhaseRecord(() => undefined),
    held: { address: {} },
    prover: { proof: new Proof() },
    serving: {},
    replica: { status: () => ({ replicas: { use: 'active', others: [] } }) },
    rejections: new Rejections(() => undefined),
    unserved: new Tally(),
    ...over,
  } as unknown as LeaseParts;
}

it('shows a lease without a session as undecided, without traffic and without an address', () => {
  const { since: _, ...status } = leaseStatus(service('app', 3000, { mode: 'auto' }), 'relay', parts());
  expect(status).toEqual({
    service: 'app',
    relay: 'relay',
    phase: 'connecting',
    retries: 0,
    visitors: 0,
    bytesIn: 0,
    bytesOut: 0,
    mode: 'auto',
    servedAs: 'undecided',
    target: expect.stringContaining('3000') as string,
  });
});

const holdOf = (...args: Parameters<typeof service>): unknown =>
  leaseStatus(service(...args), 'relay', parts()).holdMs;

it('shows how long each route holds requests, by its own setting or that of the service', () => {
  const hold = { forMs: 60_000 };
  const target = parseTarget(1);
  const routes = [
    { prefix: '/hook', target, hold: { forMs: 5_000 } },
    { prefix: '/', target },
  ] as unknown as ServiceSpec['routes'];
  expect(holdOf('app', 1, { hold })).toEqual({ '/': 60_000 });
  expect(holdOf('app', 1, { hold, routes })).toEqual({ '/hook': 5_000, '/': 60_000 });
  expect(holdOf('app', 1, { routes })).toEqual({ '/hook': 5_000 });
  expect(holdOf('app', 1)).toBeUndefined();
});

it('shows unproven and replicas only while the lease is ready', () => {
  const all = parts();
  all.prover.proof.timedOut(new PortalError('timeout', 'no response'));
  const keys = (): string[] => Object.keys(leaseStatus(service('app', 1), 'relay', all));
  expect(keys()).not.toContain('unproven');
  expect(keys()).not.toContain('replicas');
  all.phase.set('ready');
  expect(keys()).toEqual(expect.arrayContaining(['unproven', 'replicas']));
});

it('shows what serves the lease, with the state of its certificate', () => {
  const error = new PortalError('timeout', 'the CA did not respond');
  const now = {
    traffic: () => ({ visitors: 2, bytesIn: 10, bytesOut: 20 }),
    servedAs: () => 'http',
    renewal: () => ({ notAfter: '2030-01-01', error }),
  };
  expect(leaseStatus(service('app', 1), 'relay', parts({ serving: { now } }))).toMatchObject({
    visitors: 2,
    servedAs: 'http',
    certificate: { notAfter: '2030-01-01', error: { code: 'timeout' } },
  });
});

it.each([
  [
    { publicPort: 20_002, portRange: { from: 1, to: 2 } },
    { askedPort: 20_001, portRange: { from: 1, to: 2 } },
  ],
  [{ publicPort: 20_002 }, { askedPort: 20_001 }],
  [{ publicPort: 20_001, portRange: { from: 1, to: 2 } }, {}],
  [{}, {}],
])('shows the requested port if %j', (held, shown) => {
  expect(otherPortOf(service('app', 1, { port: 20_001 }), parts({ held }))).toEqual(shown);
});
