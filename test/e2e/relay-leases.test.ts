import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { findSqlite } from '../../src/relay/store/sqlite-driver.js';
import { temporaryFolder } from '../support/folder.js';
import { relay, type TestRelay } from '../support/world.js';
import { sendHello, Peer, settled } from './relay-peer.js';

/** Two sessions of one identity: two machines, or one before and after. */
async function siblings(limits: Partial<RelayLimits> = {}, instances = ['one', 'two']) {
  const at = await relay({ limits });
  const identity = generateIdentity();
  const [first, second] = await Promise.all(
    instances.map((instance) => Peer.open(at, { identity, instance })),
  );
  return { at, identity, first: first!, second: second! };
}

const gone = async (at: TestRelay, peer: Peer, sessions = 0): Promise<void> => {
  peer.ws.terminate();
  await settled(() => at.counts().sessions === sessions);
};

describe('names', () => {
  it.each(['a', '0', 'a-b', 'xn--caf-dma', 'a'.repeat(63)])('accepts %s', async (name) => {
    const peer = await Peer.open(await relay());
    expect((await peer.lease(name)).hostname).toBe(`${name}.localhost`);
  });

  it.each([
    '',
    '-a',
    'a-',
    'a.b',
    'A',
    'a_b',
    'café',
    'a b',
    '*',
    '../x',
    'a\0',
    'a'.repeat(64),
    'a'.repeat(253),
  ])('rejects %j with the rule, and keeps the channel open', async (name) => {
    const peer = await Peer.open(await relay());
    await expect(peer.lease(name)).rejects.toMatchObject({
      code: 'name_invalid',
      message: expect.stringContaining('DNS label'),
    });
    await expect(peer.lease('fine')).resolves.toBeDefined();
  });

  it('rejects a mode that the relay does not have, with that reason', async () => {
    const peer = await Peer.open(await relay());
    for (const mode of ['tcp', 'udp'])
      await expect(peer.lease('web', { mode })).rejects.toMatchObject({ code: 'capability_missing' });
  });

  it('gives a name to one of two racing identities, and tells the other what to do', async () => {
    const at = await relay();
    const peers = await Promise.all([Peer.open(at), Peer.open(at)]);
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled(peers.map((peer) => peer.lease(`n${round}`)));
      expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      const { reason } = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
      expect(reason).toMatchObject({
        code: 'name_taken',
        message: expect.stringMatching(/Use another name/),
      });
    }
  });

  it('treats two requests for a name in one write as one lease', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    const [one, two] = await Promise.all([peer.lease('web'), peer.lease('web')]);
    expect(one.lease).toBe(two.lease);
    expect(at.counts().leases).toBe(1);
  });
});

describe('a lost session', () => {
  it('keeps its name for its identity, which is then reserved, and queues visitors until it returns', async () => {
    const at = await relay({ limits: { graceMs: 1_500 } });
    const identity = generateIdentity();
    const first = await Peer.open(at, { identity });
    const { lease } = await first.lease('web');
    await gone(at, first);
    const rival = await Peer.open(at);
    await expect(rival.lease('web')).rejects.toMatchObject({ code: 'name_taken' });

    const visitor = await sendHello(at, 'web.localhost');
    const back = await Peer.open(at, { identity });
    back.answerDials();
    expect((await back.lease('web')).lease).toBe(lease);
    expect((await back.visited()).visit.remote.port).toBe(visitor.socket.localPort);

    await gone(at, back, 1);
    await settled(() => at.counts().leases === 0);
    await expect(rival.lease('web')).rejects.toMatchObject({ code: 'name_reserved' });
    const owner = await Peer.open(at, { identity });
    expect((await owner.lease('web')).lease).not.toBe(lease);
  });

  it('rejects queued visitors when its grace period ends', async () => {
    const at = await relay({ limits: { graceMs: 60 } });
    const peer = await Peer.open(at);
    await peer.lease('web');
    const visitor = await sendHello(at, 'web.localhost');
    await gone(at, peer);
    await visitor.closed;
    expect(at.counts().leases).toBe(0);
  });

  it('a closed lease is available to its identity immediately, and reserved for it', async () => {
    const { first, second, at } = await siblings();
    const { lease } = await first.lease('web');
    await first.request({ type: 'lease.close', lease });
    await expect(second.lease('web')).resolves.toBeDefined();
    await expect((await Peer.open(at)).lease('web')).rejects.toMatchObject({ code: 'name_taken' });
  });
});

