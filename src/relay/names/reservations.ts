import { otherName } from '../leases/other-name.js';
import { PortalError } from '../../lib/errors.js';
import { KeyedQueue } from '../../lib/keyed-queue.js';
import type { RelayLimits } from '../limits.js';
import type { Refusals } from '../protection/quotas.js';
import type { Reservation, ReservedBy, ReservedName, Store } from '../store/store.js';

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

/** A reserved name, and the end of its reservation. */
export type NamedUntil = ReservedName & { readonly until: number };

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
  readonly #claims = new KeyedQueue();

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

  /** All reservations that have not expired, by name. */
  current(): Promise<Map<string, Reservation>> {
    return this.#store.reservations(this.#expiredAt());
  }

  /** Whether a reservation has not expired. */
  holds({ usedAt }: Reservation): boolean {
    return usedAt > this.#expiredAt();
  }

  /** Checks whether `user` may use `name` now. Throws `name_reserved`, or `limit_exceeded`. */
  async check(name: string, user: NameUser): Promise<void> {
    const reservation = await this.#store.reservation(name);
    if (!reservation || !this.holds(reservation)) return this.#checkRoom(user);
    // Its own names need no more room.
    if (reservation.address === user.address) return;
    throw nameReserved(name, reservation.usedAt + this.#limits.reservationMs);
  }

  /**
   * Reserves `name` for `user` after a check as above. Resolves once it is on disk. If a use shortly before `at` is stored
   * already, nothing is written. So an identity keeps its name while the disk is full, and a thousand leases that return
   * together cost no writes. A name that was not held for long is not `firm`: it stays reserved only for `reserveAfterMs`.
   */
  async claim(name: string, user: NameUser, at: number): Promise<{ usedAt: number; firm: boolean }> {
    const known = await this.#store.reservation(name);
    const own = known?.address === user.address ? known : undefined;
    const firm = this.#limits.reserveAfterMs === 0 || (own !== undefined && this.isFirm(own, at));
    if (firm && own && Math.abs(at - own.usedAt) < this.refreshMs) return { usedAt: own.usedAt, firm };
    if (own && this.holds(own)) await this.use(name, user, at, firm);
    else await this.#claimNew(name, user, at, firm);
    return { usedAt: at, firm };
  }

  /** Releases `name`; resolves with whether `address` had it. */
  release(name: string, address: string): Promise<boolean> {
    return this.#store.release(name, address);
  }

  /** Names reserved for `address`, and until when. */
  async of(address: string): Promise<NamedUntil[]> {
    const names = await this.#store.reservationsOf(address, this.#expiredAt());
    return names.map((one) => ({ ...one, until: one.usedAt + this.#limits.reservationMs }));
  }

  /** Forgets expired reservations. */
  forget(): Promise<void> {
    return this.#store.forget(this.#expiredAt());
  }

  /**
   * Stores a use of `name`. A use that is not firm is stored with an old date. Resolves once it is on disk. Throws
   * `name_reserved` if another identity has the name.
   */
  async use(name: string, { address, network }: NameUser, at: number, firm: boolean): Promise<void> {
    const { reservationMs, reserveAfterMs } = this.#limits;
    const usedAt = firm ? at : at - reservationMs + Math.min(reserveAfterMs, reservationMs);
    const reserved = await this.#store.reserve(name, address, usedAt, {
      firstAt: at,
      network: network === '' ? '' : this.#tagOf(network),
      expiredAt: this.#expiredAt(),
    });
    if (!reserved) throw nameReserved(name);
  }

  /** Whether the reservation is firm: it lasts longer than one of a name that was not held for long. */
  isFirm({ usedAt }: Reservation, at: number = this.#now()): boolean {
    const { reservationMs, reserveAfterMs } = this.#limits;
    return usedAt + reservationMs - at > reserveAfterMs;
  }

  /** Reservations last used until then have expired. */
  #expiredAt(): number {
    return this.#now() - this.#limits.reservationMs;
  }

  /** One at a time until the write is requested, so that the next check counts it. */
  async #claimNew(name: string, user: NameUser, at: number, firm: boolean): Promise<void> {
    let stored: Promise<void> | undefined;
    await this.#claims.run('', async () => {
      await this.check(name, user);
      stored = this.use(name, user, at, firm);
    });
    await stored;
  }

  async #checkRoom({ address, network }: NameUser): Promise<void> {
    const { maxReservedNamesPerAddress, maxNewNamesPerAddress } = this.#limits;
    const usedAfter = this.#expiredAt();
    const newAfter = this.#now() - NEW_MS;
    const check = async (
      limit: keyof typeof TOO_MANY,
      of: ReservedBy,
      firstAfter?: number,
    ): Promise<void> => {
      const max = this.#limits[limit];
      if (max === 0 || (await this.#store.countReservations(of, usedAfter, firstAfter)) < max) return;
      this.#refusals.add(limit);
      throw new PortalError(
        'limit_exceeded',
        `${TOO_MANY[limit](max)} (${limit}); use existing names, or another relay`,
      );
    };
    await check('maxReservedNamesPerIdentity', { address });
    await check('maxNewNamesPerIdentity', { address }, newAfter);
    if (network === '' || (maxReservedNamesPerAddress === 0 && maxNewNamesPerAddress === 0)) return;
    const origin = { network: this.#tagOf(network) };
    await check('maxReservedNamesPerAddress', origin);
    await check('maxNewNamesPerAddress', origin, newAfter);
  }
}

function nameReserved(name: string, until?: number): PortalError {
  const when =
    until === undefined ? '' : ` until ${new Date(until).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return new PortalError(
    'name_reserved',
    `"${name}" is reserved for another identity${when}. ${otherName(name)}`,
  );
}

const TOO_MANY = {
  maxReservedNamesPerIdentity: (max: number) => `an identity may reserve ${max} names on this relay`,
  maxReservedNamesPerAddress: (max: number) => `an address may reserve ${max} names on this relay`,
  maxNewNamesPerIdentity: (max: number) => `an identity may use ${max} new names a day on this relay`,
  maxNewNamesPerAddress: (max: number) => `an address may use ${max} new names a day on this relay`,
} as const;
