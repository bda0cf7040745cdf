import { describe, expect, it } from 'vitest';
import { leaseNode, leaseOpen, leaseSession } from '../../../test/support/lease-node.js';

const ALICE = '0xA';
const AT = 'web.relay.test';

type Policy = 'spread' | 'failover';

/** Agents that opened replicas of one name, in this order. */
async function opened(...policies: Policy[]) {
  const { leases } = leaseNode();
  const sessions = policies.map((_, index) => leaseSession(ALICE, `i${index}`));
  const open = (index: number, healthy = true) =>
    leases.open(sessions[index]!, leaseOpen('web', { replicas: { policy: policies[index]!, healthy } }));
  for (const index of policies.keys()) await open(index);
  const chosen = (count: number): string =>
    Array.from({ length: count }, () => leases.find(AT)?.record.instance?.slice(1)).join('');
  const tell = async (index: number, changes: object): Promise<void> => {
    const session = sessions[index]!;
    const lease = [...leases.all()].find(({ holder }) => holder === session)!.record.id;
    await leases.setReplica(session, lease, { type: 'lease.replica', id: 1, lease, ...changes });
  };
  return { leases, sessions, open, chosen, tell };
}

describe('a new visitor', () => {
  it('goes to each replica in turn', async () => {
    const { chosen } = await opened('spread', 'spread', 'spread');
    expect(chosen(6)).toBe('012012');
  });

  it('goes to the replica with the fewest visitors', async () => {
    const { leases, chosen } = await opened('spread', 'spread');
    const busy = leases.find(AT)!;
    busy.traffic.flows = 2;
    expect(chosen(3)).toBe('111');
    busy.traffic.flows = 0;
    expect(chosen(2)).toBe('01');
  });

  it('goes to the first replica with failover, and an agent that returns is the last', async () => {
    const { leases, sessions, open, chosen } = await opened('failover', 'failover');
    expect(chosen(3)).toBe('000');
    leases.detach(sessions[0]!);
    expect(chosen(3)).toBe('111');
    await open(0);
    expect(chosen(3)).toBe('111');
  });

  it('is divided by the policy of the replica that opened last', async () => {
    const { chosen } = await opened('spread', 'failover');
    expect(chosen(3)).toBe('000');
    expect((await opened('failover', 'spread')).chosen(2)).toBe('01');
  });

  it('avoids unhealthy replicas, unless all are', async () => {
    const { chosen, tell } = await opened('spread', 'spread');
    await tell(0, { healthy: false });
    expect(chosen(3)).toBe('111');
    await tell(1, { healthy: false });
    expect(chosen(4).split('').toSorted().join('')).toBe('0011');
    await tell(0, { healthy: true });
    expect(chosen(2)).toBe('00');
  });

  it('waits for a disconnected replica only if there is no other', async () => {
    const { leases, sessions, chosen } = await opened('spread', 'spread');
    leases.detach(sessions[1]!);
    expect(chosen(3)).toBe('000');
    leases.detach(sessions[0]!);
    expect(leases.find(AT)?.holder).toBeUndefined();
  });

  it('of a CA goes to the replica that is validated, which is one at a time', async () => {
    const { leases, tell } = await opened('spread', 'spread');
    await tell(1, { validating: true });
    for (let index = 0; index < 3; index++)
      expect(leases.find(AT, { validates: true })?.record.instance).toBe('i1');
    await expect(tell(0, { validating: true })).rejects.toMatchObject({ code: 'relay_busy' });
    await tell(1, { validating: false });
    await tell(0, { validating: true });
    expect(leases.find(AT, { validates: true })?.record.instance).toBe('i0');
  });

  it('from the address of an agent that visits its port goes to that agent', async () => {
    const { leases, tell } = await opened('spread', 'spread');
    await tell(1, { probing: true });
    const of = (address: string) => leases.find(AT, { address })?.record.instance;
    expect([of('192.0.2.1'), of('192.0.2.1')]).toEqual(['i1', 'i1']);
    expect(new Set([of('192.0.2.2'), of('192.0.2.2')])).toEqual(new Set(['i0', 'i1']));
  });

  it('from the address of two agents that visit their port goes to one of them after the other', async () => {
    const { leases, tell } = await opened('spread', 'spread', 'spread');
    const visited = () => leases.find(AT, { address: '192.0.2.1' })?.record.instance;
    await tell(1, { probing: true });
    let isTurn = false;
    const next = tell(2, { probing: true }).then(() => (isTurn = true));
    await tell(0, { healthy: false });
    expect([visited(), isTurn]).toEqual(['i1', false]);
    await tell(1, { probing: false });
    await next;
    expect(visited()).toBe('i2');
  });
});
