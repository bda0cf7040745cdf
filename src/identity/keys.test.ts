import { inspect } from 'node:util';
import { Point } from '@noble/secp256k1';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checksumAddress,
  generateIdentity,
  identityFromPrivateKey,
  privateKeyOf,
  recoverAddress,
} from './keys.js';

/** Published examples: the first account of a Hardhat node, and the one in web3.js's documentation. */
const HARDHAT = {
  privateKey: '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  address: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266',
};
const WEB3 = {
  privateKey: '0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318',
  address: '0x2c7536E3605D9C16a7a3D7b1898e529396a65c23',
  message: 'Some data',
  signature:
    '0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c',
};
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

describe('multiples of the base point', () => {
  const { BASE } = Point;
  const scalar = fc.bigInt({ min: 1n, max: CURVE_ORDER - 2n });

  it('match the sums that the library computes', () => {
    fc.assert(
      fc.property(scalar, (n) => {
        expect(
          BASE.multiply(n)
            .add(BASE)
            .equals(BASE.multiply(n + 1n)),
        ).toBe(true);
        expect(
          BASE.multiply(n)
            .negate()
            .equals(BASE.multiply(CURVE_ORDER - n)),
        ).toBe(true);
      }),
      { numRuns: 20, examples: [[1n], [2n], [255n], [CURVE_ORDER - 2n]] },
    );
  });

  it.each([-1n, 0n, CURVE_ORDER, CURVE_ORDER + 1n])('reject the scalar %s', (n) =>
    expect(() => BASE.multiply(n)).toThrow(/range|scalar|bigint/),
  );
});

describe('known answers', () => {
  it.each([HARDHAT, WEB3])('the address of $address', ({ privateKey, address }) => {
    expect(identityFromPrivateKey(privateKey).address).toBe(address);
  });

  it('a personal_sign signature', () => {
    expect(identityFromPrivateKey(WEB3.privateKey).sign(WEB3.message)).toBe(WEB3.signature);
    expect(recoverAddress(WEB3.message, WEB3.signature)).toBe(WEB3.address);
  });

  it.each([
    '0x52908400098527886E0F7030069857D2E4169EE7',
    '0xde709f2102306220921060314715629080e2fb77',
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
    '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
    '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
  ])('the EIP-55 checksum of %s', (address) => {
    expect(checksumAddress(address.toLowerCase())).toBe(address);
    expect(checksumAddress(`0x${address.slice(2).toUpperCase()}`)).toBe(address);
  });
});

describe('signatures', () => {
  it('any message, any key: recovers to the signer, and never after a change', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, other) => {
        const identity = generateIdentity();
        const signature = identity.sign(message);
        expect(recoverAddress(message, signature)).toBe(identity.address);
        expect(recoverAddress(`${other}${message}!`, signature)).not.toBe(identity.address);
      }),
      { numRuns: 25 },
    );
  });

  const r = WEB3.signature.slice(2, 66);
  const s = BigInt(`0x${WEB3.signature.slice(66, 130)}`);
  const highS = (CURVE_ORDER - s).toString(16).padStart(64, '0');
  it.each([
    ['nothing', ''],
    ['no prefix', WEB3.signature.slice(2)],
    ['a byte short', WEB3.signature.slice(0, -2)],
    ['a byte long', `${WEB3.signature}00`],
    ['not hex', `${WEB3.signature.slice(0, -1)}g`],
    ['v of 0', `${WEB3.signature.slice(0, -2)}00`],
    ['v of 29', `${WEB3.signature.slice(0, -2)}1d`],
    ['the same proof with a high s', `0x${r}${highS}1b`],
    ['r of zero', `0x${'0'.repeat(64)}${WEB3.signature.slice(66)}`],
    ['s of zero', `0x${r}${'0'.repeat(64)}1c`],
    ['r beyond the curve', `0x${'f'.repeat(64)}${WEB3.signature.slice(66)}`],
  ])('%s: rejected', (_what, signature) => {
    expect(() => recoverAddress(WEB3.message, signature)).toThrow(
      expect.objectContaining({ code: 'unauthorized' }),
    );
  });
});

describe('private keys', () => {
  it.each([
    '',
    '0x',
    HARDHAT.privateKey.slice(2),
    `${HARDHAT.privateKey}00`,
    `0x${'0'.repeat(64)}`,
    `0x${'f'.repeat(64)}`,
  ])('%j: rejected, without showing it', (text) => {
    expect(() => identityFromPrivateKey(text)).toThrow(
      expect.objectContaining({
        code: 'identity_invalid',
        message: 'the private key is not a secp256k1 key of 0x and 64 hex digits',
      }),
    );
  });

  it('every generated identity is unique, and can be restored from its key', () => {
    const identity = generateIdentity();
    expect(generateIdentity().address).not.toBe(identity.address);
    expect(identityFromPrivateKey(privateKeyOf(identity)).address).toBe(identity.address);
  });

  it('are never printed: not inspected, serialised, copied or enumerated', () => {
    const identity = identityFromPrivateKey(HARDHAT.privateKey);
    const shown = [
      inspect(identity, { showHidden: true, depth: Infinity, getters: true }),
      JSON.stringify(identity),
      JSON.stringify({ ...identity }),
      Reflect.ownKeys(identity).join(),
    ].join('\n');
    const bytes = [...Buffer.from(HARDHAT.privateKey.slice(2), 'hex')];
    expect(shown).toContain(HARDHAT.address);
    expect(shown.toLowerCase()).not.toContain(HARDHAT.privateKey.slice(2, 18));
    expect(shown).not.toContain(bytes.slice(0, 4).join(', '));
    expect(Reflect.ownKeys(identity)).toStrictEqual(['address']);
  });

  it('derive one stable secret for each purpose', () => {
    // HKDF-SHA256 of the private key. Another value would end sessions and share links.
    const first = identityFromPrivateKey(`0x${'00'.repeat(31)}01`);
    expect(first.derive('share links').toString('hex')).toBe(
      '2151faf91aca276cb792dd17f9cdd938b00d131bb13e82df5846fcc50a336d3a',
    );
    const [one, other] = [generateIdentity(), generateIdentity()];
    const again = identityFromPrivateKey(privateKeyOf(one));
    expect(one.derive('a')).toHaveLength(32);
    expect(again.derive('a')).toEqual(one.derive('a'));
    expect(one.derive('b')).not.toEqual(one.derive('a'));
    expect(other.derive('a')).not.toEqual(one.derive('a'));
  });

  it('cannot be read from other implementations of Identity', () => {
    const foreign = { address: HARDHAT.address, sign: () => '0x', derive: () => Buffer.alloc(32) };
    expect(() => privateKeyOf(foreign)).toThrow(expect.objectContaining({ code: 'identity_invalid' }));
  });
});
