import type { Duplex } from 'node:stream';
import { type ErrorCode, PortalError } from '../lib/errors.js';
import { networkOf } from '../net/cidr.js';
import { LIMITS } from '../protocol/limits.js';
import { RetryPace } from './retry-pace.js';
import { Crowd, placeFor } from './crowd.js';
import type { Work } from '../protocol/work.js';
import { HandshakeWork } from './handshake-work.js';
import type { RelayLimits } from './limits.js';
import { plainAddress } from './names.js';
import type { Quotas } from './quotas.js';
import type { Session } from './session.js';

/** Why a control channel is not let in now, as HTTP says it. */
export interface Rejection {
  readonly status: '429 Too Many Requests' | '503 Service Unavailable';
  readonly retryAfterSeconds: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Owns the sessions of a relay from `hello` on, and who may have one. After a restart every agent comes back at once: only so
 * many prove their identity at a time, and the relay asks the others to come back a little later, the later the more
 * there are. Clients that say hello and prove nothing keep no agent out: the network that has most handshakes makes
 * room for a network with fewer, and a handshake older than `handshakeShareMs` makes room for any. No network has more
 * than half of the places. Channels without a hello are connections like any other (`maxRequestConnections`).
 */
export class Sessions {
  readonly #limits: RelayLimits;
  readonly #quotas: Quotas;
  readonly #all = new Set<Session>();
  /** Those of them that have not proven an identity yet, oldest first. */
  readonly #handshakes = new Crowd<Session>();
  readonly #work: HandshakeWork;
  readonly #retryPace: RetryPace;
  #mostHandshakes = 0;

  constructor(limits: RelayLimits, quotas: Quotas) {
    this.#limits = limits;
    this.#quotas = quotas;
    this.#work = new HandshakeWork(limits.maxHandshakes);
    this.#retryPace = new RetryPace(limits.maxHandshakes);
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

  /** Whether one more channel may begin on `socket`; undefined: it may. A place for its handshake is free now, and not kept. */
  reject(socket: Duplex, address: string | undefined): Rejection | undefined {
    const { maxSessionsPerAddress } = this.#limits;
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
    if (this.#isFull && this.#handshakes.size === 0) return this.#full();
    const network = networkOf(plainAddress(address));
    return this.#placeFor(network) ? undefined : this.#busy(network);
  }

  /** What a client at `address` must do before the relay does anything for it; undefined: nothing. */
  demandWork(address: string | undefined): Work | undefined {
    return this.#work.demand(networkOf(plainAddress(address)));
  }

  /** The client of `session` has said hello, and done its work. Throws `relay_busy` where there is no place for its handshake. */
  enter(session: Session): void {
    const network = networkOf(plainAddress(session.remoteAddress));
    if (this.#isFull && !this.#evict(this.#handshakes.crowded())) throw errorOf(this.#full());
    const place = this.#placeFor(network);
    if (!place) throw errorOf(this.#busy(network));
    this.#evict(place.displaces);
    this.#all.add(session);
    this.#handshakes.add(session, network);
    this.#mostHandshakes = Math.max(this.#mostHandshakes, this.#handshakes.size);
  }

  proven(session: Session): void {
    this.#handshakes.delete(session);
    this.#retryPace.ended();
  }

  forget(session: Session): void {
    this.#all.delete(session);
    if (!this.#handshakes.delete(session)) return;
    this.#retryPace.ended();
    this.#work.failed(networkOf(plainAddress(session.remoteAddress)));
  }

  get #isFull(): boolean {
    return this.#all.size >= this.#limits.maxSessions;
  }

  /** Whether `network` may begin a handshake: there is room, or another handshake gives way. */
  #placeFor(network: string): { readonly displaces?: Session } | undefined {
    return placeFor(this.#handshakes, network, {
      max: this.#limits.maxHandshakes,
      isLate: ({ waitingSince = Infinity }) => performance.now() - waitingSince > LIMITS.handshakeShareMs,
    });
  }

  #full(): Rejection {
    const { maxSessions } = this.#limits;
    this.#quotas.refusals.add('maxSessions');
    return full(`this relay is full: it has ${maxSessions} sessions (maxSessions)`, LIMITS.maxComeBackMs);
  }

  #busy(network: string): Rejection {
    this.#quotas.refusals.add('maxHandshakes');
    const seconds = this.#retryPace.after(network);
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

const errorOf = ({ code, message, retryAfterSeconds }: Rejection): PortalError =>
  new PortalError(code, message, { retryAfterMs: retryAfterSeconds * 1000 });

function full(message: string, retryAfterMs: number): Rejection {
  return {
    status: '503 Service Unavailable',
    retryAfterSeconds: Math.ceil(retryAfterMs / 1000),
    code: 'relay_busy',
    message,
  };
}
