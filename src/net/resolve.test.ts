import { afterEach, expect, it, vi } from 'vitest';
import { addressesByFamily, RESOLUTION_DELAY_MS, type Resolved, type Resolver } from './resolve.js';
import { addressesOf, remember, type TcpTarget } from './target-addresses.js';

afterEach(() => {
  vi.useRealTimers();
});

/** A resolver that answers when the test says so. */
function resolver(): Resolver & { answer: Resolved } {
  let told: Resolved | undefined;
  return {
    first: () => 6,
    resolve: (_name, resolved) => (told = resolved),
    answer: (...args) => told?.(...args),
  };
}

const missing = (code: string): Error => Object.assign(new Error(code), { code });

it('a family that never answers is not waited for', async () => {
  vi.useFakeTimers();
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(4, ['192.0.2.1']);
  await vi.advanceTimersByTimeAsync(RESOLUTION_DELAY_MS);
  expect(await found).toEqual({ 4: ['192.0.2.1'], 6: [] });
  names.answer(6, ['2001:db8::1']);
  expect(vi.getTimerCount()).toBe(0);
});

it('both that answer are taken, in whichever order they do', async () => {
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(6, ['2001:db8::1']);
  names.answer(4, ['192.0.2.1']);
  expect(await found).toEqual({ 4: ['192.0.2.1'], 6: ['2001:db8::1'] });
});

it('one family without an address says nothing of the other', async () => {
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(6, [], missing('ENOTFOUND'));
  names.answer(4, ['192.0.2.1']);
  expect(await found).toEqual({ 4: ['192.0.2.1'], 6: [] });
});

it('a name without addresses fails with the reason that says more', async () => {
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(6, [], missing('EAI_AGAIN'));
  names.answer(4, [], missing('ENOTFOUND'));
  await expect(found).rejects.toMatchObject({ code: 'EAI_AGAIN' });
});

it('a target whose last address is found waits for no other, and a lookup ends with its signal', async () => {
  const target: TcpTarget = { kind: 'tcp', host: 'db.test', port: 5432, tls: false };
  const names = resolver();
  remember(target, '192.0.2.2');
  const found = addressesOf(target, { ms: 60_000, resolver: names });
  names.answer(4, ['192.0.2.1', '192.0.2.2']);
  expect(await found).toEqual(['192.0.2.2', '192.0.2.1']);
  const stop = new AbortController();
  const cancelled = addressesOf(target, { ms: 60_000, resolver: names, signal: stop.signal });
  stop.abort();
  await expect(cancelled).rejects.toMatchObject({ code: 'aborted' });
});
