import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { readRelayList, type ListedRelay } from '../../agent/session/directory.js';
import { fetchFrom } from '../../agent/session/fetch.js';
import type { RelayEndpoint } from '../../agent/session/relay-endpoint.js';
import type { UrlRelay } from '../../agent/spec.js';
import { confineCaNamedBy, confinedPath } from '../../lib/confined.js';
import { asPortalError, cannotRead, PortalError, unreadableHint } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { deferred, delay } from '../../lib/wait.js';
import { copyOf, keepCopy, readCopy, type Copy } from './registry-copy.js';

export interface RegistryOptions {
  /** An https:// URL or a file path. */
  readonly source: string;
  /** Where the last valid copy is stored across restarts. Default: in memory only. */
  readonly cacheDir: string | undefined;
  /** Size limit of a list. */
  readonly maxBytes: number;
  readonly reach: (url: string) => Promise<RelayEndpoint>;
  /** The relays or the error have changed. */
  readonly onChange: () => void;
  readonly log: Logger;
  readonly paces?: Partial<typeof PACES>;
}

const PACES = {
  /** Interval between two requests to a URL. */
  refreshMs: 600_000,
  /** Interval after a failure, which grows with each further failure. */
  retryMs: 2_000,
  fetchMs: 10_000,
  /** If the response takes longer than this, the saved copy is used meanwhile. */
  useCopyAfterMs: 2_000,
  /** Interval for checking a file. */
  checkMs: 2_000,
};
const MAX_REDIRECTS = 3;

