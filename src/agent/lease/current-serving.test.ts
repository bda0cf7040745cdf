import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { service } from '../../../test/support/world.js';
import { deferred, type Deferred } from '../../lib/wait.js';
import { silent } from '../../lib/logger.js';
import type { ServedAs, Serving, ServingOptions } from '../serving/serving.js';
import { CurrentServing, type CurrentServingOptions } from './current-serving.js';
import type { Opened } from './held-lease.js';

const opened = (hostname: string): Opened => ({ hostname }) as Opened;

/** A serving that records what it is told. */
function fakeServing(servedAs: ServedAs = 'undecided') {
  const calls: string[] = [];
  const visitors: Socket[] = [];
  const serving: Partial<Serving> = {
    visit: (socket) => void visitors.push(socket),
    update: ({ service: name }) => void calls.push(`update ${name}`),
    close: ({ ms }) => Promise.resolve(void calls.push(`close ${ms}`)),
    servedAs: () => servedAs,
  };
  return { serving: serving as Serving, calls, visitors };
}

function current({ spec = service('app', 1) } = {}) {
  const opening: { options: ServingOptions; ready: Deferred<Serving> }[] = [];
  const reports: string[] = [];
  const settings = { spec };
  const now = new CurrentServing({
    spec: () => settings.spec,
    log: () => silent,
    onServedAs: () => void reports.push('served as'),
    open: (options: ServingOptions) => {
      const ready = deferred<Serving>();
      opening.push({ options, ready });
      return ready.promise;
    },
  } as unknown as CurrentServingOptions);
  return { now, opening, reports, settings };
}

describe('opening', () => {
  it('keeps the serving through reconnects', async () => {
    const { now, opening } = current();
    const { serving, calls } = fakeServing();
    const first = now.open(opened('app.example'));
    const second = now.open(opened('app.example'));
    opening[0]!.ready.resolve(serving);
    expect(await Promise.all([first, second, now.open(opened('app.example'))])).toEqual(
      Array(3).fill(serving),
    );
    expect(opening).toHaveLength(1);
    expect(calls).toEqual([]);
    expect(now.hostname).toBe('app.example');
  });

  it('replaces the serving for another hostname', async () => {
    const { now, opening } = current();
    const [former, next] = [fakeServing(), fakeServing()];
    for (const [i, { serving }] of [former, next].entries()) {
      const open = now.open(opened(`app${i}.example`));
      opening[i]!.ready.resolve(serving);
      await open;
    }
    expect(now.now).toBe(next.serving);
    expect(former.calls).toEqual(['close 0']);
  });

  it('tries again after a failure', async () => {
    const { now, opening } = current();
    const { serving } = fakeServing();
    const failed = now.open(opened('app.example'));
    opening[0]!.ready.reject(new Error('no certificate'));
    await expect(failed).rejects.toThrow('no certificate');
    const again = now.open(opened('app.example'));
    await expect.poll(() => opening.length).toBe(2);
    opening[1]!.ready.resolve(serving);
    expect(await again).toBe(serving);
  });

  it('applies settings that changed meanwhile', async () => {
    const { now, opening, settings } = current();
    const { serving, calls } = fakeServing();
    const open = now.open(opened('app.example'));
    settings.spec = service('renamed', 1);
    opening[0]!.ready.resolve(serving);
    await open;
    expect(calls).toEqual(['update renamed']);
  });

  it('closes a serving that is ready only after the lease has ended', async () => {
    const { now, opening } = current();
    const { serving, calls } = fakeServing();
    const open = now.open(opened('app.example'));
    now.end();
    expect(opening[0]!.options.signal.aborted).toBe(true);
    opening[0]!.ready.resolve(serving);
    await open;
    expect(calls).toEqual(['close 0']);
  });

  it('reports once what a target in mode auto is served as', async () => {
    const { now, opening, reports } = current({ spec: service('app', 1, { mode: 'auto' }) });
    const open = now.open(opened('app.example'));
    opening[0]!.options.onServedAs();
    expect(reports).toEqual([]);
    opening[0]!.ready.resolve(fakeServing('http').serving);
    await open;
    expect(reports).toHaveLength(1);
    opening[0]!.options.onServedAs();
    expect(reports).toHaveLength(2);
  });
});

describe('a visitor', () => {
  const VISITOR = { remote: { address: '203.0.113.7', port: 1 }, local: { address: '', port: 0 } };

  it('waits until the serving is open', async () => {
    const { now, opening } = current();
    const { serving, visitors } = fakeServing();
    const { asSocket } = new FakeSocket();
    const open = now.open(opened('app.example'));
    now.visit(asSocket, VISITOR);
    expect(visitors).toEqual([]);
    opening[0]!.ready.resolve(serving);
    await open;
    expect(visitors).toEqual([asSocket]);
  });

  it('is disconnected if the serving does not open, or was dropped', async () => {
    const { now, opening } = current();
    const [early, late] = [new FakeSocket(), new FakeSocket()];
    const open = now.open(opened('app.example'));
    now.visit(early.asSocket, VISITOR);
    opening[0]!.ready.reject(new Error('no certificate'));
    await expect(open).rejects.toThrow('no certificate');
    await expect.poll(() => early.destroyed).toBe(true);
    now.drop();
    now.visit(late.asSocket, VISITOR);
    expect(late.destroyed).toBe(true);
  });
});

it('disconnects the visitors of a dropped serving at once', async () => {
  const { now, opening } = current();
  const { serving, calls } = fakeServing();
  const open = now.open(opened('app.example'));
  opening[0]!.ready.resolve(serving);
  await open;
  now.drop();
  expect(calls).toEqual(['close 0']);
  expect([now.now, now.hostname]).toEqual([undefined, undefined]);
});
