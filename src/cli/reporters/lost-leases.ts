import type { PublicAddress } from '../../agent/status.js';

/** Leases that were lost, to tell those that are back from those that visitors must reach in another way now. */
export class LostLeases {
  readonly #addresses = new Map<string, string>();

  add(key: string, lease: PublicAddress): void {
    this.#addresses.set(key, addressOf(lease));
  }

  delete(key: string): void {
    this.#addresses.delete(key);
  }

  /** Call when a lease is ready. Whether it was lost, and has the address that it had, as far as known. */
  isBack(key: string, lease: PublicAddress): boolean {
    const before = this.#addresses.get(key);
    this.#addresses.delete(key);
    return before === '' || before === addressOf(lease);
  }
}

/** Differs if visitors must use another address. Empty if it is not known. */
export const addressOf = ({ url = '', tcpAddr = '', udpAddr = '' }: PublicAddress): string =>
  url + tcpAddr + udpAddr;
