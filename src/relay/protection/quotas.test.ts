import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import type { RelayLimits } from '../limits.js';
import { Quotas } from './quotas.js';

const [ALICE, BOB] = ['0xA', '0xB'];

const quotas = (limits: Partial<RelayLimits>) => new Quotas({ ...LIMITS, ...limits });

const closed = (socket: FakeSocket) => new Promise((resolve) => socket.destroy().once('close', resolve));

const session = (address: string, instance: string) => ({ address, instance });

const error = (limit: keyof RelayLimits) =>
  expect.objectContaining({ code: 'limit_exceeded', message: expect.stringContaining(`(${limit})`) });

describe('connections of an address', () => {
  it('are limited, each until it closes', async () => {
    const made = quotas({ maxConnectionsPerAddress: 2 });
    const sockets = [1, 2, 3].map(() => new FakeSocket());
    const admitted = sockets.map((socket) => made.connection(socket, socket.remoteAddress));
    expect(admitted).toEqual([true, true, false]);
    expect(made.connection(new FakeSocket(), '192.0.2.2')).toBe(true);
    expect(made.refusals.counts()).toEqual({ maxConnectionsPerAddress: 1 });
    await closed(sockets[0]!);
    expect(made.connection(new FakeSocket(), '192.0.2.1')).toBe(true);
  });

  it('count once if a ticket makes them trusted before they close', async () => {
    const made = quotas({ maxConnectionsPerAddress: 1 });
    const first = new FakeSocket();
    expect(made.connection(first, '192.0.2.1')).toBe(true);
    made.trusted(first);
    expect(made.connection(new FakeSocket(), '192.0.2.1')).toBe(true);
    await closed(first);
    expect(made.connection(new FakeSocket(), '192.0.2.1')).toBe(false);
  });

  it('have one limit for an IPv6 network', () => {
    const made = quotas({ maxConnectionsPerAddress: 1 });
    expect(made.connection(new FakeSocket(), '2001:db8::1')).toBe(true);
    expect(made.connection(new FakeSocket(), '2001:db8::2')).toBe(false);
    expect(made.connection(new FakeSocket(), '::ffff:192.0.2.1')).toBe(true);
    expect(made.connection(new FakeSocket(), '192.0.2.1')).toBe(false);
  });

  it('are unlimited with 0', () => {
    const made = quotas({ maxConnectionsPerAddress: 0 });
    for (let count = 0; count < 100; count++)
      expect(made.connection(new FakeSocket(), '192.0.2.1')).toBe(true);
  });
});

describe('sessions of an identity', () => {
  it('are limited by agent, so an agent that reconnects counts once', () => {
    const made = quotas({ maxSessionsPerIdentity: 2 });
    const first = session(ALICE, 'i1');
    made.openSession(first);
    made.openSession(session(ALICE, 'i2'));
    made.openSession(session(ALICE, 'i2'));
    expect(() => made.openSession(session(ALICE, 'i3'))).toThrow(error('maxSessionsPerIdentity'));
    made.openSession(session(BOB, 'i3'));
    made.closeSession(first);
    expect(() => made.openSession(session(ALICE, 'i3'))).toThrow(error('maxSessionsPerIdentity'));
  });

  it('free their place when they close', () => {
    const made = quotas({ maxSessionsPerIdentity: 1 });
    const first = session(ALICE, 'i1');
    made.openSession(first);
    made.closeSession(first);
    made.closeSession(first);
    expect(() => made.openSession(session(ALICE, 'i2'))).not.toThrow();
  });
});

describe('leases and ports', () => {
  it('of an identity are limited', () => {
    const made = quotas({ maxLeasesPerIdentity: 1 });
    made.openLease(ALICE);
    expect(() => made.openLease(ALICE)).toThrow(error('maxLeasesPerIdentity'));
    made.openLease(BOB);
    made.closeLease(ALICE);
    expect(() => made.openLease(ALICE)).not.toThrow();
  });

  it('with a port are limited per identity and per address, and a rejected one counts for neither', () => {
    const made = quotas({ maxPortsPerIdentity: 2, maxPortsPerAddress: 1 });
    made.openPort(ALICE, 'n1');
    expect(() => made.openPort(ALICE, 'n1')).toThrow(error('maxPortsPerAddress'));
    made.openPort(ALICE, 'n2');
    expect(() => made.openPort(ALICE, 'n3')).toThrow(error('maxPortsPerIdentity'));
    made.openPort(BOB, 'n3');
  });

  it('move to another network, or stay where they are', () => {
    const made = quotas({ maxPortsPerAddress: 1 });
    made.openPort(ALICE, 'n1');
    made.openPort(BOB, 'n2');
    expect(() => made.movePort('n1', 'n2')).toThrow(error('maxPortsPerAddress'));
    made.movePort('n1', 'n1');
    made.movePort('n1', 'n3');
    expect(() => made.openPort(BOB, 'n1')).not.toThrow();
    expect(() => made.openPort(BOB, 'n3')).toThrow(error('maxPortsPerAddress'));
  });
});

describe('visitors of an identity', () => {
  it('make room for those of other networks', () => {
    const made = quotas({ maxVisitorsPerIdentity: 3 });
    const flood = [1, 2, 3].map(() => new FakeSocket('192.0.2.1'));
    for (const socket of flood) expect(made.visitor(ALICE, socket.asSocket)).toBe(true);
    expect(made.visitor(ALICE, new FakeSocket('192.0.2.1').asSocket)).toBe(false);
    expect(made.visitor(ALICE, new FakeSocket('198.51.100.1').asSocket)).toBe(true);
    expect(flood.filter(({ wasReset }) => wasReset)).toHaveLength(1);
    expect(made.visitor(BOB, new FakeSocket('192.0.2.1').asSocket)).toBe(true);
    expect(made.refusals.get('maxVisitorsPerIdentity')).toBe(2);
  });

  it('share one rate, which an identity cannot renew', () => {
    const made = quotas({ maxBytesPerSecondPerIdentity: 1_000 });
    const rate = made.rateOf(ALICE)!;
    expect(made.rateOf(ALICE)).toBe(rate);
    expect(rate.take(10_000_000)).toBeGreaterThan(0);
    // Another identity makes the relay forget rates of identities without leases, but not this debt.
    expect(made.rateOf(BOB)).not.toBe(rate);
    expect(made.rateOf(ALICE)).toBe(rate);
    expect(quotas({ maxBytesPerSecondPerIdentity: 0 }).rateOf(ALICE)).toBeUndefined();
  });
});
