import { asPortalError } from '../../lib/errors.js';
import { silent, type Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import type { DenyList } from '../protection/access-lists.js';
import type { KeyPair } from '../public-port/http-surface.js';
import type { LabelList } from '../names/labels.js';
import { startRelay, type Relay, type RelayOptions } from '../relay.js';
import type { Cluster } from './nodes.js';

/** A node of a relay, as long as the others count it as running. */
export interface JoinedNode {
  readonly cluster: Cluster;
  /** Calls `listener` once, when this node must end its sessions. */
  onExpired(listener: () => void): void;
  /** Call when a relay serves it. */
  started(): void;
  /** Ends it, after its relay or without one. */
  close(): Promise<void>;
}

export type Join = (options: RelayOptions) => Promise<JoinedNode>;

/** The first and the longest pause before another attempt to join. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 5_000;

/** Starts a relay as a node. If the node expires, it ends all sessions at once, joins again under a new name, and starts again. */
export async function startRejoiningRelay(options: RelayOptions, join: Join): Promise<Relay> {
  const first = await startNode(options, join);
  return new RejoiningRelay(options, join, first);
}

interface Node {
  readonly relay: Relay;
  readonly joined: JoinedNode;
}

async function startNode(options: RelayOptions, join: Join): Promise<Node> {
  const joined = await join(options);
  try {
    const relay = await startRelay({ ...options, cluster: joined.cluster });
    joined.started();
    return { joined, relay };
  } catch (error) {
    await joined.close();
    throw error;
  }
}

async function closeNode({ relay, joined }: Node, options?: { drainMs?: number }): Promise<void> {
  await relay.close(options);
  await joined.close();
}

class RejoiningRelay implements Relay {
  readonly #join: Join;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  /** With the latest lists and certificate. */
  #options: RelayOptions;
  #node: Node;
  /** Runs while this process is no node. */
  #rejoining: Promise<void> | undefined;
  #expirations = 0;

  constructor(options: RelayOptions, join: Join, first: Node) {
    this.#join = join;
    this.#log = options.log ?? silent;
    // The same port again, if any was allowed.
    this.#options = { ...options, port: first.relay.port };
    this.#node = first;
    this.#watch(first);
  }

  get url(): string {
    return this.#relay.url;
  }

  get domain(): string {
    return this.#relay.domain;
  }

  get port(): number {
    return this.#relay.port;
  }

  get addresses(): Relay['addresses'] {
    return this.#relay.addresses;
  }

  get httpRedirect(): Relay['httpRedirect'] {
    return this.#relay.httpRedirect;
  }

  get publicPort(): number {
    return this.#relay.publicPort;
  }

  get address(): string {
    return this.#relay.address;
  }

  get descriptor(): Relay['descriptor'] {
    return this.#relay.descriptor;
  }

  counts(): ReturnType<Relay['counts']> {
    return this.#relay.counts();
  }

  stats(): ReturnType<Relay['stats']> {
    return { ...this.#relay.stats(), expirations: this.#expirations };
  }

  problem(): string | undefined {
    return this.#rejoining ? 'this node left its relay, and joins it again' : this.#relay.problem();
  }

  degraded(): string | undefined {
    return this.#relay.degraded();
  }

  deny(deny: DenyList): void {
    this.#options = { ...this.#options, deny };
    this.#relay.deny(deny);
  }

  allow(allow: DenyList): void {
    this.#options = { ...this.#options, allow };
    this.#relay.allow(allow);
  }

  reserveLabels(reservedLabels: LabelList): void {
    this.#options = { ...this.#options, reservedLabels };
    this.#relay.reserveLabels(reservedLabels);
  }

  serveCertificate(tls: KeyPair): void {
    this.#options = { ...this.#options, tls };
    this.#relay.serveCertificate(tls);
  }

  async close(options?: { drainMs?: number }): Promise<void> {
    this.#closing.abort();
    await this.#rejoining;
    await closeNode(this.#node, options);
  }

  get #relay(): Relay {
    return this.#node.relay;
  }

  #watch({ joined, relay }: Node): void {
    joined.onExpired(() => {
      if (this.#closing.signal.aborted) return;
      this.#expirations++;
      // Ends every session before another visitor can arrive.
      const closed = closeNode({ relay, joined });
      this.#rejoining = this.#rejoin(closed).finally(() => (this.#rejoining = undefined));
    });
  }

  async #rejoin(closed: Promise<void>): Promise<void> {
    await closed.catch((error: unknown) => this.#log.error({ err: error }, 'cannot close the former node'));
    for (
      let pauseMs = RETRY_MS;
      !this.#closing.signal.aborted;
      pauseMs = Math.min(pauseMs * 2, MAX_RETRY_MS)
    ) {
      try {
        const node = await startNode(this.#options, this.#join);
        this.#node = node;
        this.#log.info({ node: node.joined.cluster.directory.node }, 'joined the relay again');
        // It may have expired while it was starting: then this starts again.
        setImmediate(() => this.#watch(node));
        return;
      } catch (error) {
        this.#log.warn({ err: asPortalError(error) }, 'cannot join the relay again yet');
        await delay(pauseMs, this.#closing.signal).catch(() => undefined);
      }
    }
  }
}
