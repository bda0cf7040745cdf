import type { Socket } from 'node:net';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import type { Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import { dial, secure, tlsNameOf } from '../../net/dial.js';
import { fetchOnce, type Fetched } from '../../net/http/get.js';
import { systemResolver, type Family, type Resolver } from '../../net/resolve.js';
import { descriptorFrom, type SignedDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS } from '../../protocol/limits.js';
import type { RelayLimits } from '../limits.js';
import { dialHop } from './dial.js';
import type { Store } from '../store/store.js';

/** Another relay that this relay may forward to, as configured by the operator. */
export interface PeerSpec {
  readonly url: string;
  /** PEM of the CA to trust for the peer. Default: the system's CAs. */
  readonly ca?: string;
}

export interface PeersOptions {
  readonly peers: readonly PeerSpec[];
  /** URLs of peers whose key may have changed: forgets their known keys. */
  readonly trustAnew: readonly string[];
  readonly store: Pick<Store, 'peerKey' | 'rememberPeer'>;
  readonly limits: Pick<RelayLimits, 'peerRefreshMs' | 'peerRetryMs'>;
  readonly log: Logger;
}

/** Minimum pause between requests to a peer that agents want to reach. */
const WANTED_MS = 1_000;

/** One peer: its descriptor, and whether to trust it. */
export class Peer {
  readonly url: string;
  /** `host:port` as a `CONNECT` names it, always with the port. */
  readonly authority: string;
  readonly host: string;
  readonly port: number;
  readonly ca: string | undefined;
  /** Whether an agent wanted to reach the peer since its last response or failure. */
  #isWanted = false;
  /** Ends the pause before the next request. */
  #wake: (() => void) | undefined;
  /** Its addresses from the last DNS answer. */
  readonly #addresses = new Map<Family, readonly string[]>();
  #descriptor: SignedDescriptor | undefined;
  #problem: PortalError | undefined;

  constructor({ url, ca }: PeerSpec) {
    const { origin, hostname, port } = new URL(url);
    this.url = origin;
    this.host = hostname.replace(/^\[|\]$/g, '');
    this.port = Number(port || 443);
    this.authority = `${hostname}:${this.port}`;
    this.ca = ca;
  }

  /** Its last descriptor, until that expires. */
  get descriptor(): SignedDescriptor | undefined {
    const holds = this.#descriptor && Date.parse(this.#descriptor.expiresAt) > Date.now();
    return holds ? this.#descriptor : undefined;
  }

  /** Why this relay does not forward to the peer, or why the last request failed. */
  get problem(): PortalError | undefined {
    return this.#problem;
  }

  accept(descriptor: SignedDescriptor): void {
    this.#descriptor = descriptor;
    this.#problem = undefined;
  }

  /** Resolves the peer's name and remembers the addresses. */
  readonly resolver: Resolver = {
    first: systemResolver.first,
    resolve: (name, resolved) =>
      systemResolver.resolve(name, (family, addresses, error) => {
        if (addresses.length > 0) this.#addresses.set(family, addresses);
        resolved(family, addresses, error);
      }),
  };

  /**
   * Connects to one of the known addresses, so that existing chains survive a failure of DNS. Resolves the name again if none
   * of them responds.
   */
  async connect(): Promise<Socket> {
    const known = [...this.#addresses];
    if (known.length === 0) return dialHop(this.host, this.port, this.resolver);
    try {
      return await dialHop(this.host, this.port, {
        first: systemResolver.first,
        resolve: (_name, resolved) => {
          for (const family of [6, 4] as const) resolved(family, this.#addresses.get(family) ?? []);
        },
      });
    } catch (error) {
      this.#addresses.clear();
      return dialHop(this.host, this.port, this.resolver).catch(() => {
        for (const [family, addresses] of known)
          if (!this.#addresses.has(family)) this.#addresses.set(family, addresses);
        throw error;
      });
    }
  }

  /** Call when a request failed. The last descriptor stays valid until it expires. */
  missed(problem: PortalError): void {
    this.#problem = problem;
  }

  /** Ends the current pause, or the next one if a request is running. */
  want(): void {
    this.#isWanted = true;
    this.#wake?.();
  }

  /** Resolves after `ms`, or after `leastMs` if an agent wants to reach the peer. Never resolves once `signal` aborts. */
  async pause(ms: number, leastMs: number, signal: AbortSignal): Promise<void> {
    await delay(Math.min(leastMs, ms), signal).catch(() => undefined);
    if (!this.#isWanted) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await delay(Math.max(0, ms - leastMs), AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      this.#wake = undefined;
    }
    this.#isWanted = false;
  }

  /** Call when the peer's response cannot be trusted: stops forwarding to it. */
  distrust(problem: PortalError): void {
    this.#descriptor = undefined;
    this.#problem = problem;
  }
}

/** Owns what this relay knows about its peers: fetches each descriptor periodically, and remembers the keys. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #stop = new AbortController();

  constructor(options: PeersOptions) {
    this.#options = options;
    for (const spec of options.peers) {
      const peer = new Peer(spec);
      this.#peers.set(peer.authority, peer);
    }
    if (this.#peers.size > LIMITS.maxPeers)
      throw new PortalError('usage', `a relay has at most ${LIMITS.maxPeers} peers`);
  }

  get size(): number {
    return this.#peers.size;
  }

  /** Starts fetching. `url` is this relay's own. */
  start(url: string): void {
    for (const [authority, peer] of this.#peers) {
      if (peer.url !== url) void this.#follow(peer);
      else {
        this.#peers.delete(authority);
        this.#options.log.warn({ peer: url }, 'ignoring this relay in its own list of peers');
      }
    }
  }

  /** The peer with exactly this `authority`. */
  find(authority: string): Peer | undefined {
    return this.#peers.get(authority);
  }

  /** Call when an agent wants to reach a peer without a descriptor: fetches it soon, but not once per agent. */
  wanted(peer: Peer): void {
    peer.want();
  }

  /** Valid descriptors of the peers. */
  descriptors(): SignedDescriptor[] {
    return [...this.#peers.values()].flatMap(({ descriptor }) => descriptor ?? []);
  }

  close(): void {
    this.#stop.abort();
  }

  async #follow(peer: Peer): Promise<void> {
    const { signal } = this.#stop;
    const { limits, trustAnew } = this.#options;
    /** undefined: not read from the store yet; null: unknown. */
    let known: string | null | undefined = trustAnew.includes(peer.url) ? null : undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (known === undefined) known = (await this.#options.store.peerKey(peer.url)) ?? null;
        const descriptor = await fetchDescriptor(peer, signal);
        if (signal.aborted) return;
        checkKey(peer, descriptor, known);
        if (known === null) {
          await this.#options.store.rememberPeer(peer.url, descriptor.address);
          known = descriptor.address;
        }
        if (!peer.descriptor)
          this.#options.log.info({ peer: peer.url, identity: descriptor.address }, 'peer verified');
        peer.accept(descriptor);
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(peer, asPortalError(error, 'peer_unreachable'));
      }
      failures = peer.problem ? failures + 1 : 0;
      await peer.pause(pauseAfter(failures, limits), WANTED_MS, signal);
    }
  }

  #failed(peer: Peer, problem: PortalError): void {
    if (peer.problem?.code !== problem.code || peer.problem.message !== problem.message)
      this.#options.log.warn(
        { peer: peer.url, code: problem.code, reason: problem.message },
        'peer untrusted or unreachable',
      );
    if (problem.code === 'peer_unreachable' || problem.code === 'timeout') peer.missed(problem);
    else peer.distrust(problem);
  }
}

