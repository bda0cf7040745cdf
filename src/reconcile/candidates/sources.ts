import type { UrlRelay } from '../../agent/spec.js';
import type { CandidatesSpec } from '../../config/desired.js';
import type { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { endpointOf, type ProxyFor } from '../relays/endpoint.js';
import type { Candidate } from './candidate.js';
import { Discovery } from './discovery.js';
import { Registry } from './registry.js';

export interface SourcesOptions {
  /** Where copies of registries are stored across restarts. */
  readonly cacheDir?: string;
  readonly proxyFor?: ProxyFor;
  /** The relays or the errors of the sources have changed. */
  readonly onChange: () => void;
  /** Reports a warning to the user. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly paces: {
    readonly discoverMs: number;
    readonly registry: NonNullable<ConstructorParameters<typeof Registry>[0]['paces']>;
  };
}

export const MAX_REGISTRY_BYTES = 1024 * 1024;

/** The sources of candidates: a registry, and relays that announce others. */
export class Sources {
  readonly #options: SourcesOptions;
  readonly #discovery: Discovery;
  #spec: CandidatesSpec | undefined;
  #registry: Registry | undefined;
  #loaded: Promise<void> = Promise.resolve();
  #told: string | undefined;
  /** Registries that are no longer used. */
  #closing: Promise<unknown> = Promise.resolve();

  constructor(options: SourcesOptions) {
    this.#options = options;
    this.#discovery = new Discovery({ ...options, everyMs: options.paces.discoverMs });
  }

  /** Adopts the sources of `spec`; undefined for none. Returns whether the list has changed. */
  follow(spec: CandidatesSpec | undefined): boolean {
    const source = spec?.registry;
    const isOther = source !== this.#spec?.registry;
    this.#spec = spec;
    if (!isOther) return false;
    this.#closing = Promise.all([this.#closing, this.#registry?.close()]);
    this.#told = undefined;
    this.#registry = source === undefined ? undefined : this.#open(source);
    this.#loaded = this.#registry?.loaded ?? Promise.resolve();
    return true;
  }

  /** Resolves once the current list was loaded or has failed. */
  get loaded(): Promise<void> {
    return this.#loaded;
  }

  /** @param roots relays named by the configuration, which may announce others */
  relays(roots: readonly string[]): { relay: UrlRelay; source: Candidate['source'] }[] {
    const listed = this.#registry?.relays ?? [];
    const announced = this.#discovery.from([...roots, ...listed.map(({ url }) => url)]);
    return [
      ...listed.map((relay) => ({ relay: this.#withCa(relay), source: 'registry' as const })),
      ...announced.map((relay) => ({ relay: this.#withCa(relay), source: 'discovered' as const })),
    ];
  }

  /** Queries the connected relays that are due for the relays that they know. */
  ask(connected: readonly UrlRelay[], now: number): void {
    this.#discovery.tick(connected, now);
  }

  registry(): (ReturnType<Registry['status']> & { error?: PortalError }) | undefined {
    if (!this.#registry) return undefined;
    const { error } = this.#registry;
    return { ...this.#registry.status(), ...(error && { error }) };
  }

  async close(): Promise<void> {
    this.follow(undefined);
    await this.#closing;
  }

  #open(source: string): Registry {
    const { cacheDir, log, proxyFor, paces, onChange } = this.#options;
    return new Registry({
      source,
      cacheDir,
      maxBytes: MAX_REGISTRY_BYTES,
      reach: (url) => endpointOf(this.#withCa({ kind: 'url', url }), proxyFor),
      onChange: () => {
        this.#warnOfRegistry();
        onChange();
      },
      log,
      paces: paces.registry,
    });
  }

  /** A relay that the file also names uses the CA from the file. */
  #withCa(relay: UrlRelay): UrlRelay {
    const caFile = relay.caFile ?? this.#spec?.caFiles[relay.url];
    return { ...relay, ...(caFile !== undefined && { caFile }) };
  }

  /** Warns about each error once. */
  #warnOfRegistry(): void {
    const error = this.#registry?.error;
    if (error && error.code !== this.#told) {
      const meanwhile = this.#registry!.relays.length > 0 ? '; using its last good copy' : '';
      this.#options.warn(`${error.message}${meanwhile}`);
    }
    this.#told = error?.code;
  }
}
