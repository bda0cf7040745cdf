import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { leaseNode, leaseOpen, leaseSession } from '../../../test/support/lease-node.js';
import { MemoryStore } from '../store/memory.js';

const [ALICE, BOB] = ['0xA', '0xB'];

/** Whether another identity can open the name now, so nothing of the failed opening is left. */
async function expectFree({ leases, directory }: ReturnType<typeof leaseNode>, name: string): Promise<void> {
  expect(leases.size).toBe(0);
  await expect.poll(() => directory.lookup(`${name}.relay.test`)).toBeUndefined();
  await expect(leases.open(leaseSession(BOB), leaseOpen(name))).resolves.toBeDefined();
}

/** A relay that knows a name from before its start. */
async function restarted() {
  const store = new MemoryStore();
  await store.reserve('web', ALICE, Date.now());
  const here = leaseNode({ store });
  await here.leases.start();
  return here;
}

/** Alice's agent has held the TCP port of `web` for `ms`. A name must be held for a second to stay reserved. */
async function heldFor(ms: number) {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const here = leaseNode({ limits: { reserveAfterMs: 1_000 } });
  await here.leases.open(leaseSession(ALICE), leaseOpen('web', { mode: 'tcp' }));
  vi.advanceTimersByTime(ms);
  return { ...here, pass: (more: number) => void vi.advanceTimersByTime(more) };
}

describe('leases', () => {
  it('belong to the session that opened them, and wait for it after it ends', async () => {
    const { leases, directory } = leaseNode();
    const alice = leaseSession(ALICE);
    const lease = await leases.open(alice, leaseOpen('web'));
    expect(leases.find('web.relay.test')).toBe(lease);
    expect(directory.lookup('web.relay.test')).toEqual(lease.record);
    leases.detach(alice);
    expect([lease.holder, leases.sizes.away]).toEqual([undefined, 1]);
    const again = leaseSession(ALICE);
    expect(await leases.open(again, leaseOpen('web', { carrier: 'ws' }))).toBe(lease);
    expect(lease).toMatchObject({ holder: again, record: { carrier: 'ws' } });
    expect(directory.lookup('web.relay.test')).toEqual(lease.record);
  });

  it('go to the newer session of one agent, with a higher epoch', async () => {
    const { leases, directory } = leaseNode();
    const [before, after] = [leaseSession(ALICE), leaseSession(ALICE)];
    const { epoch } = (await leases.open(before, leaseOpen('web'))).record;
    const lease = await leases.open(after, leaseOpen('web'));
    expect(before.revoked).toHaveBeenCalledExactlyOnceWith(lease, expect.stringContaining('taken over'));
    expect(lease.record.epoch).toBeGreaterThan(epoch);
    expect(directory.lookup('web.relay.test')).toEqual(lease.record);
  });

  it('stay with another agent of the identity while it responds', async () => {
    const { leases } = leaseNode();
    const [first, second] = [leaseSession(ALICE, 'i1'), leaseSession(ALICE, 'i2')];
    const lease = await leases.open(first, leaseOpen('web'));
    await expect(leases.open(second, leaseOpen('web'))).rejects.toMatchObject({ code: 'name_taken' });
    first.alive.mockResolvedValue(false);
    await leases.open(second, leaseOpen('web'));
    expect(lease).toMatchObject({ holder: second, record: { instance: 'i2' } });
  });

  it('have one identity for each name, whatever their kind', async () => {
    const { leases } = leaseNode();
    const requests = [
      leaseOpen('web'),
      leaseOpen('web', { mode: 'tcp' }),
      leaseOpen('web'),
      leaseOpen('web', { mode: 'tcp' }),
    ];
    const results = await Promise.allSettled(
      requests.map((request, at) => leases.open(leaseSession(`0x${at}`), request)),
    );
    const errors = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(errors.map(({ code }) => code)).toEqual(['name_reserved', 'name_taken', 'name_reserved']);
    expect(leases.size).toBe(1);
  });

  it('keep their name reserved while they are held, also against a lease of another kind', async () => {
    const { leases, pass } = await heldFor(900);
    leases.names.confirm(200);
    await new Promise(setImmediate);
    pass(200);
    await expect(leases.open(leaseSession(BOB), leaseOpen('web'))).rejects.toMatchObject({
      code: 'name_reserved',
    });
  });

  it('reserve their name at the next call if the store failed', async () => {
    const { leases, store, pass } = await heldFor(850);
    vi.spyOn(store, 'reserve').mockRejectedValueOnce(new Error('the disk is full'));
    for (let call = 0; call < 2; call++) {
      leases.names.confirm(200);
      await new Promise(setImmediate);
      pass(100);
    }
    pass(100);
    await expect(leases.open(leaseSession(BOB), leaseOpen('web'))).rejects.toMatchObject({
      code: 'name_reserved',
    });
  });

  it('keep the limit of names if one identity opens several at once', async () => {
    const { leases } = leaseNode({ limits: { maxReservedNamesPerIdentity: 3 } });
    const alice = leaseSession(ALICE);
    const names = ['a', 'b', 'c', 'd', 'e'];
    const results = await Promise.allSettled(names.map((name) => leases.open(alice, leaseOpen(name))));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(2);
    expect(leases.size).toBe(3);
  });

  it('have their port in the directory', async () => {
    const { leases, directory, openPorts } = leaseNode();
    const alice = leaseSession(ALICE);
    const lease = await leases.open(alice, leaseOpen('game', { mode: 'tcp', port: 5 }));
    expect(directory.lookup('tcp game.relay.test')).toMatchObject({ port: 5, epoch: lease.record.epoch });
    await leases.open(alice, leaseOpen('game', { mode: 'tcp', port: 6 }));
    await expect.poll(() => directory.lookup('tcp game.relay.test')).toEqual(lease.record);
    expect([lease.record.port, [...openPorts]]).toEqual([6, [6]]);
    await leases.close(alice, lease.record.id);
    await expect.poll(() => directory.lookup('tcp game.relay.test')).toBeUndefined();
    expect(openPorts.size).toBe(0);
  });
});

