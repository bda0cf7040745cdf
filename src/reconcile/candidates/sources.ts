import type { UrlRelay } from '../../agent/spec.js';
import type { CandidatesSpec } from '../../config/desired.js';
import type { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { endpointOf, type ProxyFor } from '../endpoint.js';
import type { Candidate } from './candidate.js';
import { Discovery } from './discovery.js';
import { Registry } from './registry.js';

export interface SourcesOptions {
  /** Where copies of registries are kept over restarts. */
  readonly cacheDir?: string;
  readonly proxyFor?: ProxyFor;
  /** What they tell of, or what is wrong with them, is something else now. */
  readonly onChange: () => void;
  /** Something that a person should know. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly paces: {
    readonly discoverMs: number;
    readonly registry: NonNullable<ConstructorParameters<typeof Registry>[0]['paces']>;
  };
}

export const MAX_REGISTRY_BYTES = 1024 * 1024;

/** Where candidates come from: a registry, and relays that tell of others. */
export class Sources {
  readonly #options: SourcesOptions;
  readonly #discovery: Discovery;
  #spec: CandidatesSpec | undefined;
  #registry: Registry | undefined;
  #loaded: Promise<void> = Promise.resolve();
  #told: string | undefined;
  /** Registries that are not wanted any more. */
  #closing: Promise<unknown> = Promise.resolve();

  constructor(options: SourcesOptions) {
    this.#options = options;
    this.#discovery = new Discovery({ ...options, everyMs: options.paces.discoverMs });
  }

  /** Takes over where candidates are to come from; undefined: from nowhere. Tells whether the list is another. */
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

  /** Resolves once the list that is followed now was read, or could not be. */
  get loaded(): Promise<void> {
    return this.#loaded;
  }

  /** @param roots the relays that are named by the configuration, and may tell of others */
  relays(roots: readonly string[]): { relay: UrlRelay; source: Candidate['source'] }[] {
    const listed = this.#registry?.relays ?? [];
    const told = this.#discovery.from([...roots, ...listed.map(({ url }) => url)]);
    return [
      ...listed.map((relay) => ({ relay: this.#withCa(relay), source: 'registry' as const })),
      ...told.map((relay) => ({ relay: this.#withCa(relay), source: 'discovered' as const })),
    ];
  }

  /** Asks those of the connected relays whose turn it is for relays that they know. */
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
        this.#tellRegistry();
        onChange();
      },
      log,
      paces: paces.registry,
    });
  }

  /** A relay that the file names elsewhere has the CA it has there. */
  #withCa(relay: UrlRelay): UrlRelay {
    const caFile = relay.caFile ?? this.#spec?.caFiles[relay.url];
    return { ...relay, ...(caFile !== undefined && { caFile }) };
  }

  /** What is wrong is told once. */
  #tellRegistry(): void {
    const error = this.#registry?.error;
    if (error && error.code !== this.#told) {
      const meanwhile = this.#registry!.relays.length > 0 ? '; its last good copy counts' : '';
      this.#options.warn(`${error.message}${meanwhile}`);
    }
    this.#told = error?.code;
  }
}
