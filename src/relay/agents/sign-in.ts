import { createHash, randomBytes } from 'node:crypto';
import { checksumAddress } from '../../identity/keys.js';
import { PortalError, type ErrorCode } from '../../lib/errors.js';
import { Tally } from '../../lib/tally.js';
import { networkOf } from '../../net/cidr.js';
import { plainAddress } from '../../net/client-address.js';
import { buildChallenge, STATEMENTS, verifyProof } from '../../protocol/challenge.js';
import { LIMITS } from '../../protocol/limits.js';
import { NetworkTable, placeFor } from '../../net/network-table.js';
import type { AccessLists } from '../protection/access-lists.js';
import type { RelayLimits } from '../limits.js';
import type { Quotas } from '../protection/quotas.js';
import { RateLimits } from './rate-limit.js';

interface Pending {
  readonly nonce: string;
  readonly message: string;
  readonly address: string;
  /** The TLS session that requested it. */
  readonly channel: string;
  /** Time of `performance.now()`. */
  readonly at: number;
}

/** The client: its address, and its TLS session (`channelOf`). */
export interface SignInClient {
  readonly remote: string | undefined;
  readonly channel: string;
}

/** A signed-in client: its identity, and until when. */
export interface SignedIn {
  readonly identity: string;
  /** Time of `performance.now()`. */
  readonly until: number;
}

export interface SignInsOptions {
  readonly authority: string;
  readonly url: string;
  readonly limits: RelayLimits;
  readonly quotas: Quotas;
  readonly denied: AccessLists;
}

/** The relay keeps only hashes of tokens and codes, so its memory does not reveal them. */
const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('base64url');
const newSecret = (): string => randomBytes(32).toString('base64url');

/** Owns the clients that are signed in or about to: limited in number, only in memory, and lost when this process ends. */
export class SignIns {
  /** Rejected sign-ins, by code. */
  readonly refused = new Tally<ErrorCode>();
  readonly #options: SignInsOptions;
  /** By nonce, oldest first. */
  readonly #pending = new Map<string, Pending>();
  /** The same entries, by network. */
  readonly #waiting = new NetworkTable<Pending>();
  /** By the token's hash, least recently used first. */
  readonly #signedIn = new Map<string, SignedIn & { readonly network: string }>();
  /** By the code's hash. */
  readonly #codes = new Map<string, SignedIn>();
  /** By network. Verifying a proof blocks the relay, and any client may request it. */
  readonly #arrivals: RateLimits;
  /** By identity. */
  readonly #requests: RateLimits;

