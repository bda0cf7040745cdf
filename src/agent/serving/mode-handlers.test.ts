import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import { deferred } from '../../lib/wait.js';
import type { Drain } from '../../net/splice/splice.js';
import type { ModeHandler, VisitorInfo } from '../modes/mode.js';
import type { ServiceSpec } from '../spec.js';
import { ModeHandlers } from './mode-handlers.js';

/** A handler that drains when the test resolves `drained`. */
class FakeHandler implements ModeHandler {
  readonly specs: ServiceSpec[] = [];
  readonly visits: Socket[] = [];
  readonly drains: Drain[] = [];
  readonly drained = deferred<void>();

  visit(socket: Socket): void {
    this.visits.push(socket);
  }

  update(spec: ServiceSpec): void {
    this.specs.push(spec);
  }

  drain(drain: Drain): Promise<void> {
    this.drains.push(drain);
    return this.drained.promise;
  }

  traffic() {
    return { visitors: this.visits.length, bytesIn: 10, bytesOut: 20, requests: 1 };
  }
}

const STREAM = service('app', 8001, { mode: 'stream' });
const HTTP = service('app', 8001, { mode: 'http' });
const OTHER_HTTP = service('app', 8002, { mode: 'http' });
const socket = {} as Socket;
const visitor = {} as VisitorInfo;

function place() {
  const first = new FakeHandler();
  const made: { spec: ServiceSpec; ready: (handler: FakeHandler) => void }[] = [];
  const served: ServiceSpec[] = [];
  const handlers = new ModeHandlers(STREAM, first, {
    make: (spec) => {
      const { promise, resolve } = deferred<FakeHandler>();
      made.push({ spec, ready: resolve });
      return promise;
    },
    onServed: (spec) => served.push(spec),
  });
  return { handlers, first, made, served };
}

it('applies settings to the handler while the mode stays', () => {
  const { handlers, first, made, served } = place();
  const next = service('app', 8002, { mode: 'stream' });
  handlers.update(next);
  expect([first.specs, served, made, handlers.changing]).toEqual([[next], [next], [], undefined]);
});

it('replaces the handler with the mode, and counts visitors of the former one as retiring', async () => {
  const { handlers, first, made, served } = place();
  handlers.visit(socket, visitor);
  handlers.update(HTTP);
  expect([handlers.mode, served, made.map(({ spec }) => spec)]).toEqual(['stream', [], [HTTP]]);
  expect(handlers.traffic()).toMatchObject({ visitors: 1, retiring: 1 });
  const second = new FakeHandler();
  made[0]!.ready(second);
  await handlers.changing;
  expect([handlers.mode, handlers.changing, served]).toEqual(['http', undefined, [HTTP]]);
  expect(first.drains).toMatchObject([{ retires: true }]);
  handlers.visit(socket, visitor);
  expect([first.visits.length, second.visits.length]).toEqual([1, 1]);
  expect(handlers.traffic()).toEqual({ visitors: 2, retiring: 1, bytesIn: 20, bytesOut: 40, requests: 2 });
  first.drained.resolve();
  await first.drained.promise;
  await Promise.resolve();
  expect(handlers.traffic()).toEqual({ visitors: 1, bytesIn: 20, bytesOut: 40, requests: 1 });
});

it('follows settings that change while the next handler is made', async () => {
  const { handlers, made, served } = place();
  handlers.update(HTTP);
  handlers.update(OTHER_HTTP);
  const second = new FakeHandler();
  made[0]!.ready(second);
  await handlers.changing;
  expect([made.length, served, second.specs]).toEqual([1, [HTTP, OTHER_HTTP], [OTHER_HTTP]]);
});

it('drains all handlers, also one that is made later', async () => {
  const { handlers, first, made, served } = place();
  handlers.update(HTTP);
  const { changing } = handlers;
  expect(handlers.isClosed).toBe(false);
  const draining = handlers.drain({ ms: 1_000 });
  expect(handlers.isClosed).toBe(true);
  const second = new FakeHandler();
  made[0]!.ready(second);
  await changing;
  expect([first.drains, second.drains, served]).toEqual([[{ ms: 1_000 }], [{ ms: 0 }], []]);
  first.drained.resolve();
  await expect(draining).resolves.toBeUndefined();
});
