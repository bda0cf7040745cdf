import type { Duplex } from 'node:stream';
import { type ErrorCode, PortalError } from '../../lib/errors.js';
import { networkOf } from '../../net/cidr.js';
import { plainAddress } from '../../net/client-address.js';
import { LIMITS } from '../../protocol/limits.js';
import { RetryPace } from './retry-pace.js';
import { NetworkTable, placeFor } from '../../net/network-table.js';
import type { Work } from '../../protocol/work.js';
import { HandshakeWork } from '../protection/handshake-work.js';
import type { RelayLimits } from '../limits.js';
import type { Quotas } from '../protection/quotas.js';
import type { Session } from './session.js';

/** Why the relay does not accept a control channel now, as an HTTP response. */
export interface Rejection {
  readonly status: '429 Too Many Requests' | '503 Service Unavailable';
  readonly retryAfterSeconds: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Owns the sessions of a relay, from `hello` on. After a restart all agents reconnect together, so the number of handshakes
 * is limited. The relay asks the other agents to retry later; the more agents wait, the later. Clients that send hello and
 * prove nothing cannot block agents. The network with the most handshakes makes room for a network with fewer, and a
 * handshake older than `handshakeShareMs` makes room for any network. No network has more than half of the places. A channel before
 * hello counts as an ordinary connection (`maxRequestConnections`).
 */
export class Sessions {
  readonly #limits: RelayLimits;
  readonly #quotas: Quotas;
  /** By id. */
  readonly #all = new Map<string, Session>();
  /** Sessions that have not proven an identity yet, oldest first. */
  readonly #handshakes = new NetworkTable<Session>();
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

  /** The highest number of handshakes so far. */
  get mostHandshakes(): number {
    return this.#mostHandshakes;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#all.values();
  }

  find(id: string): Session | undefined {
    return this.#all.get(id);
  }

  /** Why `socket` cannot open a control channel now; undefined if it can. Reserves no place for the handshake. */
  reject(socket: Duplex, address: string | undefined): Rejection | undefined {
    const { maxSessionsPerAddress } = this.#limits;
    // First: a network at its limit must not evict another network's handshake.
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

  /** The proof of work that a client at `address` must do first; undefined if none. */
  demandWork(address: string | undefined): Work | undefined {
    return this.#work.demand(networkOf(plainAddress(address)));
  }

  /** Call at a valid hello. Throws `relay_busy` if there is no room for another handshake. */
  enter(session: Session): void {
    const network = networkOf(plainAddress(session.remoteAddress));
    if (this.#isFull && !this.#evict(this.#handshakes.crowded())) throw errorOf(this.#full());
    const place = this.#placeFor(network);
    if (!place) throw errorOf(this.#busy(network));
    this.#evict(place.displaces);
    this.#all.set(session.id, session);
    this.#handshakes.add(session, network);
    this.#mostHandshakes = Math.max(this.#mostHandshakes, this.#handshakes.size);
  }

  proven(session: Session): void {
    this.#handshakes.delete(session);
    this.#retryPace.ended();
  }

  forget(session: Session): void {
    this.#all.delete(session.id);
    if (!this.#handshakes.delete(session)) return;
    this.#retryPace.ended();
    this.#work.failed(networkOf(plainAddress(session.remoteAddress)));
  }

  get #isFull(): boolean {
    return this.#all.size >= this.#limits.maxSessions;
  }

  /** The place of a new handshake of `network`, and the handshake to evict for it; undefined if it gets no place. */
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
      `this relay has ${this.#limits.maxHandshakes} open handshakes (maxHandshakes)`,
      seconds * 1000,
    );
  }

  /** Ends the handshake of `session`; false if `session` is undefined. */
  #evict(session: Session | undefined): boolean {
    if (!session) return false;
    this.forget(session);
    session.evict();
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