/** A relay list that is refreshed periodically. After a failure, the last valid copy stays in use. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #paces: typeof PACES;
  readonly #stop = new AbortController();
  #copy: Copy | undefined;
  /** The saved copy, until there is a current one. */
  #old: Copy | undefined;
  #using: Promise<void> | undefined;
  #seen: string | undefined;
  #seenAt = 0;
  #relays: readonly UrlRelay[] = [];
  #error: PortalError | undefined;
  #skipped: readonly string[] = [];
  /** Resolves with the first response, valid or not, or a saved copy. */
  readonly loaded: Promise<void>;
  /** Resolves after the first attempt, successful or not. */
  readonly asked: Promise<void>;
  readonly #done: Promise<void>;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#paces = { ...PACES, ...options.paces };
    const [loaded, asked] = [deferred<void>(), deferred<void>()];
    this.loaded = loaded.promise;
    this.asked = asked.promise;
    this.#done = this.#run(loaded.resolve, asked.resolve);
  }

  get relays(): readonly UrlRelay[] {
    return this.#relays;
  }

  /** The current error. */
  get error(): PortalError | undefined {
    return this.#error;
  }

  status(): { source: string; relays: number; fetchedAt?: string; skipped: readonly string[] } {
    const { fetchedAt } = this.#copy ?? {};
    return {
      source: this.#shown,
      relays: this.#relays.length,
      ...(fetchedAt !== undefined && { fetchedAt }),
      skipped: this.#skipped,
    };
  }

  async close(): Promise<void> {
    this.#stop.abort(new PortalError('aborted', 'the registry is no longer used'));
    await this.#done;
  }

  get #isFile(): boolean {
    return !/^https:/i.test(this.#options.source);
  }

  async #run(markLoaded: () => void, markAsked: () => void): Promise<void> {
    const { signal } = this.#stop;
    const { cacheDir, source, log } = this.#options;
    const { refreshMs, retryMs, checkMs, useCopyAfterMs } = this.#paces;
    this.#old = await readCopy(cacheDir, source, log);
    // The current list is better than the saved copy, so wait for it a little.
    const useOld = (): unknown => this.#useOld().then(() => this.#copy && markLoaded());
    const copyTimer = setTimeout(useOld, useCopyAfterMs);
    for (let failures = 0; !signal.aborted;) {
      try {
        await (this.#isFile ? this.#check() : this.#fetch());
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        await this.#useOld();
        this.#failed(asPortalError(error, 'registry_unreachable'));
      }
      clearTimeout(copyTimer);
      markLoaded();
      markAsked();
      const pauseMs = failures === 0 ? refreshMs : Math.min(refreshMs, retryMs * 2 ** (failures - 1));
      await delay(this.#isFile ? checkMs : pauseMs * (0.8 + Math.random() * 0.4), signal).catch(
        () => undefined,
      );
    }
    clearTimeout(copyTimer);
  }

  /** For messages: a query may contain a secret. */
  get #shown(): string {
    return this.#options.source.replace(/\?.*$/, '');
  }

  async #fetch(): Promise<void> {
    const { source, maxBytes } = this.#options;
    const known = this.#copy ?? this.#old;
    const until = performance.now() + this.#paces.fetchMs;
    let url = new URL(source);
    for (let redirects = 0; ; redirects++) {
      const response = await fetchFrom(await this.#options.reach(url.origin), {
        path: `${url.pathname}${url.search}`,
        ms: Math.max(1, until - performance.now()),
        maxBytes,
        signal: this.#stop.signal,
        ...(known?.etag !== undefined && { headers: { 'if-none-match': known.etag } }),
      }).catch((error: unknown) => {
        throw unreachable(asPortalError(error));
      });
      // Parse it again: a signature in it may have expired.
      if (response.status === 304 && known) return this.#take(copyOf(source, known.text, known.etag));
      if (response.status === 200) return this.#take(copyOf(source, response.text, response.headers.etag));
      const { location } = response.headers;
      const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && location !== undefined;
      if (!isRedirect || redirects >= MAX_REDIRECTS)
        throw new PortalError(
          'registry_unreachable',
          `${url.origin}${url.pathname} returned HTTP ${response.status}`,
        );
      if (!URL.canParse(location, url.href) || new URL(location, url).protocol !== 'https:')
        throw new PortalError(
          'registry_unreachable',
          `${this.#shown} redirects to a URL that is not https://`,
        );
      url = new URL(location, url);
    }
  }

  async #check(): Promise<void> {
    const { source, maxBytes } = this.#options;
    try {
      const file = await confinedPath(source);
      const { mtimeMs, size, ino, isThere } = await stat(file).then((found) =>
        Object.assign(found, { isThere: found.isFile() }),
      );
      const seen = `${mtimeMs} ${size} ${ino}`;
      // A signature in it may have expired.
      const isFresh = performance.now() - this.#seenAt < this.#paces.refreshMs;
      if (seen === this.#seen && isFresh) return;
      if (!isThere) throw new PortalError('registry_invalid', `${source} is not a file`);
      if (size > maxBytes) throw new PortalError('registry_invalid', `${source} exceeds ${maxBytes} bytes`);
      const text = await readFile(file, 'utf8');
      // A broken file is read again only after it changes.
      this.#seen = seen;
      this.#seenAt = performance.now();
      await this.#take(copyOf(source, text, undefined));
    } catch (error) {
      if (error instanceof PortalError && error.code !== 'config_not_allowed') throw error;
      this.#seen = undefined;
      {
        const hint = unreadableHint(error);
        throw new PortalError(
          'registry_unreachable',
          cannotRead(source, error),
          hint === undefined ? {} : { hint },
        );
      }
    }
  }

  /** Parses a new text and adopts its relays if it is valid. */
  async #take(copy: Copy): Promise<void> {
    const { cacheDir, log } = this.#options;
    const { relays, skipped } = await readRelayList(copy.text, this.#shown, { isFile: this.#isFile });
    if (relays.length === 0 && skipped.length > 0)
      throw new PortalError('registry_invalid', `${this.#shown} has no valid entry: ${skipped[0]}`);
    if (skipped.length > 0) log.warn({ skipped }, 'skipped invalid entries of the registry');
    await this.#confineCas(relays);
    this.#copy = copy;
    this.#settled(relays, skipped);
    await keepCopy(cacheDir, copy, log);
  }

  /** Uses the saved copy, unless there is a current one. */
  #useOld(): Promise<void> {
    this.#using ??= this.#readOld();
    return this.#using;
  }

  async #readOld(): Promise<void> {
    if (!this.#old) return;
    const { text } = this.#old;
    try {
      const { relays, skipped } = await readRelayList(text, this.#shown, { isFile: this.#isFile });
      await this.#confineCas(relays);
      if (this.#copy || this.#stop.signal.aborted) return;
      this.#copy = this.#old;
      this.#settled(relays, skipped);
    } catch (error) {
      this.#options.log.info({ err: error }, 'the saved copy of the registry is unusable');
    }
  }

  #settled(listed: readonly ListedRelay[], skipped: readonly string[]): void {
    const relays = listed.map((relay) => this.#specOf(relay));
    const isNews = this.#error !== undefined || !isDeepStrictEqual(relays, this.#relays);
    this.#error = undefined;
    this.#skipped = skipped;
    this.#relays = relays;
    if (isNews) this.#options.onChange();
  }

  #failed(error: PortalError): void {
    const isNews = this.#error?.code !== error.code;
    this.#error = error;
    this.#options.log.info({ code: error.code, reason: error.message }, 'cannot read the registry');
    if (isNews) this.#options.onChange();
  }

  /** A list may change at any time, so its CAs stay beside it, like other files of the project. */
  async #confineCas(relays: readonly ListedRelay[]): Promise<void> {
    for (const { caFile } of relays.map((relay) => this.#specOf(relay)))
      if (caFile !== undefined) await confineCaNamedBy(this.#options.source, caFile);
  }

  #specOf({ url, address, ca }: ListedRelay): UrlRelay {
    return {
      kind: 'url',
      url,
      ...(address !== undefined && { address }),
      ...(ca !== undefined && { caFile: resolve(dirname(this.#options.source), ca) }),
    };
  }
}

function unreachable(error: PortalError): PortalError {
  if (error.code === 'limit_exceeded') return new PortalError('registry_invalid', error.message);
  return new PortalError('registry_unreachable', error.message, { cause: error });
}
