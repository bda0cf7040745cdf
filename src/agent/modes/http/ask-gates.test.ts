import { expect, it } from 'vitest';
import { deferred } from '../../../lib/wait.js';
import { log } from '../../../../test/support/log.js';
import type { Passed } from '../../access/gate.js';
import { askGates } from './ask-gates.js';
import type { Exchange } from './exchange/exchange.js';

/** An exchange that notes what happens to it. */
function exchangeOf({ begun = false } = {}) {
  const noted: (string | number)[] = [];
  const gone: (() => void)[] = [];
  const exchange = {
    begun,
    method: 'GET',
    headers: [],
    onDisconnect: (call: () => void) => gone.push(call),
    begin: (status: number) => noted.push(status),
    write: () => true,
    end: () => noted.push('end'),
    abort: () => noted.push('abort'),
  } as unknown as Exchange;
  return { exchange, noted, disconnect: () => gone.forEach((call) => call()) };
}

/** Asks with `answer`, and returns what passed. */
function asking(exchange: Exchange, answer: () => Passed | Promise<Passed>): Exchange[] {
  const passed: Exchange[] = [];
  askGates(exchange, answer, (each) => passed.push(each), log);
  return passed;
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

it('forwards what the gates let through, at once or later', async () => {
  const { exchange } = exchangeOf();
  const changed = { ...exchange };
  expect(asking(exchange, () => changed)).toEqual([changed]);
  const judged = deferred<Passed>();
  const passed = asking(exchange, () => judged.promise);
  expect(passed).toEqual([]);
  judged.resolve(changed);
  await settled();
  expect(passed[0]).toBe(changed);
});

it('forwards nothing if a gate has responded', async () => {
  const { exchange, noted } = exchangeOf();
  expect(asking(exchange, () => undefined)).toEqual([]);
  const later = asking(exchange, () => Promise.resolve(undefined));
  await settled();
  expect([later, noted]).toEqual([[], []]);
});

it('forwards nothing once the visitor has disconnected', async () => {
  const { exchange, disconnect } = exchangeOf();
  const judged = deferred<Passed>();
  const passed = asking(exchange, () => judged.promise);
  disconnect();
  judged.resolve(exchange);
  await settled();
  expect(passed).toEqual([]);
});

it.each([
  [
    'throws',
    () => () => {
      throw new Error('gate');
    },
  ],
  ['rejects', () => () => Promise.reject(new Error('gate'))],
])('lets nothing through if a gate %s', async (_, failing) => {
  const fresh = exchangeOf();
  const passed = asking(fresh.exchange, failing());
  await settled();
  expect([passed, fresh.noted]).toEqual([[], [500, 'end']]);
  const begun = exchangeOf({ begun: true });
  asking(begun.exchange, failing());
  await settled();
  expect(begun.noted).toEqual(['abort']);
});

it('sends no response to a visitor that disconnected before the gate failed', async () => {
  const { exchange, noted, disconnect } = exchangeOf();
  const judged = deferred<Passed>();
  asking(exchange, () => judged.promise);
  disconnect();
  judged.reject(new Error('gate'));
  await settled();
  expect(noted).toEqual([]);
});