describe('two sessions of one identity', () => {
  it('another instance does not get a name whose holder responds', async () => {
    const { first, second } = await siblings();
    const { lease } = await first.lease('web');
    await expect(second.lease('web')).rejects.toMatchObject({
      code: 'name_taken',
      message: expect.stringContaining('another agent with your identity'),
      retryAfterMs: expect.any(Number),
    });
    await expect(first.request({ type: 'lease.update', lease, metadata: {} })).resolves.toBeDefined();
  });

  it('another instance gets all names of a silent one after one wait', async () => {
    const { first, second } = await siblings();
    // One-second waits for each would exceed this test's timeout.
    const names = Array.from({ length: 80 }, (_, i) => `n${i}`);
    for (const name of names) await first.lease(name);
    first.ws.pause();
    for (const name of names) await expect(second.lease(name)).resolves.toBeDefined();
    first.ws.resume();
    await first.next('lease.revoked');
  });

  it('the same instance takes over immediately, and late messages of the old session have no effect', async () => {
    const { at, first, second } = await siblings({ graceMs: 50 }, ['same', 'same']);
    const { lease } = await first.lease('web');
    expect((await second.lease('web')).lease).toBe(lease);
    expect(await first.next('lease.revoked')).toMatchObject({ lease });
    await expect(first.request({ type: 'lease.close', lease })).rejects.toMatchObject({ code: 'not_found' });
    const late = first.request({ type: 'lease.update', lease, metadata: { from: 'the past' } });
    await expect(late).rejects.toMatchObject({ code: 'not_found' });
    // The grace period of its other lease shows when that of this one would have ended.
    await first.lease('witness');
    await gone(at, first, 1);
    await settled(() => at.counts().leases === 1);
    second.answerDials();
    const visitor = await sendHello(at, 'web.localhost');
    expect((await second.visited()).visit.remote.port).toBe(visitor.socket.localPort);
  });

  it('visitors queued at a takeover go to the new session, not to a late connection of the old', async () => {
    const { at, first, second } = await siblings({}, ['same', 'same']);
    await first.lease('web');
    const visitor = await sendHello(at, 'web.localhost');
    const [ticket] = await first.tickets();
    await settled(() => at.counts().tickets > 2);
    await second.lease('web');
    const late = await first.data(ticket!.ticket);
    second.answerDials();
    expect((await second.visited()).visit.remote.port).toBe(visitor.socket.localPort);
    expect(late.received().subarray(-1)).toEqual(Buffer.from('\n'));
  });

  it('a third instance that arrives during the probe of a silent one is also probed', async () => {
    const { at, identity, first, second } = await siblings();
    await first.lease('web');
    first.ws.pause();
    const third = await Peer.open(at, { identity, instance: 'three' });
    // Both wait for the first. The one that is admitted first is alive, and keeps the name.
    const results = await Promise.allSettled([second.lease('web'), third.lease('web')]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('reservations', () => {
  it('survive a restart of the relay', async () => {
    const store = { file: join(await temporaryFolder(), 'relay.db') };
    const first = await relay({ store });
    const owner = await Peer.open(first);
    await owner.lease('web');
    await first.close();
    const second = await relay({ store });
    await expect((await Peer.open(second)).lease('web')).rejects.toMatchObject({ code: 'name_reserved' });
    await expect((await Peer.open(second, { identity: owner.identity })).lease('web')).resolves.toBeDefined();
  });

  it('expire', async () => {
    const at = await relay({ limits: { reservationMs: 150, graceMs: 0 } });
    const owner = await Peer.open(at);
    await owner.lease('web');
    await gone(at, owner);
    await settled(() => at.counts().leases === 0);
    const rival = await Peer.open(at);
    const refusals: unknown[] = [];
    const lease = async (): Promise<object> =>
      rival.lease('web').catch((error: unknown) => (refusals.push(error), lease()));
    await expect(lease()).resolves.toBeDefined();
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'name_reserved' });
  });

  it('have a limit for each identity, even in one write; its own names stay available', async () => {
    const at = await relay({ limits: { maxReservedNamesPerIdentity: 3 } });
    const peer = await Peer.open(at);
    const results = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map((name) => peer.lease(name)));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(2);
    const opened = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    for (const { lease } of opened) await peer.request({ type: 'lease.close', lease });
    for (const name of ['a', 'b', 'c']) await expect(peer.lease(name)).resolves.toBeDefined();
    await expect(peer.lease('d')).rejects.toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('3 names'),
    });
    await expect((await Peer.open(at)).lease('d')).resolves.toBeDefined();
  });
});

describe('a store that fails', () => {
  it('rejects a new name with that reason; open leases stay open, and the relay keeps running', async () => {
    const file = join(await temporaryFolder(), 'relay.db');
    const at = await relay({ store: { file } });
    const peer = await Peer.open(at);
    const { lease } = await peer.lease('web');
    (await findSqlite())(file).exec('DROP TABLE reservations');
    await expect(peer.lease('other')).rejects.toMatchObject({ code: 'internal' });
    expect(at.counts().leases).toBe(1);
    await expect(peer.request({ type: 'lease.update', lease, metadata: {} })).resolves.toBeDefined();
    await expect(peer.lease('web')).resolves.toMatchObject({ lease });
    await expect(peer.request({ type: 'lease.close', lease })).resolves.toBeDefined();
    expect(at.counts().leases).toBe(0);
  });

  it('a store that cannot be opened stops the relay from starting, with a clear error', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'file'), 'x'.repeat(5_000));
    for (const file of [join(folder, 'file'), join(folder, 'file', 'relay.db'), folder])
      await expect(relay({ store: { file } })).rejects.toMatchObject({ code: 'state_unwritable' });
  });
});

describe('a relay that shuts down', () => {
  it('sends goaway, lets visitors finish, and obeys a shorter deadline', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    peer.answerDials({ allowHalfOpen: true });
    await peer.lease('web');
    const finishing = await sendHello(at, 'web.localhost');
    const { data } = await peer.visited();
    const staying = await sendHello(at, 'web.localhost');
    await peer.visited();
    const closing = at.close({ drainMs: 60_000 });
    expect((await peer.next('goaway')).reconnectAfterMs).toBeGreaterThan(0);
    expect(await peer.closed).toMatchObject({ code: 1001, reason: 'shutting_down' });
    data.socket.end('last words');
    expect((await finishing.closed).received.toString()).toBe('last words');
    await settled(() => at.counts().visitors === 1);
    await at.close({ drainMs: 0 });
    expect((await staying.closed).how).toBe('ECONNRESET');
    await closing;
    await at.close();
  });
});
