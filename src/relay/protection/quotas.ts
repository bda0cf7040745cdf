import { clientOf, plainAddress } from '../../net/client-address.js';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PortalError } from '../../lib/errors.js';
import { FairPlaces } from '../../lib/fair-places.js';
import { Tally } from '../../lib/tally.js';
import { ByteRate } from '../../net/rate.js';
import { networkOf } from '../../net/cidr.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { LimitName, RelayLimits } from '../limits.js';

/** What each identity and address uses of the relay, and what the relay rejected because of a limit. */

/** How often each limit rejected something. */
export type Refusals = Tally<LimitName>;

/** Counts per key. A key gets at most `max`; 0: unlimited. */
class Shares {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  take(key: string): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (this.#max > 0 && count >= this.#max) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  give(key: string): void {
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }
}

/** What quotas need from a session. */
export interface QuotaSession {
  readonly address: string;
  readonly instance: string;
}

const RETRY_MS = 30_000;

export class Quotas {
  readonly refusals: Refusals = new Tally();
  readonly #limits: RelayLimits;
  readonly #connections: Shares;
  readonly #channels: Shares;
  readonly #leases: Shares;
  /** The visitors' places of each identity, by network of the visitor. */
  readonly #visitors = new Map<string, FairPlaces<Socket>>();
  readonly #hops: Shares;
  readonly #ports: { readonly identity: Shares; readonly network: Shares };
  readonly #sessions = new Map<string, Set<QuotaSession>>();
  readonly #rates = new Map<string, ByteRate>();
  /** Counted connections, and the network that each counts for. */
  readonly #counted = new WeakMap<Duplex, string>();

