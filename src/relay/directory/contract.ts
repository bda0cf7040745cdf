import { expect, it, onTestFinished } from 'vitest';
import type { LeaseChange, LeaseClaim, LeaseDirectory } from './directory.js';
import { replicaPlaceOf } from './record.js';

/** Opens views of one directory that has no leases yet, one for each name. */
export type OpenNodes = (...names: string[]) => Promise<readonly LeaseDirectory[]>;

const [ALICE, BOB] = ['0xA', '0xB'];

export const claimOf = (name: string, owner: string, over: Partial<LeaseClaim> = {}): LeaseClaim => ({
  id: `lease of ${name}`,
  place: `${name}.relay.test`,
  name,
  hostname: `${name}.relay.test`,
  isOwnDomain: false,
  kind: 'tls',
  owner,
  instance: 'i1',
  session: 's1',
  portHost: undefined,
  port: undefined,
  carrier: 'tls',
  ...over,
});

/** A claim of one agent among several. */
const replicaOf = (name: string, owner: string, instance: string): LeaseClaim =>
  claimOf(name, owner, {
    id: `lease of ${name} at ${instance}`,
    place: replicaPlaceOf(`${name}.relay.test`, instance),
    instance,
    replica: { policy: 'spread', healthy: true, probingFrom: undefined, validating: false, listens: false },
  });

/** The changes that a node hears from now on. */
function heard(node: LeaseDirectory): LeaseChange[] {
  const changes: LeaseChange[] = [];
  node.watch((change) => changes.push(change));
  return changes;
}

const epochs = (changes: readonly LeaseChange[]): number[] => changes.map(({ epoch }) => epoch);

/** Opens nodes that close with the test. */
function nodesOf(open: OpenNodes) {
  return async <Names extends string[]>(
    ...names: Names
  ): Promise<{ [at in keyof Names]: LeaseDirectory }> => {
    const opened = await open(...names);
    onTestFinished(async () => {
      for (const node of opened) await node.close();
    });
    return opened as { [at in keyof Names]: LeaseDirectory };
  };
}

