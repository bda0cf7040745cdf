import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { silent } from '../../lib/logger.js';
import type { SignedDescriptor } from '../../protocol/descriptor.js';
import { LIMITS } from '../../protocol/limits.js';
import { nameOf, secretOf } from '../../protocol/ticket.js';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { Descriptors } from '../protection/descriptors.js';
import { Hops, type HopsOptions } from './hops.js';
import type { OwnHolder } from '../leases/lease.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { RelayLimits } from '../limits.js';
import { ALONE } from '../nodes/nodes.js';
import { Peers } from './peers.js';
import { Quotas } from '../protection/quotas.js';
import { shownAs } from '../tickets/shown-ticket.js';
import { MemoryStore } from '../store/memory.js';

const OWN = 'relay.test:8443';
const PEER = 'peer.test:443';

/** The hops of a relay that knows one peer, and none of whose connections leave the test. */
function hops(over: Partial<RelayLimits> = {}) {
  const limits = { ...LIMITS, ...over };
  const quotas = new Quotas(limits);
  const peers = new Peers({
    peers: [{ url: 'https://peer.test' }],
    trustAnew: [],
    store: new MemoryStore(),
    limits,
    log: silent,
  });
  const takeVisitor = vi.fn<HopsOptions['takeVisitor']>();
  const made = new Hops({
    peers,
    leases: {
      listensFor: (_session: OwnHolder, port: number) => port === 4000,
    } as unknown as LeaseRegistry,
    quotas,
    descriptors: new Descriptors(undefined, silent),
    limits,
    domain: 'relay.test',
    nodes: ALONE,
    takeVisitor,
    log: silent,
  });
  made.start({ url: 'https://relay.test:8443', authority: OWN, host: '127.0.0.1' });
  onTestFinished(() => made.close());
  const issue = (session: OwnHolder, target = OWN, control = new FakeSocket()): string[] =>
    made.issue(session, { type: 'hop.open', id: 1, target, count: 1 }, control.asSocket).tickets;
  return {
    hops: made,
    quotas,
    peer: peers.find(PEER)!,
    takeVisitor,
    issue,
    /** Presents a ticket. `proof` is whether the client knows its secret. */
    connect: (ticket: string, target = OWN, socket = new FakeSocket(), proof = true) =>
      made.connect(
        shownAs({ name: nameOf(ticket), proof: proof ? secretOf(ticket) : '', channel: 'none' }),
        target,
        socket.asSocket,
      ),
  };
}

const session = (over: Partial<OwnHolder> = {}) =>
  ({ address: '0xA', remoteAddress: '192.0.2.1', closed: false, ...over }) as OwnHolder;

/** As the peer responds while it works. */
const descriptor = { expiresAt: new Date(Date.now() + 3_600_000).toISOString() } as SignedDescriptor;

describe('a ticket for a hop', () => {
  it('opens one connection to its target', async () => {
    const { issue, connect, takeVisitor, hops: made } = hops();
    const [ticket] = issue(session());
    expect(made.tickets).toBe(1);
    const socket = new FakeSocket();
    const begin = await connect(ticket!, OWN, socket);
    expect(takeVisitor).not.toHaveBeenCalled();
    begin();
    expect(takeVisitor).toHaveBeenCalledExactlyOnceWith(socket);
    await expect(connect(ticket!)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(made.tickets).toBe(0);
  });

  it('is used up by a wrong target, and stays without its proof', async () => {
    const { issue, connect } = hops();
    const [ticket] = issue(session());
    await expect(connect(ticket!, OWN, new FakeSocket(), false)).rejects.toMatchObject({
      code: 'unauthorized',
    });
    await expect(connect(ticket!, 'relay.test:4000')).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(connect(ticket!)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('is invalid once its session has ended', async () => {
    const { issue, connect, hops: made } = hops();
    const ended = { ...session() };
    const [first, second] = [issue(ended), issue(ended)];
    (ended as { closed: boolean }).closed = true;
    await expect(connect(first[0]!)).rejects.toMatchObject({ code: 'unauthorized' });
    made.forget(ended);
    expect(made.tickets).toBe(0);
    await expect(connect(second[0]!)).rejects.toMatchObject({ code: 'unauthorized' });
  });
});

describe('a target', () => {
  it('must be this relay, a port of the session, or a peer', () => {
    const { issue, peer } = hops();
    peer.accept(descriptor);
    for (const target of [OWN, PEER, 'relay.test:4000']) expect(issue(session(), target)).toHaveLength(1);
    for (const target of ['relay.test:4001', 'other.test:443', 'peer.test', '127.0.0.1:22'])
      expect(() => issue(session(), target)).toThrow(expect.objectContaining({ code: 'peer_unknown' }));
  });

  it('must have a descriptor, if it is a peer', () => {
    const { issue, peer } = hops();
    const wanted = vi.spyOn(peer, 'want');
    expect(() => issue(session(), PEER)).toThrow(expect.objectContaining({ code: 'peer_unreachable' }));
    expect(wanted).toHaveBeenCalledOnce();
  });
});

describe('a connection that a peer forwarded', () => {
  it('must not lead back to this relay or to that peer', () => {
    const { hops: made, issue, peer } = hops();
    peer.accept(descriptor);
    const loop = expect.objectContaining({ code: 'hop_loop' });
    const arrived = (from: string) => () => made.arrived(new FakeSocket().asSocket, { count: 1, from });
    expect(arrived('https://relay.test:8443')).toThrow(loop);
    const control = new FakeSocket();
    made.arrived(control.asSocket, { count: 1, from: 'https://peer.test' });
    expect(() => issue(session(), PEER, control)).toThrow(loop);
    expect(issue(session(), OWN, control)).toHaveLength(1);
  });

  it('goes no further than the longest chain', () => {
    const { hops: made, issue, peer } = hops();
    peer.accept(descriptor);
    const tooMany = expect.objectContaining({ code: 'too_many_hops' });
    const [last, beyond] = [new FakeSocket(), new FakeSocket()];
    const arrive = (socket: FakeSocket, count: number) => () =>
      made.arrived(socket.asSocket, { count, from: 'https://far.test' });
    arrive(last, LIMITS.maxHops)();
    expect(arrive(last, 1)).toThrow(tooMany);
    expect(arrive(beyond, LIMITS.maxHops + 1)).toThrow(tooMany);
    expect(() => issue(session(), PEER, last)).toThrow(tooMany);
  });
});

describe('the limits of hops', () => {
  it('are for each identity, until a connection closes', async () => {
    const { issue, connect } = hops({ maxHopConnectionsPerIdentity: 1 });
    const socket = new FakeSocket();
    await connect(issue(session())[0]!, OWN, socket);
    await expect(connect(issue(session())[0]!)).rejects.toMatchObject({ code: 'limit_exceeded' });
    await connect(issue(session({ address: '0xB' }))[0]!);
    await new Promise((resolve) => socket.destroy().once('close', resolve));
    await expect(connect(issue(session())[0]!)).resolves.toBeDefined();
  });

  it('are for the tickets of a session', () => {
    const { hops: made, issue } = hops();
    const open = session();
    made.issue(
      open,
      { type: 'hop.open', id: 1, target: OWN, count: LIMITS.maxHopTickets },
      new FakeSocket().asSocket,
    );
    expect(() => issue(open)).toThrow(expect.objectContaining({ code: 'limit_exceeded' }));
    expect(issue(session())).toHaveLength(1);
  });
});