  constructor(limits: RelayLimits) {
    this.#limits = limits;
    this.#connections = new Shares(limits.maxConnectionsPerAddress);
    this.#channels = new Shares(limits.maxSessionsPerAddress);
    this.#leases = new Shares(limits.maxLeasesPerIdentity);
    this.#hops = new Shares(limits.maxHopConnectionsPerIdentity);
    this.#ports = {
      identity: new Shares(limits.maxPortsPerIdentity),
      network: new Shares(limits.maxPortsPerAddress),
    };
  }

  /** Counts a connection to a public port; false if its address has too many. */
  connection(socket: Duplex, address: string | undefined): boolean {
    const network = networkOf(plainAddress(address));
    if (!this.#connections.take(network)) return this.#refuse('maxConnectionsPerAddress');
    this.#counted.set(socket, network);
    socket.once('close', () => this.trusted(socket));
    return true;
  }

  /** Stops counting a connection that turned out to be an agent's with a ticket: its visitor counts already. */
  trusted(socket: Duplex): void {
    const network = this.#counted.get(socket);
    if (network === undefined) return;
    this.#counted.delete(socket);
    this.#connections.give(network);
  }

  /** Counts a control channel until `socket` closes; false if its address has too many. */
  channel(socket: Duplex, address: string | undefined): boolean {
    const network = networkOf(plainAddress(address));
    if (!this.#channels.take(network)) return this.#refuse('maxSessionsPerAddress');
    socket.once('close', () => this.#channels.give(network));
    return true;
  }

  /** Counts a session whose identity is proven. Throws `limit_exceeded`. */
  openSession(session: QuotaSession): void {
    const { maxSessionsPerIdentity: max } = this.#limits;
    const present = this.#sessions.get(session.address) ?? new Set();
    // An agent may reconnect before its last session times out: it counts once.
    const others = [...present].filter(({ instance }) => instance !== session.instance).length;
    if (max > 0 && others >= max) {
      this.refusals.add('maxSessionsPerIdentity');
      throw new PortalError(
        'limit_exceeded',
        `an identity may have ${max} sessions on this relay (maxSessionsPerIdentity); stop one of its agents, or use another identity`,
        { retryAfterMs: RETRY_MS },
      );
    }
    this.#sessions.set(session.address, present.add(session));
  }

  closeSession(session: QuotaSession): void {
    const present = this.#sessions.get(session.address);
    present?.delete(session);
    if (present?.size === 0) this.#sessions.delete(session.address);
  }

  /** Counts a lease of `identity`. Throws `limit_exceeded`. */
  openLease(identity: string): void {
    if (this.#leases.take(identity)) return;
    const { maxLeasesPerIdentity: max } = this.#limits;
    this.refusals.add('maxLeasesPerIdentity');
    throw new PortalError(
      'limit_exceeded',
      `an identity may have ${max} leases on this relay (maxLeasesPerIdentity); close others, or use another relay`,
    );
  }

  closeLease(identity: string): void {
    this.#leases.give(identity);
  }

  /** Counts a lease with a public port of `identity`, held from `network`. Throws `limit_exceeded`. */
  openPort(identity: string, network: string): void {
    if (!this.#ports.identity.take(identity)) throw this.#tooManyPorts('maxPortsPerIdentity', 'an identity');
    try {
      this.#takePort(network);
    } catch (error) {
      this.#ports.identity.give(identity);
      throw error;
    }
  }

  /** Moves such a lease to another network. Throws `limit_exceeded` and changes nothing then. */
  movePort(before: string, network: string): void {
    if (before === network) return;
    this.#takePort(network);
    this.#ports.network.give(before);
  }

  closePort(identity: string, network: string): void {
    this.#ports.identity.give(identity);
    this.#ports.network.give(network);
  }

  #takePort(network: string): void {
    if (!this.#ports.network.take(network)) throw this.#tooManyPorts('maxPortsPerAddress', 'an address');
  }

  #tooManyPorts(limit: 'maxPortsPerIdentity' | 'maxPortsPerAddress', holder: string): PortalError {
    this.refusals.add(limit);
    return new PortalError(
      'limit_exceeded',
      `${holder} may have ${this.#limits[limit]} public ports on this relay (${limit}); close other tcp or udp services, or use another relay`,
      { retryAfterMs: RETRY_MS },
    );
  }

  /**
   * Counts a visitor of `identity` until `socket` closes. At the limit, a visitor of the network with the most is
   * disconnected; false if that is this visitor.
   */
  visitor(identity: string, socket: Socket): boolean {
    const places = this.#visitors.get(identity) ?? this.#newPlaces();
    const place = places.enter(socket, networkOf(plainAddress(clientOf(socket).address)));
    if (!place) return this.#refuse('maxVisitorsPerIdentity');
    this.#visitors.set(identity, places);
    socket.once('close', () => {
      places.leave(place);
      if (places.size === 0 && this.#visitors.get(identity) === places) this.#visitors.delete(identity);
    });
    return true;
  }

  /** Counts a connection forwarded for `identity` until `socket` closes; false if there are too many. */
  hop(identity: string, socket: Duplex): boolean {
    if (!this.#hops.take(identity)) return this.#refuse('maxHopConnectionsPerIdentity');
    socket.once('close', () => this.#hops.give(identity));
    return true;
  }

  /** The rate that all visitors of `identity` share; undefined: unlimited. */
  rateOf(identity: string): ByteRate | undefined {
    const { maxBytesPerSecondPerIdentity: bytesPerSecond } = this.#limits;
    if (bytesPerSecond === 0) return undefined;
    let rate = this.#rates.get(identity);
    if (!rate) {
      this.#forgetRates();
      rate = new ByteRate(bytesPerSecond);
      this.#rates.set(identity, rate);
    }
    return rate;
  }

  #newPlaces(): FairPlaces<Socket> {
    return new FairPlaces({
      max: this.#limits.maxVisitorsPerIdentity,
      drop: (socket) => {
        this.refusals.add('maxVisitorsPerIdentity');
        resetSocket(socket);
      },
    });
  }

  #refuse(limit: LimitName): false {
    this.refusals.add(limit);
    return false;
  }

  /** Forgets rates of disconnected identities, but not while they owe bytes: reconnecting must not cancel the debt. */
  #forgetRates(): void {
    for (const [identity, rate] of this.#rates)
      if (rate.isIdle && !this.#leases.has(identity)) this.#rates.delete(identity);
  }
}
