import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { silent } from '../lib/logger.js';
import { LIMITS } from '../protocol/limits.js';
import type { FromAgent } from '../protocol/messages.js';
import { MemoryDirectory } from './directory/memory.js';
import type { DomainProofs } from './domains.js';
import { ReservedLabels } from './labels.js';
import type { LeaseHolder } from './lease.js';
import { LeaseRegistry } from './leases.js';
import type { RelayLimits } from './limits.js';
import { PublicPorts } from './ports.js';
import { Quotas } from './quotas.js';
import { Reservations } from './reservations.js';
import { MemoryStore } from './store/memory.js';

const [ALICE, BOB] = ['0xA', '0xB'];

/** The leases of one node, without sockets. */
function node({
  shared = new MemoryDirectory(),
  store = new MemoryStore(),
  name = 'a',
  limits: over = {},
}: {
  shared?: MemoryDirectory;
  store?: MemoryStore;
  name?: string;
  limits?: Partial<RelayLimits>;
} = {}) {
  const limits: RelayLimits = { ...LIMITS, graceMs: 60_000, ...over };
  const quotas = new Quotas(limits);
  const directory = shared.node(name);
  const openPorts = new Set<number>();
  const ports = new PublicPorts({
    ranges: { tcp: { from: 1, to: 9 } },
    listen: {
      tcp: async (_lease, port) => {
        openPorts.add(port);
        return { port, close: () => void openPorts.delete(port) };
      },
    },
    store,
    ...limits,
  });
  const leases = new LeaseRegistry({
    directory,
    reservations: new Reservations({ store, limits, refusals: quotas.refusals }),
    labels: new ReservedLabels(),
    ports,
    domains: {} as DomainProofs,
    quotas,
    domain: 'relay.test',
    log: silent,
    ...limits,
  });
  onTestFinished(() => leases.clear());
  return { leases, directory, shared, store, openPorts, quotas };
}

/** A session. Tests set `closed` and what `alive` answers. */
function session(address: string, instance = 'i1') {
  return {
    address,
    instance,
    remoteAddress: '192.0.2.1',
    closed: false,
    alive: vi.fn<(ms: number) => Promise<boolean>>(async () => true),
    revoked: vi.fn<LeaseHolder['revoked']>(),
    serve: vi.fn<LeaseHolder['serve']>(),
    gaveUp: vi.fn<LeaseHolder['gaveUp']>(),
    datagrams: {} as LeaseHolder['datagrams'],
  };
}

type Open = FromAgent<'lease.open'>;
const open = (name: string, over: Partial<Open> = {}): Open => ({
  type: 'lease.open',
  id: 1,
  name,
  mode: 'stream',
  carrier: 'tls',
  ...over,
});

/** Whether another identity can open the name now, so nothing of the failed opening is left. */
async function expectFree({ leases, directory }: ReturnType<typeof node>, name: string): Promise<void> {
  expect(leases.size).toBe(0);
  await expect.poll(() => directory.lookup(`${name}.relay.test`)).toBeUndefined();
  await expect(leases.open(session(BOB), open(name))).resolves.toBeDefined();
}

/** Two nodes of one relay. */
function twoNodes() {
  const [shared, store] = [new MemoryDirectory(), new MemoryStore()];
  return [node({ shared, store, name: 'a' }), node({ shared, store, name: 'b' })] as const;
}

/** A relay that knows a name from before its start. */
async function restarted() {
  const store = new MemoryStore();
  await store.reserve('web', ALICE, Date.now());
  const here = node({ store });
  await here.leases.start();
  return here;
}