/**
 * Pause before the next request, after this many failures in a row. The first pauses are short, since relays that start
 * together miss each other by a moment.
 */
function pauseAfter(failures: number, { peerRefreshMs, peerRetryMs }: PeersOptions['limits']): number {
  const pauseMs =
    failures === 0 ? peerRefreshMs : Math.min(peerRetryMs, LIMITS.minPeerRetryMs * 2 ** (failures - 1));
  return pauseMs * (0.75 + Math.random() / 2);
}

function checkKey({ url }: Peer, { address }: SignedDescriptor, known: string | null): void {
  if (known !== null && known !== address)
    throw new PortalError('peer_key_changed', `${url} has the key ${address} now; its known key is ${known}`);
}

/** Fetches the descriptor of the relay at `url`. Throws `peer_unreachable`, `descriptor_invalid`, `version` or `expired`. */
async function fetchDescriptor(
  { url, host, port, ca, resolver }: Peer,
  signal: AbortSignal,
): Promise<SignedDescriptor> {
  let fetched: Fetched;
  try {
    fetched = await fetchOnce(url, {
      path: PATHS.relay,
      maxBytes: LIMITS.maxDescriptorBytes,
      ms: LIMITS.requestMs,
      signal,
      open: (ms) => dial({ host, port, ms, signal, resolver }),
      tls: (plain) => secure(plain, { ...tlsNameOf(host), ...(ca !== undefined && { ca }) }),
    });
    if (fetched.status !== 200) throw new Error(`the response has status ${fetched.status}`);
  } catch (error) {
    const reason = failureReason(error);
    throw new PortalError('peer_unreachable', `cannot fetch the descriptor of ${url}: ${reason}`, {
      cause: error,
    });
  }
  return descriptorFrom(fetched.text, url, new Date());
}
