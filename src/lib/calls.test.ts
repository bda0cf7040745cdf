import { expect, it, onTestFinished } from 'vitest';
import { channelPair } from '../../test/support/channel.js';
import { serveCalls, Caller } from './calls.js';
import { PortalError } from './errors.js';

type Methods = Parameters<typeof serveCalls>[1];

function pair(methods: Methods) {
  const [near, far] = channelPair();
  const events: unknown[] = [];
  const caller = new Caller(near, (event) => events.push(event));
  const tell = serveCalls(far, methods);
  onTestFinished(() => caller.close());
  return { caller, tell, events, far };
}

it('calls methods in order, and hears events in order with the results', async () => {
  const log: string[] = [];
  const { caller, tell, events } = pair({
    add: async (a: number, b: number) => {
      log.push(`${a}+${b}`);
      tell({ added: a + b });
      return a + b;
    },
    map: async () => new Map([['a', undefined]]),
  });
  const results = [caller.call('add', 1, 2), caller.call('add', 3, 4)];
  expect(await results[0]).toBe(3);
  expect(events[0]).toEqual({ added: 3 });
  expect(await results[1]).toBe(7);
  expect([log, events.length]).toEqual([['1+2', '3+4'], 2]);
  expect(await caller.call('map')).toEqual(new Map([['a', undefined]]));
});

it('throws the errors of a method, with their code, hint and pause', async () => {
  const { caller } = pair({
    taken: () =>
      Promise.reject(new PortalError('name_taken', '"web" is taken', { hint: 'ask', retryAfterMs: 5 })),
    broken: () => Promise.reject(new Error('broken')),
  });
  await expect(caller.call('taken')).rejects.toMatchObject({
    code: 'name_taken',
    message: '"web" is taken',
    hint: 'ask',
    retryAfterMs: 5,
  });
  await expect(caller.call('broken')).rejects.toMatchObject({ code: 'internal', message: 'broken' });
  await expect(caller.call('missing')).rejects.toMatchObject({ code: 'internal' });
});

it('rejects pending and later calls when the other end closes', async () => {
  const { caller, far } = pair({ never: () => new Promise(() => undefined) });
  const pending = caller.call('never');
  far.close();
  await expect(pending).rejects.toMatchObject({ code: 'relay_busy', retryAfterMs: 1_000 });
  await expect(caller.call('never')).rejects.toMatchObject({ code: 'relay_busy' });
});

it('tells without a result, in order with calls, and loses errors', async () => {
  const log: unknown[] = [];
  const { caller, far } = pair({
    note: (what: string) => void log.push(what),
    broken: () => {
      throw new Error('broken');
    },
    log: async () => [...log],
  });
  for (const what of ['a', 'b']) caller.tell('note', what);
  caller.tell('broken');
  caller.tell('missing');
  expect(await caller.call('log')).toEqual(['a', 'b']);
  far.close();
  await expect(caller.call('log')).rejects.toMatchObject({ code: 'relay_busy' });
  caller.tell('note', 'after the end');
});