describe('leases', () => {
  it('belong to the session that opened them, and wait for it after it ends', async () => {
    const { leases, directory } = node();
    const alice = session(ALICE);
    const lease = await leases.open(alice, open('web'));
    expect(leases.find('web.relay.test')).toBe(lease);
    expect(directory.lookup('web.relay.test')).toEqual(lease.record);
    leases.detach(alice);
    expect([lease.holder, leases.sizes.away]).toEqual([undefined, 1]);
    const again = session(ALICE);
    expect(await leases.open(again, open('web', { carrier: 'ws' }))).toBe(lease);
    expect(lease).toMatchObject({ holder: again, record: { carrier: 'ws' } });
    expect(directory.lookup('web.relay.test')).toEqual(lease.record);
  });

  it('go to the newer session of one agent, with a higher epoch', async () => {
    const { leases, directory } = node();
    const [before, after] = [session(ALICE), session(ALICE)];
    const { epoch } = (await leases.open(before, open('web'))).record;
    const lease = await leases.open(after, open('web'));
    expect(before.revoked).toHaveBeenCalledExactlyOnceWith(lease, expect.stringContaining('taken over'));
    expect(lease.record.epoch).toBeGreaterThan(epoch);
    expect(directory.lookup('web.relay.test')).toEqual(lease.record);
  });

  it('stay with another agent of the identity while it answers', async () => {
    const { leases } = node();
    const [first, second] = [session(ALICE, 'i1'), session(ALICE, 'i2')];
    const lease = await leases.open(first, open('web'));
    await expect(leases.open(second, open('web'))).rejects.toMatchObject({ code: 'name_taken' });
    first.alive.mockResolvedValue(false);
    await leases.open(second, open('web'));
    expect(lease).toMatchObject({ holder: second, record: { instance: 'i2' } });
  });

  it('have one identity for each name, whatever their kind', async () => {
    const { leases } = node();
    const requests = [open('web'), open('web', { mode: 'tcp' }), open('web'), open('web', { mode: 'tcp' })];
    const results = await Promise.allSettled(
      requests.map((request, at) => leases.open(session(`0x${at}`), request)),
    );
    const errors = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(errors.map(({ code }) => code)).toEqual(['name_reserved', 'name_taken', 'name_reserved']);
    expect(leases.size).toBe(1);
  });

  it('keep the limit of names if one identity opens several at once', async () => {
    const { leases } = node({ limits: { maxReservedNamesPerIdentity: 3 } });
    const alice = session(ALICE);
    const names = ['a', 'b', 'c', 'd', 'e'];
    const results = await Promise.allSettled(names.map((name) => leases.open(alice, open(name))));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(2);
    expect(leases.size).toBe(3);
  });

  it('have their port in the directory', async () => {
    const { leases, directory, openPorts } = node();
    const alice = session(ALICE);
    const lease = await leases.open(alice, open('game', { mode: 'tcp', port: 5 }));
    expect(directory.lookup('tcp game.relay.test')).toMatchObject({ port: 5, epoch: lease.record.epoch });
    await leases.open(alice, open('game', { mode: 'tcp', port: 6 }));
    await expect.poll(() => directory.lookup('tcp game.relay.test')).toEqual(lease.record);
    expect([lease.record.port, [...openPorts]]).toEqual([6, [6]]);
    leases.close(alice, lease.id);
    await expect.poll(() => directory.lookup('tcp game.relay.test')).toBeUndefined();
    expect(openPorts.size).toBe(0);
  });
});

