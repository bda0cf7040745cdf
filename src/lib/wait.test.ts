import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PortalError } from './errors.js';
import { delay, deferred, within } from './wait.js';

const never = new Promise<never>(() => undefined);

describe('within', () => {
  it('returns a result that arrives in time', async () => {
    await expect(within(Promise.resolve(7), 1_000, 'it')).resolves.toBe(7);
    await expect(within(Promise.reject(new Error('no')), 1_000, 'it')).rejects.toThrow('no');
  });

  it('names the operation that timed out', async () => {
    await expect(within(never, 1, 'the answer')).rejects.toMatchObject({
      code: 'timeout',
      message: 'the answer timed out after 1 ms',
    });
  });

  it('accepts a result that arrived while this process could not read it', async () => {
    const server = createServer((socket) => void socket.write('here'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const socket: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    onTestFinished(() => {
      socket.destroy();
      server.close();
    });
    await once(server, 'connection');
    const answer = within(once(socket, 'data'), 20, 'the answer');
    for (const until = performance.now() + 100; performance.now() < until;);
    expect(String(await answer)).toBe('here');
  });

  it('does not count time in which this process did not run', async () => {
    const answer = deferred<string>();
    const wait = within(answer.promise, 50, 'the answer');
    await new Promise(setImmediate);
    // Blocks the process, as on a busy machine.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
    // The result arrives after several turns.
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    answer.resolve('here');
    await expect(wait).resolves.toBe('here');
  });

  it.each([true, false])('ends with the signal (aborted before: %s)', async (before) => {
    const controller = new AbortController();
    if (before) controller.abort();
    const wait = within(never, 60_000, 'it', controller.signal);
    controller.abort();
    await expect(wait).rejects.toMatchObject({ code: 'aborted' });
  });

  it.each([true, false])('handles a failure after the signal (aborted before: %s)', async (before) => {
    const unheard: unknown[] = [];
    const hear = (reason: unknown): void => void unheard.push(reason);
    const others = process.rawListeners('unhandledRejection') as NodeJS.UnhandledRejectionListener[];
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', hear);
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection');
      for (const other of others) process.on('unhandledRejection', other);
    });
    const controller = new AbortController();
    if (before) controller.abort();
    const late = deferred<never>();
    const wait = within(late.promise, 60_000, 'it', controller.signal);
    controller.abort();
    await expect(wait).rejects.toMatchObject({ code: 'aborted' });
    late.reject(new Error('too late'));
    // Node reports it after the microtasks of this turn.
    await new Promise(setImmediate);
    expect(unheard).toEqual([]);
  });
});

describe('delay', () => {
  it('ends early with the reason of its signal', async () => {
    const controller = new AbortController();
    const wait = delay(60_000, controller.signal);
    controller.abort(new PortalError('shutting_down', 'enough'));
    await expect(wait).rejects.toMatchObject({ code: 'shutting_down' });
  });

  it('resolves after the time', async () => {
    await expect(delay(1)).resolves.toBeUndefined();
  });
});

it('a deferred settles from outside', async () => {
  const one = deferred<number>();
  one.resolve(1);
  await expect(one.promise).resolves.toBe(1);
});
