import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import { eventually } from '../support/eventually.js';
import { readDenyList } from '../../src/relay/protection/access-lists.js';
import { readLabelList, withDefaultLabels } from '../../src/relay/names/labels.js';
import { relay } from '../support/world.js';
import { Peer, type RelayError } from './relay-peer.js';

/** A relay's quotas for an identity and for an address, and its list of allowed ones. */

const ELSEWHERE = { localAddress: '127.0.1.1' };
const TCP = { mode: 'tcp' };

const refusal = (requested: Promise<unknown>): Promise<RelayError> =>
  requested.then(
    () => Promise.reject(new Error('it was not rejected')),
    (error: unknown) => error as RelayError,
  );

describe('public ports', () => {
  it('of an identity have a limit, and a closed lease makes room', async () => {
    const at = await relay({ ports: { tcp: 'any', udp: 'any' }, limits: { maxPortsPerIdentity: 2 } });
    const peer = await Peer.open(at);
    const { lease } = await peer.lease('a', TCP);
    await peer.lease('b', { mode: 'udp' });
    expect(await refusal(peer.lease('c', TCP))).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringMatching(/2 public ports.*\(maxPortsPerIdentity\).*close other/),
    });
    // A hostname does not count as a port.
    await peer.lease('c');
    await (await Peer.open(at)).lease('d', TCP);
    await peer.request({ type: 'lease.close', lease });
    await peer.lease('e', TCP);
    expect(at.counts().refused).toEqual({ maxPortsPerIdentity: 1 });
  });

  it('of an address have a limit over all identities, and other addresses get theirs', async () => {
    const at = await relay({ ports: { tcp: 'any' }, limits: { maxPortsPerAddress: 2 } });
    for (const name of ['a', 'b']) await (await Peer.open(at)).lease(name, TCP);
    expect(await refusal((await Peer.open(at)).lease('c', TCP))).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('(maxPortsPerAddress)'),
    });
    await (await Peer.open(at, ELSEWHERE)).lease('c', TCP);
  });

  it('move with their agent to another address, if it has room', async () => {
    const at = await relay({ ports: { tcp: 'any' }, limits: { maxPortsPerAddress: 1 } });
    const agent = { identity: generateIdentity(), instance: 'one' };
    await (await Peer.open(at, agent)).lease('a', TCP);
    const moved = await Peer.open(at, { ...agent, ...ELSEWHERE });
    await moved.lease('a', TCP);
    // Its former address has room again, and its current one has none.
    await (await Peer.open(at)).lease('b', TCP);
    expect(await refusal((await Peer.open(at, ELSEWHERE)).lease('c', TCP))).toMatchObject({
      code: 'limit_exceeded',
    });
    const back = await Peer.open(at, agent);
    expect(await refusal(back.lease('a', TCP))).toMatchObject({ code: 'limit_exceeded' });
  });
});

describe('new names', () => {
  it('of an identity have a daily limit; its own names are not new', async () => {
    const at = await relay({ limits: { maxNewNamesPerIdentity: 2 } });
    const peer = await Peer.open(at);
    const { lease } = await peer.lease('a');
    await peer.lease('b');
    expect(await refusal(peer.lease('c'))).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringMatching(/2 new names a day.*\(maxNewNamesPerIdentity\)/),
    });
    await peer.request({ type: 'lease.close', lease });
    await peer.lease('a');
    await (await Peer.open(at)).lease('c');
  });

  it.each(['maxNewNamesPerAddress', 'maxReservedNamesPerAddress'] as const)(
    'of an address have a limit over all identities: %s',
    async (limit) => {
      const at = await relay({ limits: { [limit]: 2 } });
      for (const name of ['a', 'b']) await (await Peer.open(at)).lease(name);
      expect(await refusal((await Peer.open(at)).lease('c'))).toMatchObject({
        code: 'limit_exceeded',
        message: expect.stringContaining(`(${limit})`),
      });
      await (await Peer.open(at, ELSEWHERE)).lease('c');
      expect(at.counts().refused).toEqual({ [limit]: 1 });
    },
  );

  it('that were in use only briefly are soon available again', async () => {
    const at = await relay({ limits: { reserveAfterMs: 300 } });
    const peer = await Peer.open(at);
    const { lease } = await peer.lease('brief');
    await peer.request({ type: 'lease.close', lease });
    const other = await Peer.open(at);
    expect(await eventually(() => other.lease('brief'))).toMatchObject({ hostname: 'brief.localhost' });
  });
});

describe('a name', () => {
  it.each(['www', 'mail', 'admin', 'wpad', 'autoconfig'])(
    'cannot be "%s", which is reserved',
    async (name) => {
      const at = await relay({ reservedLabels: withDefaultLabels() });
      const peer = await Peer.open(at);
      expect(await refusal(peer.lease(name))).toMatchObject({
        code: 'name_reserved',
        message: `this relay reserves "${name}" by default, because visitors or programs may take it for the relay's own. Use another name, for example \`name: ${name}-\${user}\`. The relay's operator can allow your identity with --reserved-labels.`,
      });
      await peer.lease('app');
    },
  );

  it('is reserved by the operator from now on, except for listed identities', async () => {
    const at = await relay();
    const [friend, other] = [await Peer.open(at), await Peer.open(at)];
    await other.lease('shop');
    at.reserveLabels(readLabelList(`status ${friend.identity.address.toLowerCase()} # our own page\nShop\n`));
    expect(await refusal(other.lease('status'))).toMatchObject({
      code: 'name_reserved',
      message: expect.stringMatching(/^the operator of this relay reserves "status"\. Use another name/),
    });
    await friend.lease('status');
    expect(await refusal(other.lease('shop'))).toMatchObject({ code: 'name_reserved' });
  });

  it('may be Punycode only if it decodes, and encodes to the same', async () => {
    const peer = await Peer.open(await relay());
    await peer.lease('xn--mnchen-3ya');
    for (const name of ['xn--a', 'xn--99999999'])
      expect([name, (await refusal(peer.lease(name))).code]).toEqual([name, 'name_invalid']);
  });
});

describe('a relay with an allow list', () => {
  it('serves these identities and addresses, and tells others what to do', async () => {
    const friend = generateIdentity();
    const at = await relay({ allow: readDenyList(`${friend.address}\n127.0.1.0/24`) });
    await (await Peer.open(at, { identity: friend })).lease('a');
    await (await Peer.open(at, ELSEWHERE)).lease('b');
    const stranger = await Peer.connect(at);
    const { identity } = stranger;
    stranger.say({ type: 'prove', signature: identity.sign(await stranger.challenge()) });
    expect(await stranger.next('error')).toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(new RegExp(`allows listed identities only.*${identity.address}`)),
      retryAfterMs: expect.any(Number),
    });
    expect(await stranger.closed).toMatchObject({ code: 1008, reason: 'unauthorized' });
    expect(at.stats().denied.identity).toBe(1);
  });

  it('disconnects identities that are removed from it, and removes their leases', async () => {
    const at = await relay({ limits: { graceMs: 60_000 } });
    const [gone, away, friend] = [await Peer.open(at), await Peer.open(at), await Peer.open(at, ELSEWHERE)];
    for (const [index, peer] of [gone, away, friend].entries()) await peer.lease(`n${index}`);
    away.ws.terminate();
    await eventually(() => expect(at.stats().leasesAway).toBe(1));
    at.allow(readDenyList('127.0.1.1'));
    expect(await gone.closed).toMatchObject({ reason: 'unauthorized' });
    expect(at.counts()).toMatchObject({ leases: 1 });
    await friend.lease('more');
  });
});
