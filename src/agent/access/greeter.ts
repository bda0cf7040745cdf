import type { TLSSocket } from 'node:tls';
import type { Identity } from '../../identity/identity.js';
import { TokenBuckets } from '../../lib/token-bucket.js';
import { within } from '../../lib/wait.js';
import { networkOf } from '../../net/cidr.js';
import { endWith } from '../../net/splice/last-words.js';
import { NetworkTable, placeFor } from '../../net/network-table.js';
import { readLine } from '../../net/read-line.js';
import { resetSocket } from '../../net/splice/reset.js';
import { channelOf } from '../../protocol/channel.js';
import { agentLine, readClaim, replyLine, type Claim, type Denial } from '../../protocol/connect.js';
import { LIMITS } from '../../protocol/limits.js';
import type { Visitor } from './gate.js';

/** Failed handshakes of one network: as many at once, then one per second. Signing and checking take milliseconds. */
const FAILURES = { burst: 20, perSecond: 1, maxKeys: 10_000 };
/** How long a denied visitor may take to read the reason. */
const LINGER_MS = 1_000;

interface Handshake {
  readonly socket: TLSSocket;
  /** Monotonic milliseconds. */
  readonly at: number;
}

export interface GreeterOptions {
  readonly identity: Identity;
  /** Which gate rejects a visitor, if any. */
  readonly denies: (visitor: Visitor) => 'identity' | 'address' | undefined;
  /** Called for each visitor that a gate rejects or whose proof is invalid. */
  readonly onDenied: (denial: Denial, address: string) => void;
  /** Handshakes at once. Default: `LIMITS.maxConnecting`. */
  readonly max?: number;
}

/** How a visitor arrived. */
export interface Arrival {
  /** The address that the relay saw. */
  readonly address: string;
  /** The public name of the service. */
  readonly hostname: string;
}

/** The agent's side of private access: proves the agent's identity to a visitor, then checks the visitor's. */
export class Greeter {
  readonly #options: GreeterOptions;
  readonly #handshakes = new NetworkTable<Handshake>();
  readonly #failures = new TokenBuckets(FAILURES);

  constructor(options: GreeterOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the visitor, which waits for `replyLine()`. Resolves with undefined after it has ended `socket`: a visitor
   * that is denied, one that only asks, and one that says something else or nothing in time.
   */
  async greet(
    socket: TLSSocket,
    { address, hostname }: Arrival,
    signal: AbortSignal,
  ): Promise<Required<Visitor> | undefined> {
    const network = networkOf(address);
    // A network that has to wait displaces no other.
    const handshake = this.#failures.waitMs(network) > 0 ? undefined : this.#enter(socket, network);
    try {
      const isBusy = handshake === undefined;
      const answer = isBusy ? 'busy' : await this.#ask(socket, { address, hostname }, signal);
      if (typeof answer !== 'string') {
        if (answer.purpose === 'connect') return { address, identity: answer.address };
        endWith(socket, `${replyLine()}\n`, LINGER_MS);
      } else {
        if (!isBusy) this.#failed(answer, address, network);
        endWith(socket, `${replyLine(answer)}\n`, LINGER_MS);
      }
    } catch {
      this.#failures.take(network);
      resetSocket(socket);
    } finally {
      if (handshake) this.#handshakes.delete(handshake);
    }
    return undefined;
  }

  /** Undefined if there is no place. A range of networks cannot use all places, nor can slow visitors. */
  #enter(socket: TLSSocket, network: string): Handshake | undefined {
    const now = performance.now();
    const place = placeFor(this.#handshakes, network, {
      max: this.#options.max ?? LIMITS.maxConnecting,
      isLate: ({ at }) => now - at > LIMITS.handshakeShareMs,
    });
    if (!place) return undefined;
    if (place.displaces) {
      this.#handshakes.delete(place.displaces);
      resetSocket(place.displaces.socket);
    }
    const handshake = { socket, at: now };
    this.#handshakes.add(handshake, network);
    return handshake;
  }

  /** The proven claim, or why the visitor is denied. */
  async #ask(
    socket: TLSSocket,
    { address, hostname }: Arrival,
    signal: AbortSignal,
  ): Promise<Claim | Denial> {
    const { identity, denies } = this.#options;
    if (denies({ address }) === 'address') return 'address';
    const channel = channelOf(socket);
    // `portal connect` speaks TLS 1.3, so something on the path has ended its session.
    if (channel === undefined) return 'proof';
    const at = { hostname, channel, agent: identity.address };
    const line = readLine(socket, LIMITS.maxConnectLineBytes);
    socket.write(`${agentLine(identity, at)}\n`);
    const claim = readClaim(await within(line, LIMITS.connectMs, 'the proof of a visitor', signal));
    // First the list: checking a signature is expensive.
    return denies({ address, identity: claim.address }) ?? (claim.isProven(at) ? claim : 'proof');
  }

  #failed(denial: Denial, address: string, network: string): void {
    this.#failures.take(network);
    this.#options.onDenied(denial, address);
  }
}
