import { ParsedMessage } from '@spruceid/siwe-parser';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../identity/keys.js';
import {
  buildChallenge,
  checkChallenge,
  STATEMENTS,
  readChallenge,
  verifyProof,
  type ChallengeFields,
} from './challenge.js';

const agent = generateIdentity();
const stranger = generateIdentity();
const issuedAt = new Date('2026-03-01T12:00:00.000Z');
const later = (seconds: number): Date => new Date(issuedAt.getTime() + seconds * 1000);

const fields: ChallengeFields = {
  domain: 'relay.example:8443',
  address: agent.address,
  uri: 'https://relay.example:8443/',
  nonce: '0123456789abcdef',
  issuedAt,
  expiresAt: later(120),
  channel: 'c4'.repeat(32),
  statement: 'Prove that this identity may hold leases on this relay.',
};
const text = buildChallenge(fields);
const signature = agent.sign(text);

const failing = (code: string, message: string | RegExp = '') =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

const letters = fc.stringMatching(/^[A-Za-z0-9]{1,30}$/);

describe('the text', () => {
  it('matches EIP-4361 exactly', () => {
    expect(text).toBe(`relay.example:8443 wants you to sign in with your Ethereum account:
${agent.address}

Prove that this identity may hold leases on this relay.

URI: https://relay.example:8443/
Version: 1
Chain ID: 1
Nonce: 0123456789abcdef
Issued At: 2026-03-01T12:00:00.000Z
Expiration Time: 2026-03-01T12:02:00.000Z
Resources:
- urn:portal:channel:${'c4'.repeat(32)}`);
  });

  it('contains the address with checksum, however it was given', () => {
    expect(buildChallenge({ ...fields, address: agent.address.toLowerCase() })).toBe(text);
  });

  it.each([
    ['a short nonce', { nonce: '1234567' }],
    ['a nonce with another character', { nonce: '12345678-' }],
    ['a line break in the statement', { statement: 'yes\nURI: https://other.example' }],
    ['a line break in the domain', { domain: 'a\rb' }],
    ['a channel that is not 64 hex digits', { channel: 'C4'.repeat(32) }],
    ['a line break in the channel', { channel: `${'c4'.repeat(32)}\n` }],
  ])('%s is not built', (_what, change) => {
    expect(() => buildChallenge({ ...fields, ...change })).toThrow(RangeError);
  });

  it('rejects an invalid address as unauthorized', () => {
    expect(() => buildChallenge({ ...fields, address: '0x12' })).toThrow(failing('unauthorized'));
  });

  it('parses back every field', () => {
    const host = fc.constantFrom(
      'relay.example',
      'localhost:8443',
      '127.0.0.1:1',
      '[::1]:443',
      'a-b.c.d.example:65535',
    );
    const date = fc.date({
      min: new Date(0),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    });
    const any = fc.record(
      {
        domain: host,
        uri: fc.tuple(host, letters).map(([authority, path]) => `https://${authority}/${path}?q=1#f`),
        nonce: fc.stringMatching(/^[A-Za-z0-9]{8,40}$/),
        issuedAt: date,
        expiresAt: date,
        channel: fc.stringMatching(/^[0-9a-f]{64}$/),
        statement: fc.stringMatching(/^[A-Za-z0-9 !#$&-;=?@[\]_~]{1,200}$/),
        requestId: letters,
      },
      { requiredKeys: ['domain', 'uri', 'nonce', 'issuedAt', 'expiresAt', 'channel'] },
    );
    fc.assert(
      fc.property(any, (given) => {
        const whole = { ...given, address: agent.address };
        const challenge = buildChallenge(whole);
        expect(readChallenge(challenge)).toStrictEqual(whole);
        // Also valid by the grammar of EIP-4361.
        expect(new ParsedMessage(challenge)).toMatchObject({
          domain: whole.domain,
          address: whole.address,
          uri: whole.uri,
          nonce: whole.nonce,
          resources: [`urn:portal:channel:${whole.channel}`],
        });
      }),
    );
  });

  it.each([
    [
      'a time in another time zone',
      text.replace('12:00:00.000Z', '13:00:00.000+01:00'),
      /the lines of a challenge/,
    ],
    ['a time without milliseconds', text.replace('12:00:00.000Z', '12:00:00Z'), /usual form/],
    ['empty', '', /the lines of a challenge/],
    ['a missing line', text.replace('Version: 1\n', ''), /the lines of a challenge/],
    ['an additional line', `${text}\n`, /the lines of a challenge/],
    ['Windows line ends', text.replaceAll('\n', '\r\n'), /the lines of a challenge/],
    [
      'an address without its checksum',
      text.replace(agent.address, agent.address.toLowerCase()),
      /usual form/,
    ],
    ['a short nonce', text.replace('0123456789abcdef', '0123456'), /the lines of a challenge/],
    ['a day that does not exist', text.replace('2026-03-01T12:00', '2026-02-30T12:00'), /usual form/],
    ['a second that does not exist', text.replace('12:00:00.000Z', '12:00:60.000Z'), /is not a time/],
    ['no expiry', text.replace(/\nExpiration Time.*/, ''), /the lines of a challenge/],
    ['another chain', text.replace('Chain ID: 1', 'Chain ID: 5'), /the lines of a challenge/],
    [
      'a not-before',
      text.replace('\nRes', '\nNot Before: 2026-03-01T12:00:00.000Z\nRes'),
      /the lines of a challenge/,
    ],
    ['no resources', text.replace(/\nResources:.*/s, ''), /the lines of a challenge/],
    ['none in the list', text.replace(/\n- .*/, ''), /the lines of a challenge/],
    ['another resource beside it', `${text}\n- urn:recap:e30`, /the lines of a challenge/],
    ['another instead', text.replace(/- .*/, '- urn:recap:e30'), /the lines of a challenge/],
    ['a channel that is cut', text.slice(0, -1), /the lines of a challenge/],
    ['a channel with something after it', `${text}0`, /the lines of a challenge/],
    ['a channel in capitals', text.replace('c4c4', 'C4c4'), /the lines of a challenge/],
    ['a scheme', `https://${text}`, /the lines of a challenge/],
    [
      'a very long text',
      buildChallenge({ ...fields, statement: 'a'.repeat(5000) }),
      /more than 2048 characters/,
    ],
  ])('%s: rejected', (_what, malformed, why) => {
    expect(() => readChallenge(malformed)).toThrow(failing('protocol', why));
  });
});

describe('a proof', () => {
  const { domain, address, uri, nonce, channel } = fields;
  const statement: string = STATEMENTS.control;
  const expected = { domain, address, uri, nonce, channel, statement, now: later(1) };
  const verify = (change: Partial<typeof expected> & { message?: string; proof?: string } = {}) => {
    const { message = text, proof = signature, ...rest } = change;
    return () => verifyProof(message, proof, { ...expected, ...rest });
  };

  it('accepts the signed challenge, with the address in any case', () => {
    expect(verify()).not.toThrow();
    expect(verify({ address: address.toLowerCase() })).not.toThrow();
  });

  it('rejects a replay on a session with another nonce', () => {
    expect(verify({ nonce: 'fedcba9876543210' })).toThrow(failing('unauthorized', /another nonce/));
  });

  it('rejects a proof from another TLS session', () => {
    expect(verify({ channel: 'd5'.repeat(32) })).toThrow(failing('unauthorized', /another channel/));
  });

  it('rejects a late proof, from the moment of expiry', () => {
    expect(verify({ now: later(119.999) })).not.toThrow();
    expect(verify({ now: later(120) })).toThrow(failing('expired', /expired at 2026-03-01T12:02:00/));
  });

  it('accepts a clock that is ahead by up to a minute', () => {
    expect(verify({ now: later(-60) })).not.toThrow();
    expect(verify({ now: later(-61) })).toThrow(failing('expired', /clocks is wrong/));
  });

  it('rejects a tampered message, whatever was changed', () => {
    const extended = text.replace('12:02:00.000Z', '12:59:00.000Z');
    expect(verify({ message: extended })).toThrow(failing('unauthorized', /was changed/));
    expect(verify({ message: text.replace('12:00:00.000Z', '12:00:00.001Z') })).toThrow(
      failing('unauthorized', /was changed/),
    );
    expect(verify({ message: `${text} ` })).toThrow(failing('unauthorized', /malformed/));
    expect(verify({ message: '' })).toThrow(failing('unauthorized', /malformed/));
  });

  it('rejects a tampered signature, in any byte', () => {
    for (let at = 2; at < signature.length; at += 2) {
      const byte = (Number.parseInt(signature.slice(at, at + 2), 16) ^ 1).toString(16).padStart(2, '0');
      const proof = signature.slice(0, at) + byte + signature.slice(at + 2);
      expect(verify({ proof }), `byte ${at / 2}`).toThrow(failing('unauthorized'));
    }
    expect(verify({ proof: 'yes' })).toThrow(failing('unauthorized', /130 hex digits/));
  });

  it('rejects a proof for another relay, or another URL of it', () => {
    expect(verify({ domain: 'other.example' })).toThrow(failing('unauthorized', /another domain/));
    expect(verify({ uri: 'https://relay.example:8443/other' })).toThrow(
      failing('unauthorized', /another URI/),
    );
  });

  it('rejects a proof with another purpose: a session does not sign anyone in', () => {
    expect(verify({ statement: STATEMENTS.signIn })).toThrow(failing('unauthorized', /another statement/));
    const message = buildChallenge({ ...fields, statement: STATEMENTS.signIn });
    expect(verify({ message, proof: agent.sign(message) })).toThrow(failing('unauthorized', /statement/));
  });

  it('rejects the wrong key', () => {
    expect(verify({ proof: stranger.sign(text) })).toThrow(failing('unauthorized', /not by 0x/));
  });

  it('rejects another address, even if that one signed', () => {
    const message = buildChallenge({ ...fields, address: stranger.address });
    expect(verify({ message, proof: stranger.sign(message) })).toThrow(
      failing('unauthorized', /another address/),
    );
  });
});

/** The agent's reaction to a challenge that differs from its relay's by `change`. */
const check = (change: Partial<ChallengeFields> = {}, now = later(1)) => {
  const message = buildChallenge({ ...fields, ...change });
  return () =>
    checkChallenge(message, {
      address: agent.address.toLowerCase(),
      domain: fields.domain,
      channel: fields.channel,
      statement: STATEMENTS.control,
      now,
    });
};

describe('before the agent signs', () => {
  it("accepts its own relay's challenge", () => {
    expect(check()()).toStrictEqual(fields);
    expect(check({ domain: 'Relay.Example:8443' })).not.toThrow();
  });

  it('rejects the challenge of another relay, which a hostile relay may forward', () => {
    const other = { domain: 'other.example', uri: 'https://other.example/' };
    expect(check(other)).toThrow(
      failing('unauthorized', /connected to relay\.example:8443; the agent signed nothing/),
    );
    expect(check({ domain: 'relay.example' })).toThrow(failing('unauthorized'));
    expect(check({ domain: 'me@relay.example:8443' })).toThrow(failing('unauthorized'));
  });

  it('rejects a URI on another host, or no URI', () => {
    for (const uri of ['https://other.example/', 'https://relay.example:8443@other.example/', 'urn:relay']) {
      expect(check({ uri })).toThrow(failing('unauthorized', /the agent signed nothing/));
    }
  });

  it('rejects a challenge with another purpose', () => {
    expect(check({ statement: STATEMENTS.signIn })).toThrow(failing('unauthorized', /another statement/));
  });

  it('rejects the challenge of another TLS session, which an interceptor may forward', () => {
    expect(check({ channel: 'd5'.repeat(32) })).toThrow(
      failing(
        'relay_untrusted',
        /does not end at the relay that set the challenge; the agent signed nothing/,
      ),
    );
  });

  it('rejects another address', () => {
    expect(check({ address: stranger.address })).toThrow(failing('unauthorized', /another address/));
  });

  it('rejects an expired, a future and a long-lived challenge', () => {
    expect(check({}, later(120))).toThrow(failing('expired'));
    expect(check({}, later(-61))).toThrow(failing('expired', /clocks is wrong/));
    expect(check({ expiresAt: later(121) })).toThrow(failing('unauthorized', /more than 2 minutes/));
  });

  it('rejects a text that is not a challenge', () => {
    const expected = {
      address: agent.address,
      domain: fields.domain,
      channel: fields.channel,
      statement: STATEMENTS.control,
      now: issuedAt,
    };
    expect(() => checkChallenge('I owe you', expected)).toThrow(failing('protocol'));
  });
});
