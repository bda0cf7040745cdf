import { expect, it, vi } from 'vitest';
import { leaseOpen, leaseSession } from '../../../test/support/lease-node.js';
import type { DomainProofs } from '../names/domains.js';
import { ReservedLabels } from '../names/labels.js';
import { LeaseClaims } from './lease-claims.js';

const ALICE = '0xA';

/** Claims of a relay with TCP ports, and the proofs of domains that it requested. */
function claims() {
  const prove = vi.fn<DomainProofs['prove']>(async () => undefined);
  const made = new LeaseClaims({
    ports: { offers: (kind) => kind === 'tcp' },
    domains: { prove } as unknown as DomainProofs,
    labels: new ReservedLabels(new Map([['status', new Set()]])),
    domain: 'relay.test',
    nodeHost: 'a.relay.test',
  });
  const holder = leaseSession(ALICE);
  return { prove, of: (...asked: Parameters<typeof leaseOpen>) => made.of(holder, leaseOpen(...asked)) };
}

it('claims a hostname of the relay, or the place of a port at this node', async () => {
  const { of } = claims();
  expect(await of('web')).toMatchObject({ place: 'web.relay.test', portHost: undefined, owner: ALICE });
  expect(await of('web', { mode: 'tcp' })).toMatchObject({
    place: 'tcp web.relay.test',
    portHost: 'a.relay.test',
  });
});

it('claims a place of its own for each replica, healthy unless the agent says otherwise', async () => {
  const { of } = claims();
  const { place, replica } = await of('web', { replicas: { policy: 'spread' } });
  expect(place).not.toBe('web.relay.test');
  expect(replica).toMatchObject({ policy: 'spread', healthy: true, listens: false });
});

it('proves a hostname of another domain, and only that', async () => {
  const { of, prove } = claims();
  await of('web');
  expect(prove).not.toHaveBeenCalled();
  expect(await of('web', { hostname: 'Shop.example' })).toMatchObject({
    place: 'shop.example',
    isOwnDomain: true,
  });
  expect(prove).toHaveBeenCalledExactlyOnceWith('shop.example', ALICE);
});

it.each([
  ['a kind of port that the relay does not have', leaseOpen('web', { mode: 'udp' }), 'capability_missing'],
  [
    'a port under a hostname of another domain',
    leaseOpen('web', { mode: 'tcp', hostname: 'shop.example' }),
    'capability_missing',
  ],
  ['a reserved label', leaseOpen('status'), 'name_reserved'],
])('rejects %s', async (_what, { name, ...over }, code) => {
  const { of, prove } = claims();
  await expect(of(name, over)).rejects.toMatchObject({ code });
  expect(prove).not.toHaveBeenCalled();
});
