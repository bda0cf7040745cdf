/**
 * secp256k1 keys as in Ethereum, so that every wallet can read an identity. Addresses: EIP-55. Signatures: EIP-191
 * (`personal_sign`), deterministic (RFC 6979), low s only (EIP-2).
 */
import { createECDH, getCurves, hkdfSync } from 'node:crypto';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { keccak_256 as keccak256 } from '@noble/hashes/sha3.js';
import * as secp from '@noble/secp256k1';
import { checksummed, isAddress } from '../lib/eip55.js';
import { PortalError } from '../lib/errors.js';
import type { Identity } from './identity.js';

// The library includes no synchronous hashes, and signing needs these.
secp.hashes.sha256 = sha256;
secp.hashes.hmacSha256 = (key, message) => hmac(sha256, key, message);

const CURVE_ORDER = secp.Point.CURVE().n;
const arithmetic: { multiply: (this: secp.Point, n: bigint, safe?: boolean) => secp.Point } =
  secp.Point.prototype;
const { multiply } = arithmetic;

/**
 * OpenSSL multiplies the base point: in constant time, and without the table that the library builds at first use,
 * which took a tenth of the time of `portal up`. If OpenSSL lacks this curve, the library does it.
 */
if (getCurves().includes('secp256k1'))
  arithmetic.multiply = function (n, safe) {
    return this === secp.Point.BASE && n > 0n && n < CURVE_ORDER
      ? timesBase(n)
      : multiply.call(this, n, safe);
  };

function timesBase(n: bigint): secp.Point {
  const ecdh = createECDH('secp256k1');
  ecdh.setPrivateKey(n.toString(16).padStart(64, '0'), 'hex');
  return secp.Point.fromBytes(new Uint8Array(ecdh.getPublicKey()));
}

const PRIVATE_KEY = /^0x[0-9a-f]{64}$/i;
const SIGNATURE = /^0x[0-9a-f]{130}$/i;
/** Added to the recovery id to get v, in a signature outside of a transaction. */
const V_OFFSET = 27;

class KeyIdentity implements Identity {
  readonly address: string;
  readonly #privateKey: Uint8Array;

  constructor(privateKey: Uint8Array) {
    this.address = addressOf(secp.getPublicKey(privateKey, false));
    this.#privateKey = privateKey;
    Object.freeze(this);
  }

  sign(message: string): string {
    const [recovery, ...rs] = secp.sign(personalHash(message), this.#privateKey, {
      prehash: false,
      format: 'recovered',
    });
    return toHex([...rs, V_OFFSET + recovery!]);
  }

  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#privateKey, '', `portal ${purpose}`, 32));
  }

  static privateKeyOf(identity: Identity): string {
    if (!(identity instanceof KeyIdentity)) {
      throw new PortalError('identity_invalid', 'this identity does not expose its private key');
    }
    return toHex(identity.#privateKey);
  }
}

/** A new identity from the system's random source. */
export function generateIdentity(): Identity {
  return new KeyIdentity(secp.utils.randomSecretKey());
}

/**
 * The identity of a private key: 0x and 64 hex digits. Throws `identity_invalid` for anything else. The message never
 * repeats the input.
 */
export function identityFromPrivateKey(privateKey: string): Identity {
  const bytes = PRIVATE_KEY.test(privateKey) ? fromHex(privateKey) : undefined;
  if (!bytes || !secp.utils.isValidSecretKey(bytes)) {
    throw new PortalError(
      'identity_invalid',
      'the private key is not a secp256k1 key of 0x and 64 hex digits',
    );
  }
  return new KeyIdentity(bytes);
}

/** The private key, 0x and 64 hex digits. Only for writing it to the owner's file or terminal. */
export function privateKeyOf(identity: Identity): string {
  return KeyIdentity.privateKeyOf(identity);
}

/**
 * The checksummed address whose key signed `message` as EIP-191 `personal_sign`. Throws `unauthorized` for a
 * signature that is malformed, matches no key, or has a high s (a second encoding of the same proof).
 */
export function recoverAddress(message: string, signature: string): string {
  if (!SIGNATURE.test(signature)) {
    throw new PortalError('unauthorized', 'the signature is not 0x and 130 hex digits');
  }
  const rsv = fromHex(signature);
  const recovery = rsv[64]! - V_OFFSET;
  if (recovery !== 0 && recovery !== 1) {
    throw new PortalError('unauthorized', 'the last byte of the signature is neither 27 nor 28');
  }
  let publicKey: Uint8Array;
  try {
    const parsed = secp.Signature.fromBytes(rsv.subarray(0, 64), 'compact');
    if (parsed.hasHighS()) throw new RangeError('s of the signature is in the upper half of the range');
    publicKey = secp.recoverPublicKey(
      parsed.addRecoveryBit(recovery).toBytes('recovered'),
      personalHash(message),
      {
        prehash: false,
        isCompressed: false,
      },
    );
  } catch (error) {
    throw new PortalError('unauthorized', 'the signature is not valid', { cause: error });
  }
  return addressOf(publicKey);
}

/** The EIP-55 form of an address in any case. Throws `unauthorized` for an invalid address. */
export function checksumAddress(address: string): string {
  if (!isAddress(address)) {
    throw new PortalError('unauthorized', 'the address is not 0x and 40 hex digits');
  }
  return checksummed(address);
}

/** An address is the last 20 bytes of the hash of the point, without the prefix 0x04. */
function addressOf(uncompressed: Uint8Array): string {
  return checksumAddress(toHex(keccak256(uncompressed.subarray(1)).subarray(-20)));
}

/** The bytes that EIP-191 version 0x45 signs. The prefix ensures that no message is a valid transaction. */
function personalHash(message: string): Uint8Array {
  const bytes = Buffer.from(message, 'utf8');
  return keccak256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${bytes.length}`), bytes]));
}

const toHex = (bytes: Uint8Array | readonly number[]): string => `0x${Buffer.from(bytes).toString('hex')}`;
/** A plain Uint8Array with memory of its own: a Buffer would share a pool, and its slices would share memory. */
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.slice(2), 'hex'));
