import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import type { RelayLimits } from '../limits.js';
import { Quotas } from '../protection/quotas.js';
import type { Session } from './session.js';
import { Sessions } from './sessions.js';

function sessions(over: Partial<RelayLimits>) {
  const limits = { ...LIMITS, maxSessionsPerAddress: 0, ...over };
  const quotas = new Quotas(limits);
  const all = new Sessions(limits, quotas);
  return {
    all,
    quotas,
    /** Whether a client of `address` gets a handshake, from the upgrade to its hello. */
    enter: (address: string, waitingSince = performance.now()): Handshake | string => {
      const rejection = all.reject(new FakeSocket(address), address);
      if (rejection) return rejection.code;
      const handshake = new Handshake(address, waitingSince);
      all.enter(handshake as unknown as Session);
      return handshake;
    },
    proven: (session: Handshake | string) => all.proven(session as unknown as Session),
    forget: (session: Handshake | string) => all.forget(session as unknown as Session),
  };
}

/** What the sessions of a relay need from one of them. */
class Handshake {
  readonly id = randomUUID();
  evicted = false;
  readonly remoteAddress: string;
  readonly waitingSince: number;

  constructor(remoteAddress: string, waitingSince: number) {
    this.remoteAddress = remoteAddress;
    this.waitingSince = waitingSince;
  }

  evict(): void {
    this.evicted = true;
  }
}

describe('handshakes', () => {
  it('are limited, and a network has at most half of them', () => {
    const { enter, all } = sessions({ maxHandshakes: 4 });
    const first = [1, 2, 3].map(() => enter('192.0.2.1'));
    expect(first.map((one) => (one instanceof Handshake ? 'in' : one))).toEqual(['in', 'in', 'relay_busy']);
    expect(enter('198.51.100.1')).toBeInstanceOf(Handshake);
    expect(enter('203.0.113.1')).toBeInstanceOf(Handshake);
    expect(all.handshakes).toBe(4);
  });

  it('of the network with the most make room for another network', () => {
    const { enter, all } = sessions({ maxHandshakes: 4 });
    const flood = [enter('192.0.2.1'), enter('192.0.2.1')] as Handshake[];
    enter('198.51.100.1');
    enter('203.0.113.1');
    expect(enter('198.18.0.1')).toBeInstanceOf(Handshake);
    expect(flood.map(({ evicted }) => evicted)).toEqual([true, false]);
    expect([all.handshakes, all.mostHandshakes]).toEqual([4, 4]);
  });

  it('that wait for their client too long make room for any', () => {
    const { enter } = sessions({ maxHandshakes: 2 });
    const late = performance.now() - LIMITS.handshakeShareMs - 1;
    const slow = [enter('192.0.2.1', late), enter('198.51.100.1', late)] as Handshake[];
    expect(enter('203.0.113.1')).toBeInstanceOf(Handshake);
    expect(slow.filter(({ evicted }) => evicted)).toHaveLength(1);
  });

  it('end when the identity is proven, or the channel closes', () => {
    const { enter, proven, forget, all } = sessions({ maxHandshakes: 2 });
    const session = enter('192.0.2.1');
    proven(session);
    forget(enter('198.51.100.1'));
    expect([all.size, all.handshakes]).toEqual([1, 0]);
    forget(session);
    expect(all.size).toBe(0);
  });
});

describe('a full relay', () => {
  it('rejects more sessions, and counts them', () => {
    const { enter, proven, forget, quotas } = sessions({ maxSessions: 2 });
    const open = [enter('192.0.2.1'), enter('198.51.100.1')];
    for (const session of open) proven(session);
    expect(enter('203.0.113.1')).toBe('relay_busy');
    expect(quotas.refusals.get('maxSessions')).toBe(1);
    forget(open[0]!);
    expect(enter('203.0.113.1')).toBeInstanceOf(Handshake);
  });

  it('ends a handshake for an agent', () => {
    const { enter, proven, all } = sessions({ maxSessions: 2 });
    proven(enter('192.0.2.1'));
    const handshake = enter('198.51.100.1') as Handshake;
    expect(enter('203.0.113.1')).toBeInstanceOf(Handshake);
    expect([handshake.evicted, all.size]).toEqual([true, 2]);
  });

  it('rejects an address at its own limit first', () => {
    const { enter, quotas } = sessions({ maxSessionsPerAddress: 1 });
    expect(enter('192.0.2.1')).toBeInstanceOf(Handshake);
    expect(enter('192.0.2.1')).toBe('limit_exceeded');
    expect(quotas.refusals.get('maxSessionsPerAddress')).toBe(1);
  });
});
