import type { Socket } from 'node:net';
import { asPortalError, PortalError, systemCode } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { delay } from '../lib/wait.js';
import { dial, secure, tlsNameOf } from '../net/dial.js';
import { fetchOnce, type Fetched } from '../net/get.js';
import { systemResolver, type Family, type Resolver } from '../net/resolve.js';
import { descriptorFrom, type SignedDescriptor } from '../protocol/descriptor.js';
import { LIMITS, PATHS } from '../protocol/limits.js';
import type { RelayLimits } from './limits.js';
import { openOnward } from './onward.js';
import type { Store } from './store.js';

/** Another relay that this one passes connections on to, as its operator names it. */
export interface PeerSpec {
  readonly url: string;
  /** PEM of the CA to trust for it, in place of the system's. */
  readonly ca?: string;
}

export interface PeersOptions {
  readonly peers: readonly PeerSpec[];
  /** URLs of those whose key may be another now: what was remembered of it is forgotten. */
  readonly trustAnew: readonly string[];
  readonly store: Pick<Store, 'peerKey' | 'rememberPeer'>;
  readonly limits: Pick<RelayLimits, 'peerRefreshMs' | 'peerRetryMs'>;
  readonly log: Logger;
}

/** A peer that is wanted is asked no more often than this. */
const WANTED_MS = 1_000;

/** One peer: what it says of itself, and whether that is to be believed. */
export class Peer {
  readonly url: string;
  /** As a `CONNECT` names it; the port is always there. */
  readonly authority: string;
  readonly host: string;
  readonly port: number;
  readonly ca: string | undefined;
  /** An agent wants to go there since the last answer, or failure. */
  #isWanted = false;
  /** Ends the pause before it is asked again. */
  #wake: (() => void) | undefined;
  /** Its addresses, as the resolver had them last. */
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

  /** What it said of itself last, while that holds. */
  get descriptor(): SignedDescriptor | undefined {
    const holds = this.#descriptor && Date.parse(this.#descriptor.expiresAt) > Date.now();
    return holds ? this.#descriptor : undefined;
  }

  /** Why nothing is passed on to it, or why it could not be asked lately. */
  get problem(): PortalError | undefined {
    return this.#problem;
  }

  accept(descriptor: SignedDescriptor): void {
    this.#descriptor = descriptor;
    this.#problem = undefined;
  }

  /** Looks its name up, and remembers the addresses. */
  readonly resolver: Resolver = {
    first: systemResolver.first,
    resolve: (name, resolved) =>
      systemResolver.resolve(name, (family, addresses, error) => {
        if (addresses.length > 0) this.#addresses.set(family, addresses);
        resolved(family, addresses, error);
      }),
  };

