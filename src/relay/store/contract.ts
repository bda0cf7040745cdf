import { expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import type { Store } from './store.js';

const [ALICE, BOB] = ['0xA', '0xB'] as const;

const from = (firstAt: number, network: string) => ({ firstAt, network });

/** Public ports, for example of `tcp web`. */
const ports = (store: Store, ...names: string[]): Promise<(number | undefined)[]> =>
  Promise.all(names.map((each) => store.port(...(each.split(' ') as [string, string]))));

const agent = (machine: string, seenAt: number, version = '1') => ({ machine, version, seenAt });

/** Tests for every engine of a store. `open` returns an empty one. */
export function storeContract(open: () => Promise<Store>): void {
  it('counts each name once, and only names used lately', async () => {
    const store = await open();
    await Promise.all([
      store.reserve('a', ALICE, 10),
      store.reserve('a', ALICE, 20),
      store.reserve('b', ALICE, 5),
      store.reserve('c', BOB, 20),
    ]);
    expect(await store.countReservations({ address: ALICE }, 0)).toBe(2);
    expect(await store.countReservations({ address: ALICE }, 5)).toBe(1);
    await store.forget(20);
    expect(await store.countReservations({ address: ALICE }, 0)).toBe(1);
    expect(await store.reservation('b')).toBeUndefined();
  });

  it('counts by network, and only new names', async () => {
    const store = await open();
    await store.reserve('a', ALICE, 20, from(10, 'n1'));
    await store.reserve('b', BOB, 20, from(20, 'n1'));
    await store.reserve('c', BOB, 20, from(20, 'n2'));
    expect(await store.countReservations({ network: 'n1' }, 0)).toBe(2);
    expect(await store.countReservations({ network: 'n1' }, 0, 10)).toBe(1);
    expect(await store.countReservations({ address: BOB }, 0, 10)).toBe(2);
    expect(await store.countReservations({ address: BOB }, 0, 20)).toBe(0);
    await store.reserve('b', ALICE, 30, from(30, 'n2'));
    expect(await store.countReservations({ network: 'n1' }, 0)).toBe(1);
    expect(await store.reservation('b')).toMatchObject({ address: ALICE, usedAt: 30, firstAt: 30 });
  });

  it('keeps the port of a name, for one name at a time', async () => {
    const store = await open();
    await store.reserve('a', ALICE, 10);
    await store.reserve('b', BOB, 20);
    await store.rememberPort('tcp', 'a', 4000);
    await store.rememberPort('udp', 'a', 4000);
    expect(await ports(store, 'tcp a', 'udp a', 'tcp b')).toEqual([4000, 4000, undefined]);
    expect(await store.portHolder('tcp', 4000, 0)).toBe(ALICE);
    expect(await store.portHolder('tcp', 4000, 10)).toBeUndefined();
    await store.rememberPort('tcp', 'b', 4000);
    expect(await ports(store, 'tcp a', 'tcp b')).toEqual([undefined, 4000]);
    await store.rememberPort('tcp', 'b', 4001);
    expect(await store.port('tcp', 'b')).toBe(4001);
    expect(await store.portHolder('tcp', 4000, 0)).toBeUndefined();
    expect(await store.reservationsOf(ALICE, 0)).toEqual([{ name: 'a', usedAt: 10, tcp: null, udp: 4000 }]);
  });

  it('lists the names of an identity in order, with the last use of any', async () => {
    const store = await open();
    expect(await store.newestUse()).toBeUndefined();
    for (const [name, usedAt] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
    ] as const)
      await store.reserve(name, ALICE, usedAt);
    await store.reserve('d', BOB, 5);
    expect(await store.newestUse()).toBe(30);
    // Used at 40, and stored as if its last use was long ago, so that its reservation ends soon.
    await store.reserve('e', BOB, 1, from(40, ''));
    expect(await store.newestUse()).toBe(40);
    expect((await store.reservationsOf(ALICE, 10)).map(({ name }) => name)).toEqual(['b', 'c']);
  });

  it('releases a name and its ports, for its holder only', async () => {
    const store = await open();
    await store.reserve('web', ALICE, 1);
    await store.rememberPort('tcp', 'web', 4000);
    expect(await store.release('web', BOB)).toBe(false);
    expect(await store.release('web', ALICE)).toBe(true);
    expect(await store.reservation('web')).toBeUndefined();
    expect(await store.port('tcp', 'web')).toBeUndefined();
    expect(await store.release('web', ALICE)).toBe(false);
  });

  it('forgets ports with their names', async () => {
    const store = await open();
    await store.reserve('web', ALICE, 1);
    await store.rememberPort('tcp', 'web', 4000);
    await store.forget(2);
    expect(await store.port('tcp', 'web')).toBeUndefined();
    expect(await store.portHolder('tcp', 4000, 0)).toBeUndefined();
  });

  it('knows the last key of a peer', async () => {
    const store = await open();
    expect(await store.peerKey('https://b.test')).toBeUndefined();
    await store.rememberPeer('https://b.test', ALICE);
    await store.rememberPeer('https://b.test', BOB);
    expect(await store.peerKey('https://b.test')).toBe(BOB);
  });

  it('shows a write before it resolves', async () => {
    const store = await open();
    const writes = [
      store.reserve('web', ALICE, 5, from(5, 'n1')),
      store.rememberPort('tcp', 'web', 4000),
      store.rememberPeer('https://b.test', BOB),
    ];
    const seen = await Promise.all([
      store.reservation('web'),
      store.countReservations({ address: ALICE }, 0),
      store.countReservations({ network: 'n1' }, 0),
      store.port('tcp', 'web'),
      store.peerKey('https://b.test'),
      store.newestUse(),
    ]);
    expect(seen).toMatchObject([{ address: ALICE, usedAt: 5 }, 1, 1, 4000, BOB, 5]);
    await Promise.all(writes);
  });

  it('lists the reservations used lately', async () => {
    const store = await open();
    await store.reserve('old', ALICE, 10, from(5, ''));
    await store.reserve('web', ALICE, 20, from(6, ''));
    await store.reserve('game', BOB, 30, from(7, ''));
    expect(await store.reservations(10)).toMatchObject(
      new Map([
        ['game', { address: BOB, usedAt: 30, firstAt: 7 }],
        ['web', { address: ALICE, usedAt: 20, firstAt: 6 }],
      ]),
    );
    expect((await store.reservations(10)).size).toBe(2);
  });

  it('gives a name to another identity only after it expired', async () => {
    const store = await open();
    expect(await store.reserve('web', ALICE, 100, { expiredAt: 0 })).toBe(true);
    expect(await store.reserve('web', BOB, 200, { expiredAt: 99, network: 'n2' })).toBe(false);
    expect(await store.reservation('web')).toMatchObject({ address: ALICE, usedAt: 100 });
    expect(await store.countReservations({ network: 'n2' }, 0)).toBe(0);
    expect(await store.reserve('web', BOB, 200, { expiredAt: 100 })).toBe(true);
    expect(await store.reservation('web')).toMatchObject({ address: BOB, usedAt: 200, firstAt: 200 });
  });

  it('gives a name to one of several identities that reserve it at once', async () => {
    const store = await open();
    const owners = ['0x1', '0x2', '0x3', '0x4'];
    const results = await Promise.all(
      owners.map((owner) => store.reserve('web', owner, 1, { expiredAt: 0 })),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await store.reservation('web')).toMatchObject({ address: owners[results.indexOf(true)] });
  });

  it('keeps the first use of a name until it expires', async () => {
    const store = await open();
    await store.reserve('web', ALICE, 100, { firstAt: 100, expiredAt: 0 });
    await store.reserve('web', ALICE, 200, { firstAt: 200, expiredAt: 99 });
    expect(await store.reservation('web')).toMatchObject({ usedAt: 200, firstAt: 100 });
    await store.reserve('web', ALICE, 300, { firstAt: 300, expiredAt: 200 });
    expect(await store.reservation('web')).toMatchObject({ usedAt: 300, firstAt: 300 });
  });

  it('has the last time of each machine of an identity', async () => {
    const { seen } = await open();
    await seen.note('0xA', agent('laptop', 100));
    await seen.note('0xA', agent('build', 200));
    await seen.note('0xA', agent('laptop', 300, '2'));
    await seen.note('0xB', agent('other', 400));
    expect(await seen.of('0xA', 0)).toEqual([agent('laptop', 300, '2'), agent('build', 200)]);
    expect(await seen.of('0xA', 200)).toEqual([agent('laptop', 300, '2')]);
    expect(await seen.of('0xC', 0)).toEqual([]);
  });

  it('forgets agents with the names', async () => {
    const store = await open();
    await store.seen.note('0xA', agent('old', 100));
    await store.seen.note('0xA', agent('new', 300));
    await store.forget(200);
    expect(await store.seen.of('0xA', 0)).toEqual([agent('new', 300)]);
  });

  it('keeps the latest machines of an identity', async () => {
    const { seen } = await open();
    const most = LIMITS.maxSeenAgentsPerIdentity;
    for (let at = 1; at <= most + 3; at++) await seen.note('0xA', agent(`m${at}`, at));
    expect((await seen.of('0xA', 0)).map(({ seenAt }) => seenAt)).toEqual(
      Array.from({ length: most }, (_, index) => most + 3 - index),
    );
  });
}
