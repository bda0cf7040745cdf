import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RelayLimits } from '../../src/relay/relay.js';
import { eventually } from '../support/eventually.js';
import { relay, type TestRelay } from '../support/world.js';
import { helloFor, line, Peer, settled, type Line } from './relay-peer.js';

/** Visitors share a relay's capacity for a service: an address with many connections does not block others. */

const CROWD = '127.0.1.1';
const FRIEND = '127.0.0.1';
const INTERNAL_ERROR_ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 80]);

/** A service in a mode, as its visitors reach it. */
interface Service {
  readonly at: TestRelay;
  readonly peer: Peer;
  readonly visitor: (from: string) => Promise<Line>;
}

async function published(mode: 'stream' | 'tcp', limits: Partial<RelayLimits>): Promise<Service> {
  const at = await relay({ limits, ports: { tcp: 'any' } });
  const peer = await Peer.open(at);
  const { tcpAddr } = await peer.lease('app', { mode });
  const port = mode === 'tcp' ? Number(tcpAddr!.split(':')[1]) : at.port;
  const visitor = async (localAddress: string): Promise<Line> => {
    const socket: Socket = connect({ port, host: '127.0.0.1', localAddress });
    onTestFinished(() => void socket.destroy());
    const made = line(socket);
    // A rejected connection may be reset before it is established.
    await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve()));
    socket.write(mode === 'tcp' ? 'hello' : helloFor('app.localhost'));
    return made;
  };
  return { at, peer, visitor };
}

/** Resolves once the connection has ended in any way. */
const over = async ({ closed }: Line): Promise<void> => void (await closed);

describe.each(['stream', 'tcp'] as const)('mode %s', (mode) => {
  it('gives a visitor a slot of the address with most of them', async () => {
    const { at, peer, visitor } = await published(mode, { maxVisitorsPerIdentity: 4 });
    peer.answerDials();
    const crowd = [];
    for (let i = 0; i < 4; i++) {
      crowd.push(await visitor(CROWD));
      await peer.visited();
    }
    const friend = await visitor(FRIEND);
    const { visit, data } = await peer.visited();
    expect(visit.remote.address).toBe(FRIEND);
    await over(crowd[0]!);
    // The crowd retries, and gets no place back.
    for (let i = 0; i < 5; i++) await over(await visitor(CROWD));
    await eventually(() => expect(at.counts().visitors).toBe(4));
    expect(at.counts().refused).toEqual({ maxVisitorsPerIdentity: 6 });
    data.socket.write('served');
    await friend.until('served');
  });

  it('gives a visitor a place in a queue that another address has filled, and its turn', async () => {
    const { at, peer, visitor } = await published(mode, { maxWaitingVisitorsPerLease: 4 });
    const crowd = [];
    for (let i = 0; i < 4; i++) {
      crowd.push(await visitor(CROWD));
      await settled(() => at.counts().waiting === i + 1);
    }
    await visitor(FRIEND);
    await over(crowd[0]!);
    expect(at.counts().waiting).toBe(4);
    await over(await visitor(CROWD));
    expect((await crowd[0]!.closed).received).toEqual(
      mode === 'tcp' ? Buffer.alloc(0) : INTERNAL_ERROR_ALERT,
    );
    peer.answerDials();
    const served = [];
    for (let i = 0; i < 4; i++) served.push((await peer.visited()).visit.remote.address);
    // Addresses take turns: it does not wait for the whole crowd.
    expect(served.indexOf(FRIEND)).toBeLessThan(2);
    expect(at.counts().refused).toEqual({ maxWaitingVisitorsPerLease: 2 });
  });
});