  /**
   * A connection to one of the addresses that are known: its name is not looked up each time, so that chains which stand
   * outlive DNS. When nobody answers there, the name is looked up.
   */
  async connect(): Promise<Socket> {
    const known = [...this.#addresses];
    if (known.length === 0) return openOnward(this.host, this.port, this.resolver);
    try {
      return await openOnward(this.host, this.port, {
        first: systemResolver.first,
        resolve: (_name, resolved) => {
          for (const family of [6, 4] as const) resolved(family, this.#addresses.get(family) ?? []);
        },
      });
    } catch (error) {
      this.#addresses.clear();
      return openOnward(this.host, this.port, this.resolver).catch(() => {
        for (const [family, addresses] of known)
          if (!this.#addresses.has(family)) this.#addresses.set(family, addresses);
        throw error;
      });
    }
  }

  /** It could not be asked; what it said before holds as long as it said. */
  missed(problem: PortalError): void {
    this.#problem = problem;
  }

  /** Ends the present pause before the next question, or the next pause where the question is under way. */
  want(): void {
    this.#isWanted = true;
    this.#wake?.();
  }

  /** Resolves after `ms`, or after `leastMs` where an agent wants to go there; never after `signal`. */
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

  /** What it says is not to be believed: nothing is passed on from now on. */
  distrust(problem: PortalError): void {
    this.#descriptor = undefined;
    this.#problem = problem;
  }
}

/** Owns what this relay knows of its peers: asks each for its descriptor now and then, and remembers its key. */
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

  /** Begins to ask them. `url` is this relay's own. */
  start(url: string): void {
    for (const [authority, peer] of this.#peers) {
      if (peer.url !== url) void this.#follow(peer);
      else {
        this.#peers.delete(authority);
        this.#options.log.warn({ peer: url }, 'a relay is no peer of itself');
      }
    }
  }

  /** The peer that `authority` names, letter by letter. */
  find(authority: string): Peer | undefined {
    return this.#peers.get(authority);
  }

  /** Somebody wants to go to one that could not be asked: it is asked now, but not for each who wants. */
  wanted(peer: Peer): void {
    peer.want();
  }

  /** Descriptors of those that are what they say. */
  descriptors(): SignedDescriptor[] {
    return [...this.#peers.values()].flatMap(({ descriptor }) => descriptor ?? []);
  }

  close(): void {
    this.#stop.abort();
  }

  async #follow(peer: Peer): Promise<void> {
    const { signal } = this.#stop;
    const { limits, trustAnew } = this.#options;
    let known = trustAnew.includes(peer.url) ? undefined : this.#options.store.peerKey(peer.url);
    let failures = 0;
    while (!signal.aborted) {
      try {
        const descriptor = await fetchDescriptor(peer, signal);
        if (signal.aborted) return;
        checkKey(peer, descriptor, known);
        if (known === undefined) {
          await this.#options.store.rememberPeer(peer.url, descriptor.address);
          known = descriptor.address;
        }
        if (!peer.descriptor)
          this.#options.log.info({ peer: peer.url, identity: descriptor.address }, 'peer known');
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
      this.#options.log.warn({ peer: peer.url, code: problem.code, reason: problem.message }, 'peer refused');
    if (problem.code === 'peer_unreachable' || problem.code === 'timeout') peer.missed(problem);
    else peer.distrust(problem);
  }
}

/**
 * Before the next question, after so many failures in a row. Relays that are started together miss each other by a
 * moment: the first pauses are short.
 */
function pauseAfter(failures: number, { peerRefreshMs, peerRetryMs }: PeersOptions['limits']): number {
  const pauseMs =
    failures === 0 ? peerRefreshMs : Math.min(peerRetryMs, LIMITS.minPeerRetryMs * 2 ** (failures - 1));
  return pauseMs * (0.75 + Math.random() / 2);
}

function checkKey({ url }: Peer, { address }: SignedDescriptor, known: string | undefined): void {
  if (known !== undefined && known !== address)
    throw new PortalError('peer_key_changed', `${url} has the key ${address} now, and had ${known}`);
}

/** What the relay at `url` says of itself. Throws `peer_unreachable`, `descriptor_invalid`, `version` or `expired`. */
async function fetchDescriptor(
  { url, host, port, ca, resolver }: Peer,
  signal: AbortSignal,
): Promise<SignedDescriptor> {
  let answer: Fetched;
  try {
    answer = await fetchOnce(url, {
      path: PATHS.relay,
      maxBytes: LIMITS.maxDescriptorBytes,
      ms: LIMITS.requestMs,
      signal,
      open: (ms) => dial({ host, port, ms, signal, resolver }),
      tls: (plain) => secure(plain, { ...tlsNameOf(host), ...(ca !== undefined && { ca }) }),
    });
    if (answer.status !== 200) throw new Error(`it answered ${answer.status}`);
  } catch (error) {
    const reason = systemCode(error) ?? asPortalError(error).message;
    throw new PortalError('peer_unreachable', `${url} cannot be asked: ${reason}`, { cause: error });
  }
  return descriptorFrom(answer.text, url, new Date());
}
