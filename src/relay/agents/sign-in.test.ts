import { expect, it } from 'vitest';
import { generateIdentity } from '../../identity/keys.js';
import { Tally } from '../../lib/tally.js';
import { LIMITS } from '../../protocol/limits.js';
import type { AccessLists } from '../protection/access-lists.js';
import type { RelayLimits } from '../limits.js';
import type { Quotas } from '../protection/quotas.js';
import { SignIns } from './sign-in.js';

/** Sign-ins of a client with many identities. */

const NEIGHBOUR = '192.0.2.1';
const CROWD = '192.0.2.99';
const CHANNEL = 'c4'.repeat(32);

function signIns(limits: Partial<RelayLimits> = {}) {
  const refusals = new Tally<string>();
  const made = new SignIns({
    authority: 'relay.test',
    url: 'https://relay.test',
    limits: { ...LIMITS, ...limits },
    quotas: { refusals } as unknown as Quotas,
    denied: { check: () => undefined } as unknown as AccessLists,
  });
  return { made, refusals };
}

it('many identities of one client displace each other, and no one else', () => {
  const { made } = signIns({ maxSignedIn: 8 });
  const neighbour = made.issue('0xN', NEIGHBOUR).token;
  const tokens = Array.from({ length: 50 }, (_, at) => made.issue(`0x${at}`, CROWD).token);
  expect(made.size).toBe(8);
  expect(made.check(neighbour).identity).toBe('0xN');
  expect(made.check(tokens.at(-1)).identity).toBe('0x49');
  expect(() => made.check(tokens[0])).toThrow('not signed in');
});

it('links of one identity do not affect those of others', () => {
  const { made } = signIns({ maxSignedIn: 20 });
  const { code } = made.code('0xN');
  for (let count = 0; count < 50; count++) made.code('0xA');
  expect(made.redeem(code)).toBe('0xN');
});

it('limits the sign-ins per second of one address, and does not delay others', () => {
  const { made, refusals } = signIns({ maxSignInsPerSecondPerAddress: 4 });
  const { address } = generateIdentity();
  const attempt = (remote: string): unknown => {
    try {
      const { nonce } = made.challenge(address, { remote, channel: CHANNEL });
      made.prove(nonce, '0x', CHANNEL);
    } catch (error) {
      return (error as { code: string }).code;
    }
    return undefined;
  };
  const codes = Array.from({ length: 12 }, () => attempt(CROWD));
  expect(codes.slice(0, 4)).toEqual(Array(4).fill('unauthorized'));
  expect(codes).toContain('limit_exceeded');
  expect(attempt(NEIGHBOUR)).toBe('unauthorized');
  expect(refusals.counts()['maxSignInsPerSecondPerAddress']).toBeGreaterThan(0);
});

it('the address with the most open sign-ins makes room for another', () => {
  const { made, refusals } = signIns({ maxSignIns: 4 });
  const { address } = generateIdentity();
  for (const remote of [CROWD, CROWD, '192.0.2.2', '192.0.2.3'])
    made.challenge(address, { remote, channel: CHANNEL });
  const { nonce } = made.challenge(address, { remote: NEIGHBOUR, channel: CHANNEL });
  expect(() => made.prove(nonce, '0x', CHANNEL)).toThrow('signature');
  expect(refusals.counts()).toEqual({});
});
