import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import { generateIdentity } from '../../identity/keys.js';
import type { AccessSpec, OidcSpec } from '../spec.js';
import { Gates } from './gates.js';
import { admitsMore, GATE_KINDS, gateFor, gatesOf, passesByLink, readsHttp, requiredAlpn } from './kinds.js';
import { Rejections } from './rejections.js';

const specWith = (access: AccessSpec) => service('web', 3000, { access });

function opened(access: AccessSpec) {
  const reports: string[] = [];
  const rejections = new Rejections((reason, address) => reports.push(`${reason} ${address}`));
  const identity = generateIdentity();
  const gates = new Gates({ spec: specWith(access), sessionKey: Buffer.alloc(32), identity, rejections });
  return {
    gates,
    reports,
    owner: identity.address,
    update: (next: AccessSpec) => gates.update(specWith(next)),
  };
}

const rate = (requests: number, per: 's' | 'm' | 'h', burst = 60) => ({ requests, per, burst });

const oidc = (allow: OidcSpec['allow']): OidcSpec => ({
  issuer: 'https://a.example',
  clientId: 'portal',
  allow,
});

/** A connection with a visitor, which a gate may close. */
const connection = (): Socket => new Socket().on('error', () => undefined);

describe('the gates of a lease', () => {
  it('admit a visitor of an allowed address, and count others', () => {
    const { gates, reports } = opened({ allowIps: ['192.0.2.0/24'] });
    expect(gates.enter({ address: '192.0.2.7' }, connection())).toBeUndefined();
    expect(gates.enter({ address: '203.0.113.1' }, connection())).toMatchObject({
      gate: 'ip',
      page: { status: 403, code: 'ip_denied' },
    });
    expect(reports).toEqual(['ip 203.0.113.1']);
  });

  it('close connections whose address is no longer allowed, without counting them', () => {
    const { gates, reports, update } = opened({});
    const [kept, closed] = [connection(), connection()];
    gates.enter({ address: '192.0.2.7' }, kept);
    gates.enter({ address: '203.0.113.1' }, closed);
    update({ allowIps: ['192.0.2.0/24'] });
    expect([kept.destroyed, closed.destroyed]).toEqual([false, true]);
    expect(reports).toEqual([]);
  });

  it('admit only listed identities and that of the owner, and close connections of others', () => {
    const { gates, reports, owner, update } = opened({ identities: ['0x1', '0x2'] });
    const visitors = ['0x1', '0x2', owner].map((identity) => ({ identity, socket: connection() }));
    for (const { identity, socket } of visitors)
      expect(gates.enter({ address: '192.0.2.7', identity }, socket)).toBeUndefined();
    const stranger = gates.enter({ address: '192.0.2.7', identity: '0x3' }, connection());
    const nobody = gates.enter({ address: '192.0.2.8' }, connection());
    expect([stranger, nobody]).toMatchObject([
      { gate: 'identity', page: { status: 403, code: 'identity_required' } },
      { gate: 'identity', page: { status: 403, code: 'identity_required' } },
    ]);
    expect(reports).toEqual(['identity 192.0.2.7', 'identity 192.0.2.8']);
    update({ identities: ['0x2'] });
    expect(visitors.map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
    expect(requiredAlpn({ identities: [] })).toBe('portal-connect/1');
    expect(requiredAlpn({ allowIps: [] })).toBeUndefined();
  });

  it('close every connection when a PIN is set, and none when it is removed', () => {
    const { gates, update } = opened({});
    const [before, after] = [connection(), connection()];
    gates.enter({ address: '192.0.2.7' }, before);
    update({ pin: '1234' });
    expect(before.destroyed).toBe(true);
    expect(gates.readsHttp).toBe(true);
    gates.enter({ address: '192.0.2.7' }, after);
    update({});
    expect(after.destroyed).toBe(false);
    expect(gates.readsHttp).toBe(false);
  });
});

const ALL: AccessSpec = {
  allowIps: ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5'],
  identities: ['0x1111111111111111111111111111111111111111', '0x2222222222222222222222222222222222222222'],
  rateLimit: { requests: 600, per: 'm', burst: 10 },
  pin: '1234',
  basic: { alice: 'a', bob: 'b' },
  oidc: {
    issuer: 'https://login.example.com/realms/a',
    clientId: 'portal',
    allow: { emails: ['alice@example.com'], domains: ['example.org'], groups: ['team', 'ops'] },
  },
  webhook: { provider: 'github', secret: 'a secret' },
};

it('close connections of visitors whose requests nobody has read', () => {
  for (const access of [
    { rateLimit: rate(1, 's') },
    { webhook: { provider: 'github', secret: 'a secret' } },
    { basic: { alice: 'a' } },
  ] as const) {
    const { gates, update } = opened({});
    const [before, after] = [connection(), connection()];
    gates.enter({ address: '192.0.2.7' }, before);
    update(access);
    expect(before.destroyed).toBe(true);
    gates.enter({ address: '192.0.2.7' }, after);
    update({ ...access, rateLimit: rate(2, 's') });
    expect(after.destroyed).toBe(false);
  }
});

it.each<[string, AccessSpec]>([
  ['webhook', { webhook: { provider: 'github', secret: 'a secret' } }],
  ['pin', { pin: '1234' }],
  ['basic', { basic: { alice: 'a' } }],
  ['oidc', { oidc: oidc({ emails: ['a@b'] }) }],
])('close connections when %s is set beside another gate that reads requests', (_key, added) => {
  const access = { rateLimit: rate(1, 's') };
  const { gates, update } = opened(access);
  const before = connection();
  gates.enter({ address: '192.0.2.7' }, before);
  update({ ...access, ...added });
  expect(before.destroyed).toBe(true);
});

it('close no connection when the secret of a webhook changes', () => {
  const { gates, update } = opened({ webhook: { provider: 'github', secret: 'a secret' } });
  const kept = connection();
  gates.enter({ address: '192.0.2.7' }, kept);
  update({ webhook: { provider: 'github', secret: 'another secret' } });
  expect(kept.destroyed).toBe(false);
});

describe('kinds of gates', () => {
  it('have a key, a reason and a description of their own', () => {
    const all = GATE_KINDS.map((kind) => [kind.key, kind.reason]);
    expect(all).toEqual([
      ['allowIps', 'ip'],
      ['identities', 'identity'],
      ['rateLimit', 'rate'],
      ['pin', 'pin'],
      ['basic', 'basic'],
      ['oidc', 'oidc'],
      ['webhook', 'webhook'],
    ]);
    expect(gatesOf({ rateLimit: { requests: 1, per: 'm', burst: 1 } })).toEqual({
      rate: 'at most 1 request per minute per visitor',
    });
    expect(GATE_KINDS.map((kind) => kind.describe(ALL))).toEqual([
      'only from 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more',
      'only your identity and 0x111111…, 0x222222…',
      'at most 600 requests per minute per visitor',
      'with a PIN',
      'with a user name and a password (2 users)',
      'signed in at login.example.com: alice@example.com, @example.org, group team and 1 more',
      'only webhooks signed by GitHub',
    ]);
    expect(GATE_KINDS.flatMap((kind) => kind.describe({}) ?? [])).toEqual([]);
    expect(gatesOf({ pin: '1234' })).toEqual({ pin: 'with a PIN' });
    expect(gatesOf({ pin: '1234', basic: { alice: 'a' }, sharing: true })).toEqual({
      pin: 'with a PIN',
      basic: 'with a user name and a password (1 user), or with a share link',
    });
    expect(gatesOf({})).toBeUndefined();
  });

  it('say whether requests are read, and how curl passes', () => {
    expect([{}, { allowIps: [] }, { pin: '1234' }].map(readsHttp)).toEqual([false, false, true]);
    const here = ['127.0.0.0/8', '::1'].map((range) => ({ allowIps: [range] }));
    expect([{}, ...here].map((access) => gateFor(access))).toEqual([undefined, undefined, undefined]);
    // Visits from this machine are rejected.
    expect(gateFor({ allowIps: ['10.0.0.0/8'], pin: '1234' })).toEqual({});
    expect(gateFor({ pin: '1234' })).toEqual({ curl: "-H 'Portal-Pin: YOUR-PIN'" });
    expect(gateFor({ basic: { alice: 'a' } })).toEqual({ curl: '-u YOUR-USER:YOUR-PASSWORD' });
    expect(gateFor({ rateLimit: { requests: 1, per: 's', burst: 1 } })).toBeUndefined();
    expect(gateFor(ALL)).toEqual({});
  });

  it.each<[AccessSpec, readonly string[]]>([
    [ALL, ['pin']],
    [{ ...ALL, sharing: true }, ['pin', 'basic', 'oidc']],
    [{ ...ALL, sharing: false }, []],
    [{ basic: { alice: 'a' }, sharing: true }, ['basic']],
    [{ allowIps: [], webhook: { provider: 'github', secret: 'a' }, sharing: true }, []],
  ])('are passed with a share link: %#', (access, passed) => {
    expect(GATE_KINDS.filter((kind) => passesByLink(kind, access)).map(({ key }) => key)).toEqual(passed);
  });

  it.each<[AccessSpec, AccessSpec, boolean]>([
    [{}, {}, false],
    [{ basic: { alice: 'a' } }, { basic: { alice: 'a' }, sharing: true }, true],
    [{ basic: { alice: 'a' }, sharing: true }, { basic: { alice: 'a' } }, false],
    [{ pin: '1234' }, { pin: '1234', sharing: true }, false],
    [{ pin: '1234', sharing: false }, { pin: '1234' }, true],
    [{}, { basic: { alice: 'a' }, sharing: true }, false],
    [{ pin: '1234' }, {}, true],
    [{ pin: '1234' }, { pin: '1234' }, false],
    [{ pin: '1234' }, { pin: '5678' }, true],
    [{}, { pin: '1234' }, false],
    [{ allowIps: ['10.0.0.0/8'] }, {}, true],
    [{ allowIps: ['10.0.0.0/8'] }, { allowIps: ['10.1.0.0/16'] }, false],
    [{ allowIps: ['10.0.0.0/8'] }, { allowIps: ['10.1.0.0/16', '192.0.2.1'] }, true],
    [{ allowIps: ['10.0.0.0/8'], pin: '1234' }, { allowIps: ['10.0.0.0/8'] }, true],
    [{ identities: ['0x1'] }, {}, true],
    [{}, { identities: ['0x1'] }, false],
    [{ identities: ['0x1', '0x2'] }, { identities: ['0x2'] }, false],
    [{ identities: ['0x1'] }, { identities: [] }, false],
    [{ identities: ['0x1'] }, { identities: ['0x1', '0x2'] }, true],
    [{ identities: ['0x1'] }, { identities: ['0x2'] }, true],
    [{}, { oidc: oidc({ emails: ['a@b'] }) }, false],
    [{ oidc: oidc({ emails: ['a@b'] }) }, {}, true],
    [{ oidc: oidc({ emails: ['a@b'], domains: ['c'] }) }, { oidc: oidc({ domains: ['c'] }) }, false],
    [{ oidc: oidc({ emails: ['a@b'] }) }, { oidc: oidc({ groups: ['a@b'] }) }, true],
    [
      { oidc: oidc({ domains: ['c'] }) },
      { oidc: { ...oidc({ domains: ['c'] }), issuer: 'https://x.example' } },
      true,
    ],
    [{}, { basic: { alice: 'a' } }, false],
    [{ basic: { alice: 'a' } }, {}, true],
    [{ basic: { alice: 'a', bob: 'b' } }, { basic: { alice: 'a' } }, false],
    [{ basic: { alice: 'a', bob: 'b' } }, { basic: { alice: 'c' } }, true],
    [{ basic: { alice: 'a', bob: 'b' } }, { basic: { alice: 'b' } }, true],
    [{ basic: { alice: 'a' } }, { basic: { alice: 'a', bob: 'b' } }, true],
    [{ rateLimit: rate(60, 'm') }, { rateLimit: rate(1, 's') }, false],
    [{ rateLimit: rate(60, 'm') }, { rateLimit: rate(61, 'm') }, true],
    [{ rateLimit: rate(60, 'm', 1) }, { rateLimit: rate(60, 'm', 2) }, true],
    [{ rateLimit: rate(60, 'm') }, {}, true],
    [
      { webhook: { provider: 'github', secret: 'a' } },
      { webhook: { provider: 'github', secret: 'a' } },
      false,
    ],
    [
      { webhook: { provider: 'github', secret: 'a' } },
      { webhook: { provider: 'github', secret: 'b' } },
      true,
    ],
    [{ webhook: { provider: 'github', secret: 'a' } }, { webhook: { provider: 'slack', secret: 'a' } }, true],
    [{ webhook: { provider: 'github', secret: 'a' } }, {}, true],
  ])('from %j to %j, more visitors are admitted: %s', (before, after, more) => {
    expect(admitsMore(before, after)).toBe(more);
  });
});
