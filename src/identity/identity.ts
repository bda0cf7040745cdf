/**
 * A secp256k1 key pair that proves who owns a lease. The private key is not a property of this object, so code cannot
 * print, log or serialise it by accident. Only `exportIdentity` returns it.
 */
export interface Identity {
  /** Ethereum address of the key, EIP-55 checksummed: 0x and 40 hex digits. */
  readonly address: string;
  /** EIP-191 personal_sign over `message` (UTF-8): 0x-prefixed r‖s‖v, 65 bytes, v 27 or 28, low s. */
  sign(message: string): string;
  /** 32 secret bytes for one purpose, always the same, that only this key can derive (HKDF-SHA256, RFC 5869). */
  derive(purpose: string): Buffer;
}