/** Tests for every engine of a directory. */
export function directoryContract(open: OpenNodes): void {
  replicaContract(open);
  const nodes = nodesOf(open);

  it('gives a place to the node that claims it, and tells every node', async () => {
    const [a, b] = await nodes('a', 'b');
    const claim = claimOf('web', ALICE);
    const record = await a.claim(claim);
    expect(record).toEqual({ ...claim, node: 'a', epoch: expect.any(Number) });
    expect(record.epoch).toBeGreaterThan(0);
    expect(a.lookup(claim.place)).toEqual(record);
    await expect.poll(() => b.lookup(claim.place)).toEqual(record);
    expect(b.lookup('tcp web.relay.test')).toBeUndefined();
  });

  it('rejects the claim of another owner', async () => {
    const [a, b] = await nodes('a', 'b');
    const record = await a.claim(claimOf('web', ALICE));
    for (const node of [a, b])
      await expect(node.claim(claimOf('web', BOB))).rejects.toMatchObject({ code: 'name_taken' });
    await expect.poll(() => b.lookup(record.place)).toEqual(record);
  });

  it('gives a place to one owner if several claim it at once', async () => {
    const all = await nodes('a', 'b', 'c', 'd');
    for (let round = 0; round < 10; round++) {
      const name = `n${round}`;
      const claims = await Promise.allSettled(
        all.map((node, at) => node.claim(claimOf(name, `0x${at}`, { instance: `i${at}` }))),
      );
      const won = claims.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      const lost = claims.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
      expect(won).toHaveLength(1);
      for (const reason of lost) expect(reason).toMatchObject({ code: 'name_taken' });
      for (const node of all) await expect.poll(() => node.lookup(`${name}.relay.test`)).toEqual(won[0]);
    }
  });

  it('gives each of several claims of one owner an epoch of its own, and the place to the highest', async () => {
    const all = await nodes('a', 'b', 'c');
    const records = await Promise.all(
      [...all, ...all].map((node, at) => node.claim(claimOf('web', ALICE, { instance: `i${at}` }))),
    );
    const byEpoch = records.toSorted((x, y) => x.epoch - y.epoch);
    expect(new Set(records.map(({ epoch }) => epoch)).size).toBe(records.length);
    for (const node of all) await expect.poll(() => node.lookup('web.relay.test')).toEqual(byEpoch.at(-1));
  });

  it('lets the caller of a claim run before it tells that another node has the place', async () => {
    const all = await nodes('a', 'b', 'c');
    const turns = all.map(async (node) => {
      for (let turn = 0; turn < 20; turn++) {
        const record = await node.claim(claimOf('web', ALICE));
        expect(node.lookup(record.place)).toEqual(record);
      }
    });
    await Promise.all(turns);
  });

  it('tells a node that its owner claimed the place at another node', async () => {
    const [a, b] = await nodes('a', 'b');
    const changes = heard(a);
    const first = await a.claim(claimOf('web', ALICE));
    const second = await b.claim(claimOf('web', ALICE, { instance: 'i2' }));
    expect(second.epoch).toBeGreaterThan(first.epoch);
    await expect
      .poll(() => changes)
      .toEqual([
        { place: first.place, epoch: first.epoch, record: first },
        { place: first.place, epoch: second.epoch, record: second },
      ]);
  });

  it('frees a released place for any owner, with a higher epoch', async () => {
    const [a, b] = await nodes('a', 'b');
    const first = await a.claim(claimOf('web', ALICE));
    await a.release(first.place, first.epoch);
    await expect.poll(() => [a.lookup(first.place), b.lookup(first.place)]).toEqual([undefined, undefined]);
    const second = await b.claim(claimOf('web', BOB));
    expect(second.epoch).toBeGreaterThan(first.epoch);
    await expect.poll(() => a.lookup(first.place)).toEqual(second);
  });

  it('claims again after a release without waiting for it', async () => {
    const [a] = await nodes('a');
    const first = await a.claim(claimOf('web', ALICE));
    const released = a.release(first.place, first.epoch);
    const second = await a.claim(claimOf('web', BOB));
    await released;
    await expect.poll(() => a.lookup(first.place)).toEqual(second);
  });

  it('replaces a record, and nothing with a stale epoch', async () => {
    const [a, b] = await nodes('a', 'b');
    const changes = heard(b);
    const first = await a.claim(claimOf('game', ALICE, { kind: 'tcp', place: 'tcp game.relay.test' }));
    const withPort = { ...first, port: 4000 };
    await a.update(withPort);
    const second = await b.claim(claimOf('game', ALICE, { kind: 'tcp', place: 'tcp game.relay.test' }));
    await a.update({ ...withPort, port: 4001 });
    await a.release(first.place, first.epoch);
    await b.update({ ...second, carrier: 'ws' });
    const last = { ...second, carrier: 'ws' };
    await expect.poll(() => [a.lookup(first.place), b.lookup(first.place)]).toEqual([last, last]);
    expect(changes.map(({ record }) => record)).toEqual([first, withPort, second, last]);
  });

  it('does not restore a released place', async () => {
    const [a, b] = await nodes('a', 'b');
    const changes = heard(b);
    const record = await a.claim(claimOf('web', ALICE));
    await a.release(record.place, record.epoch);
    await a.update({ ...record, carrier: 'ws' });
    await a.release(record.place, record.epoch);
    const other = await a.claim(claimOf('other', ALICE));
    await expect.poll(() => epochs(changes)).toEqual([record.epoch, record.epoch, other.epoch]);
    expect(b.lookup(record.place)).toBeUndefined();
  });

  it('tells all nodes the changes of a place in the same order, with rising epochs', async () => {
    const all = await nodes('a', 'b', 'c');
    const histories = all.map(heard);
    const own: number[] = [];
    const turns = all.map(async (node) => {
      for (let turn = 0; turn < 20; turn++) {
        const { place, epoch } = await node.claim(claimOf('web', ALICE));
        own.push(epoch);
        if (turn % 3 === 0) await node.release(place, epoch);
      }
    });
    await Promise.all(turns);
    const end = await all[0].claim(claimOf('end', ALICE));
    for (const history of histories) await expect.poll(() => history.at(-1)?.epoch).toBe(end.epoch);
    expect(histories[1]).toEqual(histories[0]);
    expect(histories[2]).toEqual(histories[0]);
    const claimed = histories[0]!.filter(({ record }) => record);
    expect(epochs(claimed)).toEqual([...own, end.epoch].toSorted((x, y) => x - y));
    expect(epochs(histories[0]!)).toEqual(epochs(histories[0]!).toSorted((x, y) => x - y));
  });

  it('shows earlier claims to a node that opens later', async () => {
    const [a] = await nodes('a');
    const record = await a.claim(claimOf('web', ALICE));
    const [late] = await nodes('late');
    await expect.poll(() => late.lookup(record.place)).toEqual(record);
    await expect(late.claim(claimOf('web', BOB))).rejects.toMatchObject({ code: 'name_taken' });
  });

  it('tells nothing to a listener that ended, or to a closed node', async () => {
    const [a, b, c] = await nodes('a', 'b', 'c');
    const ended: LeaseChange[] = [];
    b.watch((change) => ended.push(change))();
    const closed = heard(c);
    await c.close();
    const changes = heard(b);
    await a.claim(claimOf('web', ALICE));
    await expect.poll(() => changes).toHaveLength(1);
    expect([ended, closed]).toEqual([[], []]);
  });
}

