import { afterEach, expect, it, vi } from 'vitest';
import {
  addressesByFamily,
  allAddresses,
  RESOLUTION_DELAY_MS,
  type Resolved,
  type Resolver,
} from './resolve.js';
import { addressesOf, remember, type TcpTarget } from './target/addresses.js';

afterEach(() => {
  vi.useRealTimers();
});

/** A resolver that answers when the test requests it. */
function resolver(): Resolver & { answer: Resolved } {
  let told: Resolved | undefined;
  return {
    first: () => 6,
    resolve: (_name, resolved) => (told = resolved),
    answer: (...args) => told?.(...args),
  };
}

const missing = (code: string): Error => Object.assign(new Error(code), { code });

it('does not wait for a family without a response', async () => {
  vi.useFakeTimers();
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(4, ['192.0.2.1']);
  await vi.advanceTimersByTimeAsync(RESOLUTION_DELAY_MS);
  expect(await found).toEqual({ 4: ['192.0.2.1'], 6: [] });
  names.answer(6, ['2001:db8::1']);
  expect(vi.getTimerCount()).toBe(0);
});

it('uses both families, in any order', async () => {
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(6, ['2001:db8::1']);
  names.answer(4, ['192.0.2.1']);
  expect(await found).toEqual({ 4: ['192.0.2.1'], 6: ['2001:db8::1'] });
});

it('lists the addresses of both families, the preferred one first', async () => {
  const names = resolver();
  const found = allAddresses('db.test', names);
  names.answer(4, ['192.0.2.1']);
  names.answer(6, ['2001:db8::1']);
  expect(await found).toEqual(['2001:db8::1', '192.0.2.1']);
  const none = allAddresses('db.test', names);
  names.answer(4, [], missing('EAI_AGAIN'));
  names.answer(6, [], missing('ENOTFOUND'));
  await expect(none).rejects.toMatchObject({ code: 'EAI_AGAIN' });
});

it('finds names of this machine without a query, as doctor and agents need them', async () => {
  expect(await allAddresses('relay.localhost')).toEqual(['127.0.0.1', '::1']);
});

it('one family without an address does not affect the other', async () => {
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(6, [], missing('ENOTFOUND'));
  names.answer(4, ['192.0.2.1']);
  expect(await found).toEqual({ 4: ['192.0.2.1'], 6: [] });
});

it('a name without addresses fails with the more specific reason', async () => {
  const names = resolver();
  const found = addressesByFamily('db.test', undefined, names);
  names.answer(6, [], missing('EAI_AGAIN'));
  names.answer(4, [], missing('ENOTFOUND'));
  await expect(found).rejects.toMatchObject({ code: 'EAI_AGAIN' });
});

it('does not wait once the last good address is found, and ends with its signal', async () => {
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