  constructor(options: SignInsOptions) {
    this.#options = options;
    const { maxSignInsPerSecondPerAddress, maxSignedInRequestsPerSecondPerIdentity } = options.limits;
    const { refusals } = options.quotas;
    this.#arrivals = new RateLimits({
      perSecond: maxSignInsPerSecondPerAddress,
      what: `an address may sign in ${maxSignInsPerSecondPerAddress} times a second (maxSignInsPerSecondPerAddress)`,
      onRejected: () => {
        refusals.add('maxSignInsPerSecondPerAddress');
        this.refused.add('limit_exceeded');
      },
    });
    this.#requests = new RateLimits({
      perSecond: maxSignedInRequestsPerSecondPerIdentity,
      what: `an identity may send ${maxSignedInRequestsPerSecondPerIdentity} requests a second (maxSignedInRequestsPerSecondPerIdentity)`,
      onRejected: () => refusals.add('maxSignedInRequestsPerSecondPerIdentity'),
    });
  }

  /** Number of clients that are signed in, without expired ones. */
  get size(): number {
    const now = performance.now();
    return [...this.#signedIn.values()].filter(({ until }) => until > now).length;
  }

  /** Throws `unauthorized` for an invalid address, `relay_busy` for too many open sign-ins, `limit_exceeded` for too many per second. */
  challenge(address: string, { remote, channel }: SignInClient): { nonce: string; message: string } {
    const { authority, url, limits } = this.#options;
    const network = networkOf(plainAddress(remote));
    this.#arrivals.take(network);
    const identity = checksumAddress(address);
    this.#makeRoom(network);
    const nonce = randomBytes(16).toString('hex');
    const issuedAt = new Date();
    const message = buildChallenge({
      domain: authority,
      address: identity,
      uri: url,
      nonce,
      issuedAt,
      expiresAt: new Date(issuedAt.getTime() + limits.challengeMs),
      channel,
      statement: STATEMENTS.signIn,
    });
    const pending = { nonce, message, address: identity, channel, at: performance.now() };
    this.#pending.set(nonce, pending);
    this.#waiting.add(pending, network);
    return { nonce, message };
  }

  /** Verifies the response to a challenge, over the TLS session `channel`. One attempt per challenge. Returns the proven identity. */
  prove(nonce: string, signature: string, channel: string): string {
    const { authority, url, denied } = this.#options;
    const pending = this.#pending.get(nonce);
    if (pending) this.#forgetPending(pending);
    try {
      if (!pending)
        throw new PortalError('expired', 'this challenge is unknown or expired: request another one');
      const { message, address } = pending;
      if (pending.channel !== channel)
        throw new PortalError(
          'unauthorized',
          'the challenge belongs to another TLS connection: request one and sign it over the same connection',
        );
      verifyProof(message, signature, {
        address,
        domain: authority,
        uri: url,
        nonce,
        channel,
        statement: STATEMENTS.signIn,
        now: new Date(),
      });
      denied.check(address);
      return address;
    } catch (error) {
      this.refused.add((error as PortalError).code);
      throw error;
    }
  }

  /**
   * Creates a token for the proven `identity`. At the limit it replaces the least recently used token of the network with the
   * most. Identities cost nothing: a client with a thousand of them loses its own tokens, not its neighbours'.
   */
  issue(identity: string, remote: string | undefined): { token: string; until: number } {
    const { maxSignedIn, signedInMs } = this.#options.limits;
    makeRoomOf(this.#signedIn, identity);
    if (this.#signedIn.size >= maxSignedIn) {
      const table = new NetworkTable<string>();
      for (const [hash, { network }] of this.#signedIn) table.add(hash, network);
      this.#signedIn.delete(table.crowded()!);
    }
    const token = newSecret();
    const until = performance.now() + signedInMs;
    this.#signedIn.set(hashOf(token), { identity, until, network: networkOf(plainAddress(remote)) });
    return { token, until };
  }

  /** The owner of `token`. Throws `unauthorized`, or `limit_exceeded` for too many requests. */
  check(token: string | undefined): SignedIn {
    const hash = token === undefined ? undefined : hashOf(token);
    const one = hash === undefined ? undefined : this.#signedIn.get(hash);
    if (!one || hash === undefined) throw notSignedIn();
    this.#signedIn.delete(hash);
    if (one.until <= performance.now()) throw notSignedIn();
    this.#options.denied.check(one.identity);
    this.#signedIn.set(hash, one);
    this.#requests.take(one.identity);
    return one;
  }

  forget(token: string): void {
    this.#signedIn.delete(hashOf(token));
  }

  /** Creates a short-lived code that signs one page in. */
  code(identity: string): { code: string; until: number } {
    const { maxSignedIn, signInCodeMs } = this.#options.limits;
    const now = performance.now();
    makeRoomOf(this.#codes, identity);
    for (const [hash, { until }] of this.#codes) {
      if (until > now && this.#codes.size < maxSignedIn) break;
      this.#codes.delete(hash);
    }
    const code = newSecret();
    const until = now + signInCodeMs;
    this.#codes.set(hashOf(code), { identity, until });
    return { code, until };
  }

  /** The identity of a code. Throws `expired`. */
  redeem(code: string): string {
    const hash = hashOf(code);
    const one = this.#codes.get(hash);
    this.#codes.delete(hash);
    if (!one || one.until <= performance.now()) {
      this.refused.add('expired');
      throw linkExpired();
    }
    this.#options.denied.check(one.identity);
    return one.identity;
  }

  /** As with handshakes: the network with the most makes room for one with fewer, and a late sign-in for any. */
  #makeRoom(network: string): void {
    const { maxSignIns, challengeMs } = this.#options.limits;
    const now = performance.now();
    for (const pending of this.#waiting) {
      if (now - pending.at <= challengeMs) break;
      this.#forgetPending(pending);
    }
    const place = placeFor(this.#waiting, network, {
      max: maxSignIns,
      isLate: ({ at }) => now - at > LIMITS.handshakeShareMs,
    });
    if (place?.displaces) this.#forgetPending(place.displaces);
    if (place) return;
    this.#options.quotas.refusals.add('maxSignIns');
    this.refused.add('relay_busy');
    throw new PortalError('relay_busy', `this relay has ${maxSignIns} open sign-ins (maxSignIns)`, {
      retryAfterMs: LIMITS.handshakeShareMs,
    });
  }

  #forgetPending(pending: Pending): void {
    this.#pending.delete(pending.nonce);
    this.#waiting.delete(pending);
  }
}

/** Removes the oldest secrets of `identity` to make room for another. */
function makeRoomOf(secrets: Map<string, SignedIn>, identity: string): void {
  const own = [...secrets].filter(([, one]) => one.identity === identity);
  for (const [hash] of own.slice(0, Math.max(0, own.length + 1 - LIMITS.maxSignedInPerIdentity)))
    secrets.delete(hash);
}

export function linkExpired(): PortalError {
  return new PortalError(
    'expired',
    'this link was used or has expired: `portal agents page` creates another',
  );
}

export function notSignedIn(): PortalError {
  return new PortalError('unauthorized', 'not signed in: `portal agents page` signs a browser in');
}
