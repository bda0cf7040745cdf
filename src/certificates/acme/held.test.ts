import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { silent } from '../../lib/logger.js';
import { HeldCertificate, type HeldOptions } from './held.js';
import type { DatedCertificate, RejectedOrder } from './store.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const HOUR_MS = 3_600_000;
const STORE = {
  read: (): Promise<DatedCertificate | undefined> => Promise.resolve(undefined),
  exclusively: (_hostname: string, run: () => Promise<DatedCertificate>) => run(),
  rejection: (): Promise<RejectedOrder | undefined> => Promise.resolve(undefined),
  writeRejection: () => Promise.resolve(),
  removeRejection: () => Promise.resolve(),
};

const inHours = (hours: number): Date => new Date(Date.now() + hours * HOUR_MS);

/** A certificate that a CA issues repeatedly, valid for these hours from now on. */
function held(fromHours: number, toHours: number, store: Partial<typeof STORE> = {}) {
  let orders = 0;
  const order = async (): Promise<DatedCertificate> => {
    orders += 1;
    return { cert: '', key: '', fingerprint: '', notBefore: inHours(fromHours), notAfter: inHours(toHours) };
  };
  const authority = { name: 'ca.test', order, suggestion: () => Promise.resolve(undefined) };
  const certificate = new HeldCertificate('shop.test', {
    authority,
    store: { ...STORE, ...store },
    log: silent,
  } as unknown as HeldOptions);
  return { certificate, orders: () => orders };
}

it('rejects a certificate that has expired when it is issued, and does not reorder it immediately', async () => {
  const { certificate, orders } = held(-48, -24);
  await expect(certificate.first(new AbortController().signal)).rejects.toMatchObject({
    code: 'acme_rejected',
    message: expect.stringContaining('the certificate that ca.test issued has already expired') as string,
    hint: expect.stringContaining('Check the clock of this machine') as string,
  });
  await vi.advanceTimersByTimeAsync(50_000);
  expect(orders()).toBe(1);
  certificate.close();
});

it('renews a certificate that was issued late after half of its remaining lifetime', async () => {
  const { certificate, orders } = held(-90, 10);
  await certificate.first(new AbortController().signal);
  await vi.advanceTimersByTimeAsync(4 * HOUR_MS);
  expect(orders()).toBe(1);
  await vi.advanceTimersByTimeAsync(2 * HOUR_MS);
  expect(orders()).toBe(2);
  certificate.close();
});

it('orders only when the wait of the previous run has ended, and then forgets the rejection', async () => {
  const error = new PortalError('acme_rejected', 'no address', { hint: 'Create a record.' });
  const rejection = { error, count: 3, nextAt: Date.now() + 60_000 };
  const removeRejection = vi.fn<() => Promise<void>>(() => Promise.resolve());
  const { certificate, orders } = held(0, 100, {
    rejection: () => Promise.resolve(rejection),
    removeRejection,
  });
  const { signal } = new AbortController();
  await expect(certificate.first(signal)).rejects.toMatchObject({
    code: 'acme_rejected',
    hint: 'Create a record.',
    retryAfterMs: 60_000,
  });
  expect(certificate.status().nextAt).toBe(new Date(rejection.nextAt).toISOString());
  expect([orders(), removeRejection.mock.calls.length]).toEqual([0, 0]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([orders(), removeRejection.mock.calls.length]).toEqual([1, 1]);
  expect(certificate.status().error).toBeUndefined();
  certificate.close();
});

const orderedElsewhere = (fingerprint: string): DatedCertificate => ({
  cert: '',
  key: '',
  fingerprint,
  notBefore: inHours(0),
  notAfter: inHours(90),
});

it('takes what another process ordered while it waited for the lock, now and at a renewal', async () => {
  let stored: DatedCertificate | undefined;
  const { certificate, orders } = held(0, 90, {
    read: () => Promise.resolve(stored),
    exclusively: (_hostname, run) => {
      stored = orderedElsewhere(stored ? 'second' : 'first');
      return run();
    },
  });
  const renewed: string[] = [];
  certificate.add({ onNew: ({ fingerprint }) => renewed.push(fingerprint), onFailed: () => undefined });
  expect(await certificate.first(new AbortController().signal)).toEqual(stored);
  await vi.advanceTimersByTimeAsync(61 * HOUR_MS);
  expect(renewed).toEqual(['first', 'second']);
  expect(orders()).toBe(0);
  certificate.close();
});

it('waits after a rejection that another process got meanwhile, and does not count it as another one', async () => {
  const error = new PortalError('acme_rejected', 'no address');
  let rejection: RejectedOrder | undefined;
  const writeRejection = vi.fn<() => Promise<void>>(() => Promise.resolve());
  const { certificate, orders } = held(0, 90, {
    rejection: () => Promise.resolve(rejection),
    writeRejection,
    exclusively: (_hostname, run) => {
      rejection ??= { error, count: 1, nextAt: Date.now() + 60_000 };
      return run();
    },
  });
  await expect(certificate.first(new AbortController().signal)).rejects.toMatchObject({
    code: 'acme_rejected',
    retryAfterMs: 60_000,
  });
  expect([orders(), writeRejection.mock.calls.length]).toEqual([0, 0]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(orders()).toBe(1);
  certificate.close();
});

it('tells its holders of a failed renewal, with the certificate until one succeeds', async () => {
  const error = new PortalError('acme_rejected', 'no address');
  let isFirst = true;
  const { certificate } = held(0, 90, {
    exclusively: (_hostname, run) => {
      const isRejected = !isFirst;
      isFirst = false;
      return isRejected ? Promise.reject(error) : run();
    },
  });
  const told: unknown[] = [];
  certificate.add({ onNew: () => undefined, onFailed: (...failed) => told.push(failed) });
  const first = await certificate.first(new AbortController().signal);
  expect(told).toEqual([]);
  await vi.advanceTimersByTimeAsync(60 * HOUR_MS);
  expect(told[0]).toEqual([error, first]);
  certificate.close();
});
