import { describe, expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import { silent } from '../../lib/logger.js';
import type { ControlChannel } from '../session/control.js';
import { Replica, type LeaseNow } from './replica.js';

/** A lease whose relay records each message. */
function replica({ capabilities = ['replicas'], replicas = true, isOpen = true } = {}) {
  const told: object[] = [];
  const channel = {
    welcome: { capabilities },
    request: (message: object) => {
      told.push(message);
      return Promise.resolve();
    },
  } as unknown as ControlChannel;
  const spec = service('app', 1, replicas ? { replicas: 'spread' } : {});
  const id = isOpen ? 'l1' : undefined;
  const now: { -readonly [K in keyof LeaseNow]: LeaseNow[K] } = { id, spec, channel, log: silent };
  return { replica: new Replica(() => now), now, told, channel };
}

const message = (state: object): object => ({ type: 'lease.replica', lease: 'l1', ...state });

describe('the health that a replica reports', () => {
  it('is healthy once the lease is prepared, while the target responds', () => {
    const { replica: one, told } = replica();
    expect(one.isHealthy).toBe(false);
    one.prepared();
    one.targetUp = false;
    one.targetUp = false;
    one.targetUp = true;
    expect(one.isHealthy).toBe(true);
    expect(told).toEqual([true, false, true].map((healthy) => message({ healthy })));
  });

  it('changes without a message while the session is lost', () => {
    const { replica: one, now, told } = replica();
    now.channel = undefined;
    one.prepared();
    expect(one.isHealthy).toBe(true);
    expect(told).toEqual([]);
  });

  it.each([
    ['the relay has no replicas', { capabilities: [] }],
    ['the service has no replicas', { replicas: false }],
    ['the lease is not open', { isOpen: false }],
  ])('is not sent if %s', (_, options) => {
    const { replica: one, told } = replica(options);
    one.prepared();
    expect(told).toEqual([]);
  });
});

it('asks the relay for its own visits during a visit, and no longer after a failed one', async () => {
  const { replica: one, told, channel } = replica();
  const visit = one.whileProbing(channel, () => {
    expect(told).toEqual([message({ probing: true })]);
    return Promise.reject(new Error('no response'));
  });
  await expect(visit).rejects.toThrow('no response');
  expect(told).toEqual([true, false].map((probing) => message({ probing })));
});

it('reports a validation only for a service with replicas', async () => {
  const [shared, alone] = [replica(), replica({ replicas: false })];
  for (const { replica: one } of [shared, alone]) await one.validates(true, new AbortController().signal);
  expect(shared.told).toEqual([message({ validating: true })]);
  expect(alone.told).toEqual([]);
});

it('shows which agents serve the name until the next session begins', () => {
  const { replica: one, now } = replica();
  const use = { use: 'active', others: [] } as const;
  one.sharesWith(use);
  expect(one.status()).toEqual({ replicas: use });
  now.spec = service('app', 1);
  expect(one.status()).toEqual({});
  now.spec = service('app', 1, { replicas: 'spread' });
  one.forget();
  expect(one.status()).toEqual({});
});