function replicaContract(open: OpenNodes): void {
  const nodes = nodesOf(open);
  const AT = 'web.relay.test';
  const placesAt = (node: LeaseDirectory): string[] =>
    node
      .at(AT)
      .map(({ place }) => place)
      .toSorted();

  it('lets replicas of one owner share a public place, at any nodes', async () => {
    const [a, b] = await nodes('a', 'b');
    const records = [
      await a.claim(replicaOf('web', ALICE, 'i1')),
      await b.claim(replicaOf('web', ALICE, 'i2')),
      await a.claim(replicaOf('web', ALICE, 'i3')),
    ];
    const expected = records.map(({ place }) => place).toSorted();
    for (const node of [a, b]) {
      await expect.poll(() => placesAt(node)).toEqual(expected);
      for (const record of records) expect(node.lookup(record.place)).toEqual(record);
      expect(node.lookup(AT)).toBeUndefined();
    }
    await b.release(records[1]!.place, records[1]!.epoch);
    for (const node of [a, b])
      await expect.poll(() => placesAt(node)).toEqual([records[0]!.place, records[2]!.place].toSorted());
  });

  it('gives a public place with replicas to no other owner', async () => {
    const [a, b] = await nodes('a', 'b');
    const first = await a.claim(replicaOf('web', ALICE, 'i1'));
    const second = await a.claim(replicaOf('web', ALICE, 'i2'));
    for (const claim of [claimOf('web', BOB), replicaOf('web', BOB, 'i1'), replicaOf('web', BOB, 'i9')])
      await expect(b.claim(claim)).rejects.toMatchObject({ code: 'name_taken' });
    await a.release(first.place, first.epoch);
    await expect(b.claim(claimOf('web', BOB))).rejects.toMatchObject({ code: 'name_taken' });
    await a.release(second.place, second.epoch);
    await expect.poll(() => placesAt(b)).toEqual([]);
    const { epoch } = await b.claim(replicaOf('web', BOB, 'i1'));
    expect(epoch).toBeGreaterThan(second.epoch);
    await expect(a.claim(replicaOf('web', ALICE, 'i1'))).rejects.toMatchObject({ code: 'name_taken' });
  });

  it('gives a public place to one owner if several claim replicas there at once', async () => {
    const all = await nodes('a', 'b', 'c', 'd');
    for (let round = 0; round < 10; round++) {
      const name = `n${round}`;
      const claims = await Promise.allSettled(
        all.map((node, at) => node.claim(replicaOf(name, at % 2 === 0 ? ALICE : BOB, `i${at}`))),
      );
      const won = claims.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      expect(new Set(won.map(({ owner }) => owner)).size).toBe(1);
      expect(won).toHaveLength(2);
      for (const node of all) await expect.poll(() => node.at(`${name}.relay.test`)).toHaveLength(2);
    }
  });

  it('ends the replicas with a claim for the whole public place, and the reverse', async () => {
    const [a, b] = await nodes('a', 'b');
    const replicas = [
      await a.claim(replicaOf('web', ALICE, 'i1')),
      await b.claim(replicaOf('web', ALICE, 'i2')),
    ];
    const whole = await a.claim(claimOf('web', ALICE));
    for (const node of [a, b]) await expect.poll(() => node.at(AT)).toEqual([whole]);
    // The ended records do not return.
    await b.update({ ...replicas[1]!, carrier: 'ws' });
    await a.release(replicas[0]!.place, replicas[0]!.epoch);
    const again = await b.claim(replicaOf('web', ALICE, 'i2'));
    expect(again.epoch).toBeGreaterThan(whole.epoch);
    for (const node of [a, b]) await expect.poll(() => node.at(AT)).toEqual([again]);
    const [late] = await nodes('late');
    await expect.poll(() => late.at(AT)).toEqual([again]);
  });

  it('lets the epochs of each replica only rise', async () => {
    const [a, b] = await nodes('a', 'b');
    const other = await a.claim(replicaOf('web', ALICE, 'i2'));
    let last = 0;
    for (const node of [a, b, a, b]) {
      const { place, epoch } = await node.claim(replicaOf('web', ALICE, 'i1'));
      expect(epoch).toBeGreaterThan(last);
      last = epoch;
      if (node === b) await node.release(place, epoch);
    }
    await expect.poll(() => b.at(AT)).toEqual([other]);
  });
}
