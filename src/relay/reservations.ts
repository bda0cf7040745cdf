import { PortalError } from '../lib/errors.js';
import type { Refusals } from './quotas.js';
import type { Reservation, ReservedName, Store } from './store.js';

/** A name in use is stored again after this part of the time for which it stays reserved. */
const REFRESH_PART = 1 / 30;

export interface ReservationBounds {
  readonly reservationMs: number;
  readonly maxReservedNamesPerIdentity: number;
}

/** Names that stay with their identity for a while after their last use. */
export class Reservations {
  readonly #store: Store;
  readonly #bounds: ReservationBounds;
  readonly #refusals: Refusals;
  readonly #now: () => number;

  constructor(store: Store, bounds: ReservationBounds, refusals: Refusals, now: () => number = Date.now) {
    this.#now = now;
    this.#store = store;
    this.#bounds = bounds;
    this.#refusals = refusals;
  }

  /** How often a name in use is to be stored again. */
  get refreshMs(): number {
    return this.#bounds.reservationMs * REFRESH_PART;
  }

  /** For whom `name` is reserved now, if for anybody. */
  current(name: string): Reservation | undefined {
    const reservation = this.#store.reservation(name);
    const holds = reservation && reservation.usedAt + this.#bounds.reservationMs > this.#now();
    return holds ? reservation : undefined;
  }

  /** Whether `address` may use `name` now. Throws `name_reserved`, or `limit_exceeded` when it has too many. */
  check(name: string, address: string): void {
    const { reservationMs, maxReservedNamesPerIdentity } = this.#bounds;
    const now = this.#now();
    const reservation = this.#store.reservation(name);
    const until = reservation ? reservation.usedAt + reservationMs : 0;
    if (reservation && until > now) {
      // What is its own already takes no more room.
      if (reservation.address === address) return;
      throw new PortalError(
        'name_reserved',
        `"${name}" is reserved for another identity until ${new Date(until).toISOString()}; choose another name, or use that identity`,
      );
    }
    if (this.#store.countReservations(address, now - reservationMs) < maxReservedNamesPerIdentity) return;
    this.#refusals.add('maxReservedNamesPerIdentity');
    throw new PortalError(
      'limit_exceeded',
      `an identity may reserve ${maxReservedNamesPerIdentity} names on this relay (maxReservedNamesPerIdentity); use names that it has, or another relay`,
    );
  }

  /**
   * Has `name` for `address`, for which it was checked. `stored` resolves once that is on disk. Where it is there already,
   * from a use not long before `usedAt`, nothing is written: who has a name keeps it while the disk is full, and a
   * thousand leases that come back at once cost the disk nothing.
   */
  claim(name: string, address: string, usedAt: number): { usedAt: number; stored: Promise<void> } {
    const known = this.#store.reservation(name);
    if (known?.address === address && Math.abs(usedAt - known.usedAt) < this.refreshMs)
      return { usedAt: known.usedAt, stored: Promise.resolve() };
    return { usedAt, stored: this.use(name, address, usedAt) };
  }

  /** Gives it up; whether `address` had it. */
  release(name: string, address: string): Promise<boolean> {
    return this.#store.release(name, address);
  }

  /** Names that stay with `address`, and until when. */
  of(address: string): (ReservedName & { readonly until: number })[] {
    const { reservationMs } = this.#bounds;
    return this.#store
      .reservationsOf(address, this.#now() - reservationMs)
      .map((one) => ({ ...one, until: one.usedAt + reservationMs }));
  }

  /** Forgets those that have lapsed. */
  forget(): void {
    this.#store.forget(this.#now() - this.#bounds.reservationMs);
  }

  /** Notes a use of `name`. Resolves once that is on disk. */
  use(name: string, address: string, usedAt: number): Promise<void> {
    return this.#store.reserve(name, address, usedAt);
  }
}