describe('an opening that fails', () => {
  it('leaves the place free if its session ended meanwhile', async () => {
    const here = node();
    const alice = session(ALICE);
    const opening = here.leases.open(alice, open('web'));
    alice.closed = true;
    await expect(opening).rejects.toMatchObject({ code: 'aborted' });
    await expectFree(here, 'web');
  });

  it('leaves the place free at a limit', async () => {
    const here = node({ limits: { maxLeasesPerIdentity: 1 } });
    const alice = session(ALICE);
    const other = await here.leases.open(alice, open('other'));
    await expect(here.leases.open(alice, open('web'))).rejects.toMatchObject({ code: 'limit_exceeded' });
    here.leases.close(alice, other.id);
    await expectFree(here, 'web');
  });

  it('leaves the place free if the name cannot be stored', async () => {
    const store = new MemoryStore();
    vi.spyOn(store, 'reserve').mockRejectedValueOnce(new Error('disk full'));
    const here = node({ store });
    await expect(here.leases.open(session(ALICE), open('web'))).rejects.toThrow('disk full');
    await expectFree(here, 'web');
  });

  it('changes nothing if the directory is unreachable', async () => {
    const here = node();
    vi.spyOn(here.directory, 'claim').mockRejectedValueOnce(new Error('no answer'));
    await expect(here.leases.open(session(ALICE), open('web'))).rejects.toThrow('no answer');
    await expectFree(here, 'web');
  });

  it('leaves the lease with the session that has it', async () => {
    const { leases, directory } = node({ limits: { maxLeasesPerSession: 1 } });
    const [holder, busy] = [session(ALICE), session(ALICE)];
    const lease = await leases.open(holder, open('web'));
    await leases.open(busy, open('other'));
    await expect(leases.open(busy, open('web'))).rejects.toMatchObject({ code: 'limit_exceeded' });
    expect([lease.holder, holder.revoked.mock.calls.length]).toEqual([holder, 0]);
    await expect.poll(() => directory.lookup('web.relay.test')).toEqual(lease.record);
    leases.close(holder, lease.id);
    await expect.poll(() => directory.lookup('web.relay.test')).toBeUndefined();
  });

  it('lets the next one of its place begin', async () => {
    const { leases } = node();
    const [first, second] = [session(ALICE), session(ALICE, 'i2')];
    first.alive.mockResolvedValue(false);
    const openings = [leases.open(first, open('web')), leases.open(second, open('web'))];
    first.closed = true;
    await expect(openings[0]).rejects.toMatchObject({ code: 'aborted' });
    await expect(openings[1]).resolves.toMatchObject({ holder: second });
  });
});

describe('two nodes', () => {
  it('serve a name at the node where its agent connected last', async () => {
    const [a, b] = twoNodes();
    const before = session(ALICE);
    const former = await a.leases.open(before, open('web'));
    const lease = await b.leases.open(session(ALICE), open('web'));
    await expect.poll(() => before.revoked.mock.calls).toEqual([[former, expect.any(String)]]);
    expect(a.leases.size).toBe(0);
    expect(a.directory.lookup('web.relay.test')).toEqual(lease.record);
    // The end of the former session does not touch the lease of the other node.
    a.leases.detach(before);
    expect(b.directory.lookup('web.relay.test')).toEqual(lease.record);
  });

  it('give a name to one identity', async () => {
    const [a, b] = twoNodes();
    await a.leases.open(session(ALICE), open('web'));
    await expect(b.leases.open(session(BOB), open('web'))).rejects.toMatchObject({ code: 'name_taken' });
  });
});

describe('after a restart', () => {
  it('visitors of a reserved name wait for its agent, which serves them', async () => {
    const { leases, directory } = await restarted();
    const expected = leases.expect('web.relay.test');
    expect(expected).toMatchObject({ holder: undefined, record: { owner: ALICE, epoch: 0 } });
    expect([leases.expect('other.relay.test'), directory.lookup('web.relay.test')]).toEqual([
      undefined,
      undefined,
    ]);
    const alice = session(ALICE);
    expect(await leases.open(alice, open('web'))).toBe(expected);
    expect(directory.lookup('web.relay.test')).toEqual(expected?.record);
    leases.close(alice, expected!.id);
    expect(leases.expect('web.relay.test')).toBeUndefined();
  });

  it('visitors of a released name do not wait', async () => {
    const { leases } = await restarted();
    await leases.release(ALICE, 'web');
    expect(leases.expect('web.relay.test')).toBeUndefined();
  });

  it('visitors do not wait for the store', async () => {
    const { leases, store } = await restarted();
    const read = vi.spyOn(store, 'reservation');
    expect(leases.expect('web.relay.test')).toBeDefined();
    expect(leases.expect('other.relay.test')).toBeUndefined();
    expect(read).not.toHaveBeenCalled();
  });

  it('visitors keep waiting while another identity requests the name', async () => {
    const { leases } = await restarted();
    await expect(leases.open(session(BOB), open('web'))).rejects.toMatchObject({ code: 'name_reserved' });
    expect(leases.expect('web.relay.test')).toBeDefined();
    await expect(leases.open(session(BOB), open('web'))).rejects.toMatchObject({ code: 'name_taken' });
    expect(leases.expect('web.relay.test')).toBeDefined();
  });
});
