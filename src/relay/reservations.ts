import { otherName } from './other-name.js';
import { PortalError } from '../lib/errors.js';
import type { RelayLimits } from './limits.js';
import type { Refusals } from './quotas.js';
import type { Reservation, ReservedName, Store } from './store.js';

/** A name in use is stored again after this part of `reservationMs`. */
const REFRESH_PART = 1 / 30;

/** A name is new for this long, and counts towards the limits of new names. */
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

/** Who uses a name, and from which network; an empty network is unknown and does not count. */
export interface NameUser {
  readonly address: string;
  readonly network: string;
}

export interface ReservationsOptions {
  readonly store: Store;
  readonly limits: ReservationLimits;
  readonly refusals: Refusals;
  readonly now?: () => number;
  /** The tag stored for a network. It does not reveal the address. */
  readonly tagOf?: (network: string) => string;
}

/** Owns the names that stay reserved for an identity after their last use. */
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

  /** How often to store a name in use again. */
  get refreshMs(): number {
    return this.#limits.reservationMs * REFRESH_PART;
  }

  /** The current reservation of `name`. */
  current(name: string): Reservation | undefined {
    const reservation = this.#store.reservation(name);
    const holds = reservation && reservation.usedAt + this.#limits.reservationMs > this.#now();
    return holds ? reservation : undefined;
  }

  /** Checks whether `user` may use `name` now. Throws `name_reserved`, or `limit_exceeded`. */
  check(name: string, user: NameUser): void {
    const { reservationMs } = this.#limits;
    const now = this.#now();
    const reservation = this.#store.reservation(name);
    const until = reservation ? reservation.usedAt + reservationMs : 0;
    if (!reservation || until <= now) return this.#checkRoom(user, now - reservationMs, now - NEW_MS);
    // Its own names need no more room.
    if (reservation.address === user.address) return;
    throw new PortalError(
      'name_reserved',
      `"${name}" is reserved for another identity until ${new Date(until).toISOString()}. ${otherName(name)}`,
    );
  }

  /**
   * Reserves `name` for `user`; call `check` first. `stored` resolves once it is on disk. If a use shortly before `at` is
   * stored already, nothing is written. So an identity keeps its name while the disk is full, and a thousand leases that
   * return together cost no writes. A name that was not held for long is not `firm`: it stays reserved only for
   * `reserveAfterMs`.
   */
  claim(name: string, user: NameUser, at: number): { usedAt: number; firm: boolean; stored: Promise<void> } {
    const known = this.#store.reservation(name);
    const firm =
      this.#limits.reserveAfterMs === 0 || (known?.address === user.address && this.isFirm(known, at));
    if (firm && known?.address === user.address && Math.abs(at - known.usedAt) < this.refreshMs)
      return { usedAt: known.usedAt, firm, stored: Promise.resolve() };
    return { usedAt: at, firm, stored: this.use(name, user, at, firm) };
  }

  /** Releases `name`; resolves with whether `address` had it. */
  release(name: string, address: string): Promise<boolean> {
    return this.#store.release(name, address);
  }

  /** Names reserved for `address`, and until when. */
  of(address: string): (ReservedName & { readonly until: number })[] {
    const { reservationMs } = this.#limits;
    return this.#store
      .reservationsOf(address, this.#now() - reservationMs)
      .map((one) => ({ ...one, until: one.usedAt + reservationMs }));
  }

  /** Forgets expired reservations. */
  forget(): void {
    this.#store.forget(this.#now() - this.#limits.reservationMs);
  }

  /** Stores a use of `name`. A use that is not firm is stored with an old date. Resolves once it is on disk. */
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

  /** Whether the reservation is firm: it lasts longer than one of a name that was not held for long. */
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
      `${TOO_MANY[limit](max)} (${limit}); use existing names, or another relay`,
    );
  }
}

const TOO_MANY = {
  maxReservedNamesPerIdentity: (max: number) => `an identity may reserve ${max} names on this relay`,
  maxReservedNamesPerAddress: (max: number) => `an address may reserve ${max} names on this relay`,
  maxNewNamesPerIdentity: (max: number) => `an identity may use ${max} new names a day on this relay`,
  maxNewNamesPerAddress: (max: number) => `an address may use ${max} new names a day on this relay`,
} as const;
