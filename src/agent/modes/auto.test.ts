import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { log } from '../../../test/support/log.js';
import { parseTarget } from '../../net/target/target.js';
import { CONNECT_ALPN, LIMITS } from '../../protocol/limits.js';
import type { Decision } from '../target/decision.js';
import type { Decided } from '../target/known-targets.js';
import type { ServiceSpec } from '../spec.js';
import { AutoHandler } from './auto.js';
import { NO_TRAFFIC, type ModeHandler } from './mode.js';
import type { PipedHooks } from './piped.js';

const ENDPOINT = { address: '127.0.0.1', port: 1 };
const VISITOR = { remote: ENDPOINT, local: ENDPOINT, link: undefined } as never;

class FakeDecision {
  now: Decided = 'undecided';
  isKnownStream = false;
  onChange(): () => void {
    return () => undefined;
  }
  async recheck(): Promise<void> {}
  async settle(): Promise<void> {}
}

function handler(name: string, visits: string[]): ModeHandler {
  return {
    visit: (socket) => void visits.push(`${name} ${String(socket.read() ?? '')}`),
    update: () => undefined,
    drain: () => Promise.resolve(),
    traffic: () => NO_TRAFFIC,
  };
}

/** A visitor of a target that has shown its protocol, or not. */
function visit(alpnProtocol: string | false, is: Decided = 'undecided') {
  const visits: string[] = [];
  const decision = new FakeDecision();
  const spec = { service: 'web', target: parseTarget(3000) } as unknown as ServiceSpec;
  const target = new Duplex({ read: () => undefined });
  const stream = handler('stream', visits);
  const handlers = {
    makeStream: (admits: PipedHooks['admits']): ModeHandler => ({
      ...stream,
      visit: (visitor, info) => {
        const forward = async (): Promise<void> => {
          if (await admits!(visitor, target as unknown as Socket, info)) stream.visit(visitor, info);
        };
        void forward();
      },
    }),
    makeHttp: () => Promise.resolve(handler('http', visits)),
  };
  Object.assign(decision, { now: is, isKnownStream: is === 'stream' });
  const auto = new AutoHandler(spec, decision as unknown as Decision, handlers, log);
  const socket = Object.assign(new Duplex({ read: () => undefined }), {
    alpnProtocol,
    resetAndDestroy: () => void socket.destroy(),
  });
  auto.visit(socket as unknown as Socket, VISITOR);
  return {
    visits,
    socket,
    sends: (text: string) => socket.push(text),
    greets: () => target.push('220 ready'),
  };
}

const MINUTE = 60_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('lets a silent visitor wait for a target that speaks first', async () => {
  const { visits } = visit(false);
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(visits).toEqual(['stream ']);
});

describe.each(['undecided', 'stream'] as const)('a visitor with `portal connect` of a target, %s,', (is) => {
  it.each([
    ['short', 'POST / HTTP/1.1\r\n'],
    ['long', `GET /${'x'.repeat(20_000)}`],
  ])('has its %s request read, however late it is', async (_length, request) => {
    const { visits, sends } = visit(CONNECT_ALPN, is);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(visits).toEqual([]);
    sends(request);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(visits).toEqual([`http ${request}`]);
  });

  it('is served as soon as the target speaks first', async () => {
    const { visits, greets } = visit(CONNECT_ALPN, is);
    await vi.advanceTimersByTimeAsync(MINUTE);
    greets();
    await vi.advanceTimersByTimeAsync(0);
    expect(visits).toEqual(['stream ']);
  });

  it('may speak another protocol, at any time', async () => {
    const { visits, sends } = visit(CONNECT_ALPN, is);
    await vi.advanceTimersByTimeAsync(MINUTE);
    sends('\u0016\u0003\u0001');
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(visits).toEqual(['stream \u0016\u0003\u0001']);
  });

  it('is disconnected if nothing is ever sent', async () => {
    const { socket } = visit(CONNECT_ALPN, is);
    await vi.advanceTimersByTimeAsync(LIMITS.visitorIdleMs + MINUTE);
    expect(socket.destroyed).toBe(true);
  });
});
