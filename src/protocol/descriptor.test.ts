import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../identity/keys.js';
import type { PortalError } from '../lib/errors.js';
import { descriptorFrom, readDescriptor, signDescriptor } from './descriptor.js';
import { PROTOCOL_VERSION } from './limits.js';

const NOW = new Date('2026-03-01T12:00:00.000Z');
const at = (offsetMs: number): string => new Date(NOW.getTime() + offsetMs).toISOString();
const HOUR = 3_600_000;

const identity = generateIdentity();
const facts = {
  url: 'https://relay.example.com',
  protocols: [PROTOCOL_VERSION],
  capabilities: ['stream'],
  carriers: ['raw'],
  limits: { graceMs: 30_000 },
  issuedAt: at(0),
  expiresAt: at(24 * HOUR),
};
const signed = (over: object = {}) => signDescriptor(identity, { ...facts, ...over });
/** The value as received over the wire. */
const sent = (value: object): unknown => JSON.parse(JSON.stringify(value));
const codeOf = (value: unknown): string => {
  try {
    readDescriptor(value, NOW);
    return 'taken';
  } catch (error) {
    return (error as PortalError).code;
  }
};

describe('a descriptor', () => {
  it('is read as it was signed', () => {
    expect(readDescriptor(sent(signed()), NOW)).toEqual({
      ...facts,
      address: identity.address,
      signature: signed().signature,
    });
  });

  it('may have fields of a later version, which are signed too', () => {
    expect(codeOf(sent(signed({ region: 'moon' })))).toBe('taken');
    expect(codeOf({ ...signed({ region: 'moon' }), region: 'mars' })).toBe('descriptor_invalid');
  });

  it.each([
    ['a changed URL', { url: 'https://relay.example.org' }],
    ['another address', { address: generateIdentity().address }],
    ['a longer life', { expiresAt: at(48 * HOUR) }],
    ['a broken signature', { signature: `0x${'00'.repeat(65)}` }],
  ])('is rejected with %s', (_what, over) => {
    expect(codeOf({ ...signed(), ...over })).toBe('descriptor_invalid');
  });

  it.each([
    ['no object', 'hello'],
    ['null', null],
    ['a list', []],
    ['a URL without TLS', signed({ url: 'http://relay.example.com' })],
    ['an invalid time', signed({ expiresAt: 'tomorrow' })],
    ['an impossible time', signed({ expiresAt: '2026-99-01T00:00:00Z' })],
    ['capabilities without end', signed({ capabilities: Array.from({ length: 33 }, () => 'x') })],
  ])('is rejected as %s', (_what, value) => {
    expect(codeOf(value)).toBe('descriptor_invalid');
  });

  it('is valid for its time', () => {
    const old = signed({ issuedAt: at(-25 * HOUR), expiresAt: at(-HOUR) });
    expect(codeOf(old)).toBe('expired');
    const hint = `Check the clock of this machine. It shows ${at(0)}.`;
    expect(() => readDescriptor(old, NOW)).toThrow(expect.objectContaining({ hint }));
    expect(codeOf(signed({ issuedAt: at(30_000) }))).toBe('taken');
    expect(codeOf(signed({ issuedAt: at(90_000) }))).toBe('descriptor_invalid');
    expect(codeOf(signed({ expiresAt: at(8 * 24 * HOUR) }))).toBe('descriptor_invalid');
  });
});

const read = (text: string, url = facts.url): string => {
  try {
    return descriptorFrom(text, url, NOW).address;
  } catch (error) {
    return (error as PortalError).code;
  }
};

describe('the descriptor that a relay serves', () => {
  it('must be for the URL that it came from', () => {
    const text = JSON.stringify(signed());
    expect(read(text)).toBe(identity.address);
    expect(read(text, 'https://RELAY.example.com:443/')).toBe(identity.address);
    expect(read(text, 'https://other.example.com')).toBe('descriptor_invalid');
    expect(read(JSON.stringify(signed({ url: 'relay.example.com' })))).toBe('descriptor_invalid');
  });

  it('must have a supported protocol version', () => {
    expect(['', '<html>', '{}', 'null'].map((text) => read(text))).toEqual(
      Array.from({ length: 4 }, () => 'descriptor_invalid'),
    );
    expect(read(JSON.stringify(signed({ protocols: [1, 3] })))).toBe('version');
  });
});
