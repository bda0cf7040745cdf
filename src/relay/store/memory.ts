import { MemorySeenAgents } from './memory-seen.js';
import type { Origin, Reservation, ReservedBy, ReservedName, Store } from './store.js';

/** A store in memory: it lasts as long as the process. */
export class MemoryStore implements Store {
  readonly failures: number = 0;
  readonly seen = new MemorySeenAgents();
  readonly #reservations = new Map<string, Reservation & { readonly network: string }>();
  /** By kind: the port of each name, and the name of each port. */
  readonly #ports = new Map<string, { of: Map<string, number>; at: Map<number, string> }>();
  readonly #peers = new Map<string, string>();

  async newestUse(): Promise<number | undefined> {
    let newest: number | undefined;
    for (const { usedAt, firstAt } of this.#reservations.values())
      newest = Math.max(newest ?? usedAt, usedAt, firstAt);
    return newest;
  }

  async reservation(name: string): Promise<Reservation | undefined> {
    return this.#reservations.get(name);
  }

  async reservations(since: number): Promise<Map<string, Reservation>> {
    return new Map([...this.#reservations].filter(([, { usedAt }]) => usedAt > since));
  }

  async countReservations(of: ReservedBy, since: number, firstAfter = -1): Promise<number> {
    let count = 0;
    for (const held of this.#reservations.values()) {
      const matches = 'address' in of ? held.address === of.address : held.network === of.network;
      if (matches && held.usedAt > since && held.firstAt > firstAfter) count++;
    }
    return count;
  }

  async reserve(
    name: string,
    address: string,
    usedAt: number,
    { firstAt = usedAt, network = '', expiredAt = Infinity }: Origin = {},
  ): Promise<boolean> {
    const present = this.#reservations.get(name);
    const current = present && present.usedAt > expiredAt ? present : undefined;
    if (current && current.address !== address) return false;
    this.#reservations.set(name, { address, usedAt, firstAt: current?.firstAt ?? firstAt, network });
    return true;
  }

  async port(kind: string, name: string): Promise<number | undefined> {
    return this.#portOf(kind, name);
  }

  async portHolder(kind: string, port: number, since: number): Promise<string | undefined> {
    const holder = this.#reservations.get(this.#ports.get(kind)?.at.get(port) ?? '');
    return holder && holder.usedAt > since ? holder.address : undefined;
  }

  async rememberPort(kind: string, name: string, port: number): Promise<void> {
    let ports = this.#ports.get(kind);
    if (!ports) this.#ports.set(kind, (ports = { of: new Map(), at: new Map() }));
    const [former, holder] = [ports.of.get(name), ports.at.get(port)];
    if (former !== undefined) ports.at.delete(former);
    if (holder !== undefined) ports.of.delete(holder);
    ports.of.set(name, port);
    ports.at.set(port, name);
  }

  async peerKey(url: string): Promise<string | undefined> {
    return this.#peers.get(url);
  }

  async rememberPeer(url: string, address: string): Promise<void> {
    this.#peers.set(url, address);
  }

  async reservationsOf(address: string, since: number): Promise<ReservedName[]> {
    return this.#namesOf(address, since)
      .toSorted()
      .map((name) => ({
        name,
        usedAt: this.#reservations.get(name)!.usedAt,
        tcp: this.#portOf('tcp', name) ?? null,
        udp: this.#portOf('udp', name) ?? null,
      }));
  }

  async release(name: string, address: string): Promise<boolean> {
    if (this.#reservations.get(name)?.address !== address) return false;
    this.#forgetName(name);
    return true;
  }

  async forget(before: number): Promise<void> {
    for (const [name, { usedAt }] of this.#reservations) if (usedAt < before) this.#forgetName(name);
    await this.seen.forget(before);
  }

  async close(): Promise<void> {
    // Nothing to close.
  }

  #portOf(kind: string, name: string): number | undefined {
    return this.#ports.get(kind)?.of.get(name);
  }

  #namesOf(address: string, since: number): string[] {
    const all = [...this.#reservations];
    return all.flatMap(([name, held]) => (held.address === address && held.usedAt > since ? [name] : []));
  }

  #forgetName(name: string): void {
    this.#reservations.delete(name);
    for (const { of, at } of this.#ports.values()) {
      const port = of.get(name);
      if (port !== undefined) at.delete(port);
      of.delete(name);
    }
  }
}
