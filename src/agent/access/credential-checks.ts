import { createHmac, randomBytes } from 'node:crypto';
import { KeyedQueue } from '../../lib/keyed-queue.js';
import { Attempts, seconds } from './attempts.js';
import type { Credentials } from './basic-credentials.js';

/** Limit of remembered credentials. Beyond it, those that were unused longest are verified again. */
const MAX_VERIFIED = 1_000;
/** What is added to a network for requests that pages of other sites cause. */
const OF_OTHER_SITES = '#other-sites';
/** Limit of requests of one network that wait for a verification. */
const MAX_WAITING = 16;

/** Who tries credentials. */
export interface Source {
  readonly network: string;
  /**
   * A page of another site caused the request. Its attempts count separately: otherwise a page could try wrong passwords with the
   * browser of a visitor, who would have to wait then. They do count: anyone can claim to be such a page.
   */
  readonly isFromOtherSite?: boolean;
}

export type Verdict =
  | { readonly kind: 'right'; readonly user: string }
  /** `isNew`: the credentials were checked, and the visitor counts as rejected. */
  | { readonly kind: 'wrong'; readonly isNew: true }
  | { readonly kind: 'wait'; readonly waitS: number; readonly isNew: boolean }
  /** Too many wait for a verification. */
  | { readonly kind: 'busy' };

/** Verifies a password in about the same time for each hash of the same cost. `busy`: too many wait. */
export type Verify = (password: string, hash: string) => Promise<boolean | 'busy'>;

/**
 * Verifies credentials of visitors, and limits how often each network may try. Verified credentials are remembered by a keyed
 * hash, since each request carries them and one verification takes a part of a second. Belongs to one set of users: for others,
 * create another.
 */
export class CredentialChecks {
  readonly #users: ReadonlyMap<string, string>;
  readonly #verify: Verify;
  readonly #attempts = new Attempts();
  readonly #key = randomBytes(32);
  /** By their HMAC, the most recently used last. */
  readonly #verified = new Set<string>();
  /** Verifies one after another for each network, so that a network cannot try more at once than its attempts. */
  readonly #queue = new KeyedQueue();
  readonly #waiting = new Map<string, number>();

  /** @param users by name: the hash of the password */
  constructor(users: Readonly<Record<string, string>>, verify: Verify) {
    this.#users = new Map(Object.entries(users));
    this.#verify = verify;
  }

  check(credentials: Credentials, source: Source): Verdict | Promise<Verdict> {
    const { network } = source;
    const id = this.#idOf(credentials);
    const known = this.#known(credentials, source, id);
    if (known) return known;
    const waiting = this.#waiting.get(network) ?? 0;
    if (waiting >= MAX_WAITING) return { kind: 'busy' };
    this.#waiting.set(network, waiting + 1);
    return this.#queue
      .run(network, () => this.#check(credentials, source, id))
      .finally(() => this.#left(network));
  }

  /** The verdict without a verification. Counts no attempt. */
  #known({ user }: Credentials, source: Source, id: string): Verdict | undefined {
    const place = placeOf(source);
    // First: a network that has to wait must not learn whether its guess is right.
    const now = performance.now();
    const waitMs = this.#attempts.waitMs(place, now, user);
    if (waitMs > 0) return { kind: 'wait', waitS: seconds(waitMs), isNew: false };
    if (this.#attempts.isRepeated(place, id)) return { kind: 'wrong', isNew: true };
    if (!this.#verified.delete(id)) return undefined;
    this.#verified.add(id);
    // Each network of the user: wrong attempts of strangers must not block it later.
    this.#succeeded(source, user);
    return { kind: 'right', user };
  }

  async #check(credentials: Credentials, source: Source, id: string): Promise<Verdict> {
    // Another request of the network may have tried meanwhile.
    const known = this.#known(credentials, source, id);
    if (known) return known;
    const { user } = credentials;
    const place = placeOf(source);
    if (!this.#attempts.reserve(place, performance.now(), user)) return { kind: 'busy' };
    try {
      const isRight = await this.#isRight(credentials);
      if (isRight === 'busy') return { kind: 'busy' };
      if (!isRight) return this.#failed(user, place, id);
      this.#succeeded(source, user);
      this.#remember(id);
      return { kind: 'right', user };
    } finally {
      this.#attempts.release();
    }
  }

  async #isRight({ user, password }: Credentials): Promise<boolean | 'busy'> {
    const isRight = await this.#verify(password, this.#users.get(user) ?? this.#anotherHash(user));
    return isRight === 'busy' ? 'busy' : isRight && this.#users.has(user);
  }

  /** However the request came: the user is the same person, who may follow a link next. */
  #succeeded({ network }: Source, user: string): void {
    const now = performance.now();
    for (const isFromOtherSite of [false, true])
      this.#attempts.succeeded(placeOf({ network, isFromOtherSite }), now, user);
  }

  #failed(user: string, place: string, id: string): Verdict {
    const now = performance.now();
    this.#attempts.failed(place, now, { user, id });
    const waitMs = this.#attempts.waitMs(place, now, user);
    if (waitMs > 0) return { kind: 'wait', waitS: seconds(waitMs), isNew: true };
    return { kind: 'wrong', isNew: true };
  }

  /** For an unknown user, so that the time does not show that it is unknown. The same user always gets the same hash. */
  #anotherHash(user: string): string {
    const hashes = [...this.#users.values()];
    return hashes[this.#hmac('user', user).readUInt32BE() % hashes.length]!;
  }

  #remember(id: string): void {
    this.#verified.add(id);
    const [oldest] = this.#verified;
    if (this.#verified.size > MAX_VERIFIED && oldest !== undefined) this.#verified.delete(oldest);
  }

  #left(network: string): void {
    const waiting = this.#waiting.get(network)! - 1;
    if (waiting === 0) this.#waiting.delete(network);
    else this.#waiting.set(network, waiting);
  }

  #idOf({ user, password }: Credentials): string {
    return this.#hmac('credentials', user, password).toString('base64');
  }

  #hmac(...parts: readonly string[]): Buffer {
    return createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest();
  }
}

/** Where attempts count. */
const placeOf = ({ network, isFromOtherSite }: Source): string =>
  isFromOtherSite ? network + OF_OTHER_SITES : network;
