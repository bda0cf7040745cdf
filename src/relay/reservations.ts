import { otherName } from './other-name.js';
import { PortalError } from '../lib/errors.js';
import type { RelayLimits } from './limits.js';
import type { Refusals } from './quotas.js';
import type { Reservation, ReservedName, Store } from './store.js';

/** A name in use is stored again after this part of the time for which it stays reserved. */
const REFRESH_PART = 1 / 30;

/** Names are new for this long: limits of how many are count them. */
const NEW_MS = 24 * 3_600_000;

export type ReservationLimits = Pick<
  RelayLimits,
  | 'reservationMs'
  | 'reserveAfterMs'
  | 'maxReservedNamesPerIdentity'
  | 'maxReservedNamesPerAddress'
  | 'maxNewNamesPerIdentity'
  | 'maxNewNamesPerAddress'
>;

/** Who uses a name, and from which network; an empty one is not known, and not counted. */
export interface NameUser {
  readonly address: string;
  readonly network: string;
}

export interface ReservationsOptions {
  readonly store: Store;
  readonly limits: ReservationLimits;
  readonly refusals: Refusals;
  readonly now?: () => number;
  /** What is stored of a network: a tag from which nobody learns the address. */
  readonly tagOf?: (network: string) => string;
}

/** Names that stay with their identity for a while after their last use. */
export class Reservations {
  readonly #store: Store;
  readonly #limits: ReservationLimits;
  readonly #refusals: Refusals;
  readonly #now: () => number;
  readonly #tagOf: (network: string) => string;

  constructor({
    store,
    limits,
    refusals,
    now = Date.now,
    tagOf = (network) => network,
  }: ReservationsOptions) {
    this.#now = now;
    this.#store = store;
    this.#limits = limits;
    this.#refusals = refusals;
    this.#tagOf = tagOf;
  }

  /** How often a name in use is to be stored again. */
  get refreshMs(): number {
    return this.#limits.reservationMs * REFRESH_PART;
  }

  /** For whom `name` is reserved now, if for anybody. */
  current(name: string): Reservation | undefined {
    const reservation = this.#store.reservation(name);
    const holds = reservation && reservation.usedAt + this.#limits.reservationMs > this.#now();
    return holds ? reservation : undefined;
  }

  /** Whether `user` may use `name` now. Throws `name_reserved`, or `limit_exceeded` when it has too many. */
  check(name: string, user: NameUser): void {
    const { reservationMs } = this.#limits;
    const now = this.#now();
    const reservation = this.#store.reservation(name);
    const until = reservation ? reservation.usedAt + reservationMs : 0;
    if (!reservation || until <= now) return this.#checkRoom(user, now - reservationMs, now - NEW_MS);
    // What is its own already takes no more room.
    if (reservation.address === user.address) return;
    throw new PortalError(
      'name_reserved',
      `"${name}" is reserved for another identity until ${new Date(until).toISOString()}. ${otherName(name)}`,
    );
  }

  /**
   * Has `name` for `user`, for which it was checked. `stored` resolves once that is on disk. Where it is there already,
   * from a use not long before `at`, nothing is written: who has a name keeps it while the disk is full, and a
   * thousand leases that come back at once cost the disk nothing. A name that was not held for long is not `firm`: it stays
   * reserved for `reserveAfterMs` only.
   */
  claim(name: string, user: NameUser, at: number): { usedAt: number; firm: boolean; stored: Promise<void> } {
    const known = this.#store.reservation(name);
    const firm =
      this.#limits.reserveAfterMs === 0 || (known?.address === user.address && this.isFirm(known, at));
    if (firm && known?.address === user.address && Math.abs(at - known.usedAt) < this.refreshMs)
      return { usedAt: known.usedAt, firm, stored: Promise.resolve() };
    return { usedAt: at, firm, stored: this.use(name, user, at, firm) };
  }

  /** Gives it up; whether `address` had it. */
  release(name: string, address: string): Promise<boolean> {
    return this.#store.release(name, address);
  }

  /** Names that stay with `address`, and until when. */
  of(address: string): (ReservedName & { readonly until: number })[] {
    const { reservationMs } = this.#limits;
    return this.#store
      .reservationsOf(address, this.#now() - reservationMs)
      .map((one) => ({ ...one, until: one.usedAt + reservationMs }));
  }

  /** Forgets those that have lapsed. */
  forget(): void {
    this.#store.forget(this.#now() - this.#limits.reservationMs);
  }

  /** Notes a use of `name`; one that is not firm is written as if it were long ago. Resolves once that is on disk. */
  async use(name: string, { address, network }: NameUser, at: number, firm: boolean): Promise<void> {
    const { reservationMs, reserveAfterMs } = this.#limits;
    const known = this.#store.reservation(name);
    const isOwn = known?.address === address && known.usedAt + reservationMs > this.#now();
    return this.#store.reserve(
      name,
      address,
      firm ? at : at - reservationMs + Math.min(reserveAfterMs, reservationMs),
      {
        firstAt: isOwn ? known.firstAt : at,
        network: network === '' ? '' : this.#tagOf(network),
      },
    );
  }

  /** Whether it stays for longer than one that was not held for long would. */
  isFirm({ usedAt }: Reservation, at: number = this.#now()): boolean {
    const { reservationMs, reserveAfterMs } = this.#limits;
    return usedAt + reservationMs - at > reserveAfterMs;
  }

  #checkRoom({ address, network }: NameUser, usedAfter: number, newAfter: number): void {
    const limits = this.#limits;
    const identity = { address };
    this.#checkCount('maxReservedNamesPerIdentity', () => this.#store.countReservations(identity, usedAfter));
    this.#checkCount('maxNewNamesPerIdentity', () =>
      this.#store.countReservations(identity, usedAfter, newAfter),
    );
    if (network === '' || (limits.maxReservedNamesPerAddress === 0 && limits.maxNewNamesPerAddress === 0))
      return;
    const origin = { network: this.#tagOf(network) };
    this.#checkCount('maxReservedNamesPerAddress', () => this.#store.countReservations(origin, usedAfter));
    this.#checkCount('maxNewNamesPerAddress', () =>
      this.#store.countReservations(origin, usedAfter, newAfter),
    );
  }

  #checkCount(limit: keyof typeof TOO_MANY, count: () => number): void {
    const max = this.#limits[limit];
    if (max === 0 || count() < max) return;
    this.#refusals.add(limit);
    throw new PortalError(
      'limit_exceeded',
      `${TOO_MANY[limit](max)} (${limit}); use names that it has, or another relay`,
    );
  }
}

const TOO_MANY = {
  maxReservedNamesPerIdentity: (max: number) => `an identity may reserve ${max} names on this relay`,
  maxReservedNamesPerAddress: (max: number) => `an address may reserve ${max} names on this relay`,
  maxNewNamesPerIdentity: (max: number) => `an identity may take ${max} new names a day on this relay`,
  maxNewNamesPerAddress: (max: number) => `an address may take ${max} new names a day on this relay`,
} as const;
