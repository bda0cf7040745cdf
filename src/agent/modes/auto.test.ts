import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { log } from '../../../test/support/log.js';
import { parseTarget } from '../../net/target.js';
import { CONNECT_ALPN } from '../../protocol/limits.js';
import type { Decision } from '../decision.js';
import type { Decided } from '../known-targets.js';
import type { ServiceSpec } from '../spec.js';
import { AutoHandler } from './auto.js';
import { NO_TRAFFIC, type ModeHandler } from './mode.js';

const ENDPOINT = { address: '127.0.0.1', port: 1 };
const VISITOR = { remote: ENDPOINT, local: ENDPOINT, link: undefined } as never;

class FakeDecision {
  now: Decided = 'undecided';
  isKnownStream = false;
  readonly #listeners = new Set<() => void>();
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async recheck(): Promise<void> {}
  async settle(): Promise<void> {}
  becomes(now: Decided): void {
    Object.assign(this, { now, isKnownStream: now === 'stream' });
    for (const listener of this.#listeners) listener();
  }
}

function handler(name: string, visits: string[]): ModeHandler {
  return {
    visit: (socket) => void visits.push(`${name} ${String(socket.read() ?? '')}`),
    update: () => undefined,
    drain: () => Promise.resolve(),
    traffic: () => NO_TRAFFIC,
  };
}

/** A visitor of a target that has not shown its protocol. */
function visit(alpnProtocol: string | false) {
  const visits: string[] = [];
  const decision = new FakeDecision();
  const spec = { service: 'web', target: parseTarget(3000) } as unknown as ServiceSpec;
  const handlers = {
    stream: handler('stream', visits),
    makeHttp: () => Promise.resolve(handler('http', visits)),
  };
  const auto = new AutoHandler(spec, decision as unknown as Decision, handlers, log);
  const socket = Object.assign(new Duplex({ read: () => undefined }), { alpnProtocol });
  auto.visit(socket as unknown as Socket, VISITOR);
  return { visits, decision, sends: (text: string) => socket.push(text) };
}

const MINUTE = 60_000;

describe('a visitor of an undecided target', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('gets its connection to the target if it is silent, which may speak first', async () => {
    const { visits } = visit(false);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(visits).toEqual(['stream ']);
  });

  it.each([
    ['short', 'POST / HTTP/1.1\r\n'],
    ['long', `GET /${'x'.repeat(20_000)}`],
  ])(
    'has its %s request read if it comes from `portal connect`, however late it is',
    async (_length, request) => {
      const { visits, sends } = visit(CONNECT_ALPN);
      await vi.advanceTimersByTimeAsync(MINUTE);
      expect(visits).toEqual([]);
      sends(request);
      await vi.advanceTimersByTimeAsync(MINUTE);
      expect(visits).toEqual([`http ${request}`]);
    },
  );

  it.each(['http', 'stream'] as const)(
    'is served as soon as the target shows that it speaks %s',
    async (shown) => {
      const { visits, decision } = visit(CONNECT_ALPN);
      await vi.advanceTimersByTimeAsync(MINUTE);
      decision.becomes(shown);
      await vi.advanceTimersByTimeAsync(MINUTE);
      expect(visits).toEqual([`${shown} `]);
    },
  );

  it('from `portal connect` speaks another protocol when it does', async () => {
    const { visits, sends } = visit(CONNECT_ALPN);
    await vi.advanceTimersByTimeAsync(MINUTE);
    sends('\u0016\u0003\u0001');
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(visits).toEqual(['stream \u0016\u0003\u0001']);
  });
});
