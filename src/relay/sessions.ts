import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../lib/errors.js';
import { networkOf } from '../net/cidr.js';
import { LIMITS } from '../protocol/limits.js';
import { Crowd, placeFor } from './crowd.js';
import type { Work } from '../protocol/work.js';
import type { RelayLimits } from './limits.js';
import { plainAddress } from './names.js';
import type { Quotas } from './quotas.js';
import type { Session } from './session.js';

/** Why a control channel is not let in now, as HTTP says it. */
export interface TurnedAway {
  readonly status: '429 Too Many Requests' | '503 Service Unavailable';
  readonly retryAfterSeconds: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Owns the control channels of a relay, and who may open one. After a restart every agent comes back at once: only so
 * many prove their identity at a time, and the relay asks the others to come back a little later, the later the more
 * there are. Clients that open channels and prove nothing keep no agent out: the network that has most handshakes makes
 * room for a network with fewer, and a handshake older than `handshakeShareMs` makes room for any. No network has more
 * than half of the places.
 */
export class Sessions {
  readonly #limits: RelayLimits;
  readonly #quotas: Quotas;
  readonly #all = new Set<Session>();
  /** Those of them that have not proven an identity yet, oldest first. */
  readonly #handshakes = new Crowd<Session>();
  readonly #pace: Pace;
  #mostHandshakes = 0;

  constructor(limits: RelayLimits, quotas: Quotas) {
    this.#limits = limits;
    this.#quotas = quotas;
    this.#pace = new Pace(2 * limits.maxHandshakes);
  }

  get size(): number {
    return this.#all.size;
  }

  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** The most handshakes there ever were at a time. */
  get mostHandshakes(): number {
    return this.#mostHandshakes;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#all.values();
  }

  /** Whether one more channel may begin on `socket`; undefined: it may. */
  turnAway(socket: Duplex, address: string | undefined): TurnedAway | undefined {
    const { maxSessions, maxSessionsPerAddress } = this.#limits;
    // First of all: a network that may have no more channels displaces none of the others.
    if (!this.#quotas.channel(socket, address)) {
      return {
        ...full(
          `an address may have ${maxSessionsPerAddress} sessions on this relay (maxSessionsPerAddress); stop other agents there, or use another relay`,
          LIMITS.maxComeBackMs,
        ),
        status: '429 Too Many Requests',
        code: 'limit_exceeded',
      };
    }
    if (this.#all.size >= maxSessions && !this.#evict(this.#handshakes.crowded()?.oldest)) {
      this.#quotas.refusals.add('maxSessions');
      return full(`this relay is full: it has ${maxSessions} sessions (maxSessions)`, LIMITS.maxComeBackMs);
    }
    return this.#hasRoom(networkOf(plainAddress(address))) ? undefined : this.#busy();
  }

  /** What a client must do before the relay does anything for it; undefined: nothing. */
  demandWork(): Work | undefined {
    if (this.#handshakes.size < Math.ceil(this.#limits.maxHandshakes / 4)) return undefined;
    return { bits: LIMITS.handshakeWorkBits, salt: randomBytes(16).toString('hex') };
  }

  add(session: Session, address: string | undefined): void {
    this.#all.add(session);
    this.#handshakes.add(session, networkOf(plainAddress(address)));
    this.#mostHandshakes = Math.max(this.#mostHandshakes, this.#handshakes.size);
  }

  proven(session: Session): void {
    this.#handshakes.delete(session);
    this.#pace.proven();
  }

  forget(session: Session): void {
    this.#all.delete(session);
    this.#handshakes.delete(session);
  }

  /** Whether `network` may begin a handshake: there is room, or another handshake gives way. */
  #hasRoom(network: string): boolean {
    const place = placeFor(this.#handshakes, network, {
      max: this.#limits.maxHandshakes,
      isLate: ({ startedAt }) => performance.now() - startedAt > LIMITS.handshakeShareMs,
    });
    this.#evict(place?.displaces);
    return place !== undefined;
  }

  #busy(): TurnedAway {
    this.#quotas.refusals.add('maxHandshakes');
    const seconds = this.#pace.sentAway();
    return full(
      `this relay has ${this.#limits.maxHandshakes} handshakes under way (maxHandshakes)`,
      seconds * 1000,
    );
  }

  /** Ends the handshake of `session`, if there is one. Returns whether there was. */
  #evict(session: Session | undefined): boolean {
    if (!session) return false;
    this.forget(session);
    session.giveWay();
    return true;
  }
}

function full(message: string, retryAfterMs: number): TurnedAway {
  return {
    status: '503 Service Unavailable',
    retryAfterSeconds: Math.ceil(retryAfterMs / 1000),
    code: 'relay_busy',
    message,
  };
}

/** How long the line of those who were sent away is, in seconds of the pace at which handshakes end. */
class Pace {
  readonly #leastPerSecond: number;
  #second = 0;
  #now = { proven: 0, sentAway: 0 };
  #before = this.#now;

  constructor(leastPerSecond: number) {
    this.#leastPerSecond = leastPerSecond;
  }

  proven(): void {
    this.#turn();
    this.#now.proven++;
  }

  /** One more is sent away; answers for how many seconds. */
  sentAway(): number {
    this.#turn();
    this.#now.sentAway++;
    const perSecond = Math.max(this.#leastPerSecond, this.#before.proven, this.#now.proven);
    const seconds = Math.ceil((this.#before.sentAway + this.#now.sentAway) / perSecond);
    return Math.min(seconds, LIMITS.maxComeBackMs / 1000);
  }

  #turn(): void {
    const second = Math.floor(performance.now() / 1000);
    if (second === this.#second) return;
    this.#before = second === this.#second + 1 ? this.#now : { proven: 0, sentAway: 0 };
    this.#now = { proven: 0, sentAway: 0 };
    this.#second = second;
  }
}
