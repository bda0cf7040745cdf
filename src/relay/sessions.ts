import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../lib/errors.js';
import { networkOf } from '../net/cidr.js';
import { LIMITS } from '../protocol/limits.js';
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

interface Handshake {
  readonly network: string;
  readonly since: number;
}

/**
 * Owns the control channels of a relay, and who may open one. After a restart every agent comes back at once: only so
 * many prove their identity at a time, and the others are asked to come a little later, as many seconds as that line
 * is long. One that takes its time gives its place away, so that whoever opens channels and proves nothing keeps no
 * agent out; and no address has more than half of the places.
 */
export class Sessions {
  readonly #limits: RelayLimits;
  readonly #quotas: Quotas;
  readonly #all = new Set<Session>();
  /** Those of them that have not proven an identity yet, oldest first. */
  readonly #handshakes = new Map<Session, Handshake>();
  readonly #perNetwork = new Map<string, number>();
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
    const { maxSessions, maxHandshakes, maxSessionsPerAddress } = this.#limits;
    const network = networkOf(plainAddress(address));
    if (this.#all.size >= maxSessions && !this.#evict(() => true)) {
      this.#quotas.refusals.add('maxSessions');
      return full(`this relay is full: it has ${maxSessions} sessions (maxSessions)`, LIMITS.maxComeBackMs);
    }
    if ((this.#perNetwork.get(network) ?? 0) >= Math.ceil(maxHandshakes / 2)) {
      if (!this.#evict((one) => one.network === network && isLate(one))) return this.#busy();
    } else if (this.#handshakes.size >= maxHandshakes && !this.#evict(isLate)) return this.#busy();
    if (this.#quotas.channel(socket, address)) return undefined;
    return {
      ...full(
        `an address may have ${maxSessionsPerAddress} sessions on this relay (maxSessionsPerAddress); stop other agents there, or use another relay`,
        LIMITS.maxComeBackMs,
      ),
      status: '429 Too Many Requests',
      code: 'limit_exceeded',
    };
  }

  add(session: Session, address: string | undefined): void {
    const network = networkOf(plainAddress(address));
    this.#all.add(session);
    this.#handshakes.set(session, { network, since: performance.now() });
    this.#perNetwork.set(network, (this.#perNetwork.get(network) ?? 0) + 1);
    this.#mostHandshakes = Math.max(this.#mostHandshakes, this.#handshakes.size);
  }

  proven(session: Session): void {
    this.#handshakeOver(session);
    this.#pace.proven();
  }

  forget(session: Session): void {
    this.#all.delete(session);
    this.#handshakeOver(session);
  }

  #busy(): TurnedAway {
    this.#quotas.refusals.add('maxHandshakes');
    const seconds = this.#pace.sentAway();
    return full(
      `this relay has ${this.#limits.maxHandshakes} handshakes under way (maxHandshakes)`,
      seconds * 1000,
    );
  }

  /** Ends the oldest handshake that `match` accepts; whether there was one. */
  #evict(match: (handshake: Handshake) => boolean): boolean {
    for (const [session, handshake] of this.#handshakes) {
      if (!match(handshake)) continue;
      this.forget(session);
      session.terminate();
      return true;
    }
    return false;
  }

  #handshakeOver(session: Session): void {
    const handshake = this.#handshakes.get(session);
    if (!handshake) return;
    this.#handshakes.delete(session);
    const left = (this.#perNetwork.get(handshake.network) ?? 0) - 1;
    if (left > 0) this.#perNetwork.set(handshake.network, left);
    else this.#perNetwork.delete(handshake.network);
  }
}

function isLate({ since }: Handshake): boolean {
  return performance.now() - since > LIMITS.handshakeShareMs;
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
