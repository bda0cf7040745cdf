import { readFile } from 'node:fs/promises';
import pRetry from 'p-retry';
import type { RelayEndpoint } from '../agent/control.js';
import type { AgentLease } from '../agent/lease.js';
import { RelaySession, type SessionOptions } from '../agent/session.js';
import { relayKey, type RelaySpec } from '../agent/spec.js';
import type { RelayStatus } from '../agent/status.js';
import { asPortalError, PortalError } from '../lib/errors.js';

/** A relay running in this process; started by the CLI, because agent and relay never import each other. */
export interface EmbeddedRelay {
  readonly url: string;
  /** Path of the CA file that its certificate chains to. */
  readonly caFile: string;
  close(): Promise<void>;
}

export interface RelayPoolOptions extends Omit<SessionOptions, 'endpoint'> {
  readonly startEmbedded: (port: number) => Promise<EmbeddedRelay>;
}

const RETRY = { minTimeout: 500, maxTimeout: 10_000, factor: 2, randomize: true } as const;

/** One relay in use: its session once it is reachable at all, and the leases that want it. */
class PooledRelay {
  readonly #spec: RelaySpec;
  readonly #options: RelayPoolOptions;
  readonly #stop = new AbortController();
  readonly #leases = new Set<AgentLease>();
  readonly #since = new Date();
  #session: RelaySession | undefined;
  #embedded: EmbeddedRelay | undefined;
  #error: PortalError | undefined;
  readonly #started: Promise<void>;

  constructor(spec: RelaySpec, options: RelayPoolOptions) {
    this.#spec = spec;
    this.#options = options;
    this.#started = this.#start();
  }

  get url(): string | undefined {
    return this.#spec.kind === 'url' ? this.#spec.url : this.#embedded?.url;
  }

  /** Leases that want it, draining ones included. */
  get inUse(): boolean {
    return this.#leases.size > 0;
  }

  add(lease: AgentLease): void {
    this.#leases.add(lease);
    if (this.#session) this.#session.add(lease);
    else if (this.#error) lease.detach(this.#error);
  }

  remove(lease: AgentLease): void {
    this.#leases.delete(lease);
    this.#session?.remove(lease);
  }

  async check(): Promise<void> {
    await this.#session?.check();
  }

  status(): RelayStatus {
    if (this.#session) return this.#session.status();
    return {
      relay: this.url ?? relayKey(this.#spec),
      state: this.#error ? 'retrying' : 'connecting',
      since: this.#since.toISOString(),
      ...(this.#error && { error: { code: this.#error.code, message: this.#error.message } }),
    };
  }

  async close(): Promise<void> {
    this.#stop.abort(new PortalError('aborted', 'the relay is no longer wanted'));
    await this.#started;
    await this.#session?.close();
    await this.#embedded?.close();
  }

  /** A port that is taken or a CA file that is missing may come right by itself: tried until it is not wanted. */
  async #start(): Promise<void> {
    const { signal } = this.#stop;
    try {
      const endpoint = await pRetry(() => this.#endpoint(), {
        ...RETRY,
        retries: Infinity,
        signal,
        onFailedAttempt: ({ error }) => {
          this.#error = asPortalError(error);
          for (const lease of this.#leases) lease.detach(this.#error);
        },
      });
      this.#error = undefined;
      if (signal.aborted) return;
      this.#session = new RelaySession({ ...this.#options, endpoint });
      for (const lease of this.#leases) this.#session.add(lease);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #endpoint(): Promise<RelayEndpoint> {
    if (this.#spec.kind === 'url') {
      const { url, caFile } = this.#spec;
      return caFile === undefined ? { url } : { url, ca: await readCa(caFile) };
    }
    this.#embedded = await this.#options.startEmbedded(this.#spec.port);
    return { url: this.#embedded.url, ca: await readCa(this.#embedded.caFile) };
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new PortalError(
      'relay_untrusted',
      `the relay's CA file cannot be read: ${asPortalError(error).message}`,
      {
        cause: error,
        hint: 'Check the path after `ca:`; it is relative to the file that names it.',
      },
    );
  }
}

/** Owns the relays in use: each is started when first wanted, and closed once nothing wants it. */
export class RelayPool {
  readonly #options: RelayPoolOptions;
  readonly #relays = new Map<string, PooledRelay>();

  constructor(options: RelayPoolOptions) {
    this.#options = options;
  }

  /** The relay for `spec`, started if need be. */
  ensure(spec: RelaySpec): PooledRelay {
    const key = relayKey(spec);
    let relay = this.#relays.get(key);
    if (!relay) {
      relay = new PooledRelay(spec, this.#options);
      this.#relays.set(key, relay);
    }
    return relay;
  }

  /** Closes every relay that is neither in `wanted` nor in use. */
  async release(wanted: readonly RelaySpec[]): Promise<void> {
    const keep = new Set(wanted.map(relayKey));
    const leaving = [...this.#relays].filter(([key, relay]) => !keep.has(key) && !relay.inUse);
    for (const [key] of leaving) this.#relays.delete(key);
    await Promise.all(leaving.map(([, relay]) => relay.close()));
  }

  async check(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.check()));
  }

  status(): RelayStatus[] {
    return [...this.#relays.values()].map((relay) => relay.status());
  }
}
