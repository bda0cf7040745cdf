/** A secp256k1 key pair that proves who owns a lease. The private key never leaves this object. */
export interface Identity {
  /** Ethereum address of the key, EIP-55 checksummed. */
  readonly address: string;
  /** EIP-191 personal_sign over `message`: 0x-prefixed r‖s‖v, 65 bytes. */
  sign(message: string): string;
}
