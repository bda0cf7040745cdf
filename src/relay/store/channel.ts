import { serveCalls, Caller, type Channel } from '../../lib/calls.js';
import type { Origin, Reservation, ReservedBy, ReservedName, SeenAgent, SeenAgents, Store } from './store.js';

/** A store that another process of this relay has open. Calls pass through a channel in their order. */

/** Serves `store` to the process at the other end of `channel`. The store stays open when that process ends. */
export function serveStore(store: Store, channel: Channel): void {
  serveCalls(channel, {
    newestUse: () => store.newestUse(),
    reservation: (name: string) => store.reservation(name),
    reservations: (since: number) => store.reservations(since),
    countReservations: (of: ReservedBy, since: number, firstAfter?: number) =>
      store.countReservations(of, since, firstAfter),
    reserve: (name: string, address: string, usedAt: number, origin?: Origin) =>
      store.reserve(name, address, usedAt, origin),
    port: (kind: string, name: string) => store.port(kind, name),
    portHolder: (kind: string, port: number, since: number) => store.portHolder(kind, port, since),
    rememberPort: (kind: string, name: string, port: number) => store.rememberPort(kind, name, port),
    peerKey: (url: string) => store.peerKey(url),
    rememberPeer: (url: string, address: string) => store.rememberPeer(url, address),
    reservationsOf: (address: string, since: number) => store.reservationsOf(address, since),
    release: (name: string, address: string) => store.release(name, address),
    forget: (before: number) => store.forget(before),
    noteSeen: (identity: string, agent: SeenAgent) => store.seen.note(identity, agent),
    seenOf: (identity: string, since: number) => store.seen.of(identity, since),
    forgetSeen: (before: number) => store.seen.forget(before),
  });
}

export class ChannelStore implements Store {
  failures = 0;
  readonly seen: SeenAgents = {
    note: async (identity, agent) => void (await this.#write('noteSeen', identity, agent)),
    of: async (identity, since) => (await this.#caller.call('seenOf', identity, since)) as SeenAgent[],
    forget: async (before) => void (await this.#write('forgetSeen', before)),
  };
  readonly #caller: Caller;

  constructor(channel: Channel) {
    this.#caller = new Caller(channel);
  }

  async newestUse(): Promise<number | undefined> {
    return (await this.#caller.call('newestUse')) as number | undefined;
  }

  async reservation(name: string): Promise<Reservation | undefined> {
    return (await this.#caller.call('reservation', name)) as Reservation | undefined;
  }

  async reservations(since: number): Promise<Map<string, Reservation>> {
    return (await this.#caller.call('reservations', since)) as Map<string, Reservation>;
  }

  async countReservations(of: ReservedBy, since: number, firstAfter?: number): Promise<number> {
    return (await this.#caller.call('countReservations', of, since, firstAfter)) as number;
  }

  async reserve(name: string, address: string, usedAt: number, origin?: Origin): Promise<boolean> {
    return (await this.#write('reserve', name, address, usedAt, origin)) as boolean;
  }

  async port(kind: string, name: string): Promise<number | undefined> {
    return (await this.#caller.call('port', kind, name)) as number | undefined;
  }

  async portHolder(kind: string, port: number, since: number): Promise<string | undefined> {
    return (await this.#caller.call('portHolder', kind, port, since)) as string | undefined;
  }

  async rememberPort(kind: string, name: string, port: number): Promise<void> {
    await this.#write('rememberPort', kind, name, port);
  }

  async peerKey(url: string): Promise<string | undefined> {
    return (await this.#caller.call('peerKey', url)) as string | undefined;
  }

  async rememberPeer(url: string, address: string): Promise<void> {
    await this.#write('rememberPeer', url, address);
  }

  async reservationsOf(address: string, since: number): Promise<ReservedName[]> {
    return (await this.#caller.call('reservationsOf', address, since)) as ReservedName[];
  }

  async release(name: string, address: string): Promise<boolean> {
    return (await this.#write('release', name, address)) as boolean;
  }

  async forget(before: number): Promise<void> {
    await this.#write('forget', before);
  }

  /** Waits for pending writes. */
  async close(): Promise<void> {
    await this.#caller.settled();
    this.#caller.close();
  }

  async #write(method: string, ...args: readonly unknown[]): Promise<unknown> {
    try {
      return await this.#caller.call(method, ...args);
    } catch (error) {
      this.failures++;
      throw error;
    }
  }
}