describe('an opening that fails', () => {
  it('leaves the place free if its session ended meanwhile', async () => {
    const here = leaseNode();
    const alice = leaseSession(ALICE);
    const opening = here.leases.open(alice, leaseOpen('web'));
    alice.closed = true;
    await expect(opening).rejects.toMatchObject({ code: 'aborted' });
    await expectFree(here, 'web');
  });

  it('leaves the place free at a limit', async () => {
    const here = leaseNode({ limits: { maxLeasesPerIdentity: 1 } });
    const alice = leaseSession(ALICE);
    const other = await here.leases.open(alice, leaseOpen('other'));
    await expect(here.leases.open(alice, leaseOpen('web'))).rejects.toMatchObject({ code: 'limit_exceeded' });
    await here.leases.close(alice, other.record.id);
    await expectFree(here, 'web');
  });

  it('leaves the place free if the name cannot be stored', async () => {
    const store = new MemoryStore();
    vi.spyOn(store, 'reserve').mockRejectedValueOnce(new Error('disk full'));
    const here = leaseNode({ store });
    await expect(here.leases.open(leaseSession(ALICE), leaseOpen('web'))).rejects.toThrow('disk full');
    await expectFree(here, 'web');
  });

  it('changes nothing if the directory is unreachable', async () => {
    const here = leaseNode();
    vi.spyOn(here.directory, 'claim').mockRejectedValueOnce(new Error('no response'));
    await expect(here.leases.open(leaseSession(ALICE), leaseOpen('web'))).rejects.toThrow('no response');
    await expectFree(here, 'web');
  });

  it('leaves the lease with the session that has it', async () => {
    const { leases, directory } = leaseNode({ limits: { maxLeasesPerSession: 1 } });
    const [holder, busy] = [leaseSession(ALICE), leaseSession(ALICE)];
    const lease = await leases.open(holder, leaseOpen('web'));
    await leases.open(busy, leaseOpen('other'));
    await expect(leases.open(busy, leaseOpen('web'))).rejects.toMatchObject({ code: 'limit_exceeded' });
    expect([lease.holder, holder.revoked.mock.calls.length]).toEqual([holder, 0]);
    await expect.poll(() => directory.lookup('web.relay.test')).toEqual(lease.record);
    await leases.close(holder, lease.record.id);
    await expect.poll(() => directory.lookup('web.relay.test')).toBeUndefined();
  });

  it('lets the next one of its place begin', async () => {
    const { leases } = leaseNode();
    const [first, second] = [leaseSession(ALICE), leaseSession(ALICE, 'i2')];
    first.alive.mockResolvedValue(false);
    const openings = [leases.open(first, leaseOpen('web')), leases.open(second, leaseOpen('web'))];
    first.closed = true;
    await expect(openings[0]).rejects.toMatchObject({ code: 'aborted' });
    await expect(openings[1]).resolves.toMatchObject({ holder: second });
  });
});

describe('after a restart', () => {
  it('visitors of a reserved name wait for its agent, which serves them', async () => {
    const { leases, directory } = await restarted();
    const expected = leases.expected.at('web.relay.test');
    expect(expected).toMatchObject({ holder: undefined, record: { owner: ALICE, epoch: 0 } });
    expect([leases.expected.at('other.relay.test'), directory.lookup('web.relay.test')]).toEqual([
      undefined,
      undefined,
    ]);
    const alice = leaseSession(ALICE);
    expect(await leases.open(alice, leaseOpen('web'))).toBe(expected);
    expect(directory.lookup('web.relay.test')).toEqual(expected?.record);
    await leases.close(alice, expected!.record.id);
    expect(leases.expected.at('web.relay.test')).toBeUndefined();
  });

  it('visitors of a released name do not wait', async () => {
    const { leases } = await restarted();
    await leases.release(ALICE, 'web');
    expect(leases.expected.at('web.relay.test')).toBeUndefined();
  });

  it('visitors do not wait for the store', async () => {
    const { leases, store } = await restarted();
    const read = vi.spyOn(store, 'reservation');
    expect(leases.expected.at('web.relay.test')).toBeDefined();
    expect(leases.expected.at('other.relay.test')).toBeUndefined();
    expect(read).not.toHaveBeenCalled();
  });

  it('visitors keep waiting while another identity requests the name', async () => {
    const { leases } = await restarted();
    await expect(leases.open(leaseSession(BOB), leaseOpen('web'))).rejects.toMatchObject({
      code: 'name_reserved',
    });
    expect(leases.expected.at('web.relay.test')).toBeDefined();
    await expect(leases.open(leaseSession(BOB), leaseOpen('web'))).rejects.toMatchObject({
      code: 'name_taken',
    });
    expect(leases.expected.at('web.relay.test')).toBeDefined();
  });
});
