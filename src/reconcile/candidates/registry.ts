import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { readRelayList, type ListedRelay } from '../../agent/directory.js';
import { fetchFrom } from '../../agent/fetch.js';
import type { RelayEndpoint } from '../../agent/relay-way.js';
import type { UrlRelay } from '../../agent/spec.js';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { PRIVATE_MODE, replaceFile } from '../../lib/private-file.js';
import { deferred, delay } from '../../lib/wait.js';

export interface RegistryOptions {
  /** An https:// URL, or the path of a file. */
  readonly source: string;
  /** Where the last good copy is kept over restarts; left out, in memory alone. */
  readonly cacheDir: string | undefined;
  /** A list is small; what is larger is no list. */
  readonly maxBytes: number;
  readonly reach: (url: string) => Promise<RelayEndpoint>;
  /** Its relays are others now, or what is wrong with it is. */
  readonly onChange: () => void;
  readonly log: Logger;
  readonly paces?: Partial<typeof PACES>;
}

const PACES = {
  /** A URL is asked again after about this long. */
  refreshMs: 600_000,
  /** After a failure sooner, and then later and later. */
  retryMs: 2_000,
  fetchMs: 10_000,
  /** A file is looked at this often. */
  lookMs: 2_000,
};
const MAX_REDIRECTS = 3;

/** The last good copy, as its file holds it. */
interface Copy {
  readonly source: string;
  readonly etag?: string;
  readonly fetchedAt: string;
  readonly text: string;
}

/** A list of relays that somebody keeps: got again and again, of which the last good copy counts. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #paces: typeof PACES;
  readonly #stop = new AbortController();
  #copy: Copy | undefined;
  #seen: string | undefined;
  #relays: readonly UrlRelay[] = [];
  #error: PortalError | undefined;
  #skipped: readonly string[] = [];
  /** A first answer is there, good or not, or a copy from before. */
  readonly loaded: Promise<void>;
  /** It was asked once, and answered or not. */
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

  /** What is wrong with it just now. */
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
    this.#stop.abort(new PortalError('aborted', 'the registry is not wanted any more'));
    await this.#done;
  }

  get #isFile(): boolean {
    return !/^https:/i.test(this.#options.source);
  }

  async #run(tellLoaded: () => void, tellAsked: () => void): Promise<void> {
    const { signal } = this.#stop;
    const { refreshMs, retryMs, lookMs } = this.#paces;
    await this.#useCache();
    if (this.#copy) tellLoaded();
    for (let failures = 0; !signal.aborted;) {
      try {
        await (this.#isFile ? this.#look() : this.#fetch());
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        this.#failed(asPortalError(error));
      }
      tellLoaded();
      tellAsked();
      const pauseMs = failures === 0 ? refreshMs : Math.min(refreshMs, retryMs * 2 ** (failures - 1));
      await delay(this.#isFile ? lookMs : pauseMs * (0.8 + Math.random() * 0.4), signal).catch(
        () => undefined,
      );
    }
  }

  /** For people: what stands in a query may be a secret. */
  get #shown(): string {
    return this.#options.source.replace(/\?.*$/, '');
  }

  async #fetch(): Promise<void> {
    const { source, maxBytes } = this.#options;
    const { etag } = this.#copy ?? {};
    let url = new URL(source);
    for (let redirects = 0; ; redirects++) {
      const endpoint = await this.#options.reach(url.origin);
      const answer = await fetchFrom(endpoint, {
        path: `${url.pathname}${url.search}`,
        ms: this.#paces.fetchMs,
        maxBytes,
        signal: this.#stop.signal,
        ...(etag !== undefined && { headers: { 'if-none-match': etag } }),
      }).catch((error: unknown) => {
        throw unreachable(asPortalError(error));
      });
      // Read anew all the same: what is signed in it may have come to its end.
      if (answer.status === 304 && this.#copy) return this.#take(this.#copy.text, etag);
      if (answer.status === 200) return this.#take(answer.text, answer.headers.etag);
      const { location } = answer.headers;
      const isRedirect = [301, 302, 303, 307, 308].includes(answer.status) && location !== undefined;
      if (!isRedirect || redirects >= MAX_REDIRECTS)
        throw unreachable(
          new PortalError('internal', `${url.origin}${url.pathname} answers with HTTP ${answer.status}`),
        );
      url = new URL(location, url);
      if (url.protocol !== 'https:')
        throw unreachable(new PortalError('internal', `${this.#shown} leads to what is not https://`));
    }
  }

  async #look(): Promise<void> {
    const { source, maxBytes } = this.#options;
    try {
      const { mtimeMs, size, ino, isThere } = await stat(source).then((found) =>
        Object.assign(found, { isThere: found.isFile() }),
      );
      const seen = `${mtimeMs} ${size} ${ino}`;
      if (seen === this.#seen) return;
      if (!isThere) throw new PortalError('registry_invalid', `${source} is no file`);
      if (size > maxBytes)
        throw new PortalError('registry_invalid', `${source} has more than ${maxBytes} bytes`);
      const text = await readFile(source, 'utf8');
      // What is broken is looked at again when it has changed.
      this.#seen = seen;
      await this.#take(text, undefined);
    } catch (error) {
      if (error instanceof PortalError) throw error;
      this.#seen = undefined;
      throw new PortalError(
        'registry_unreachable',
        `${source} cannot be read (${systemCode(error) ?? 'unknown reason'})`,
      );
    }
  }

  /** A new text: what it lists, if it is good. */
  async #take(text: string, etag: string | undefined): Promise<void> {
    const { source } = this.#options;
    const { relays, skipped } = await readRelayList(text, this.#shown, { isFile: this.#isFile });
    if (relays.length === 0 && skipped.length > 0)
      throw new PortalError('registry_invalid', `no entry of ${this.#shown} is good: ${skipped[0]}`);
    this.#copy = { source, text, fetchedAt: new Date().toISOString(), ...(etag !== undefined && { etag }) };
    this.#skipped = skipped;
    if (skipped.length > 0) this.#options.log.warn({ skipped }, 'entries of the registry were left out');
    await this.#keep(this.#copy);
    this.#settled(relays);
  }

  #settled(listed: readonly ListedRelay[]): void {
    const relays = listed.map((relay) => this.#specOf(relay));
    const isNews = this.#error !== undefined || !isDeepStrictEqual(relays, this.#relays);
    this.#error = undefined;
    this.#relays = relays;
    if (isNews) this.#options.onChange();
  }

  #failed(error: PortalError): void {
    const isNews = this.#error?.code !== error.code;
    this.#error = error;
    this.#options.log.info({ code: error.code, reason: error.message }, 'the registry was not read');
    if (isNews) this.#options.onChange();
  }

  #specOf({ url, address, ca }: ListedRelay): UrlRelay {
    return {
      kind: 'url',
      url,
      ...(address !== undefined && { address }),
      ...(ca !== undefined && { caFile: resolve(dirname(this.#options.source), ca) }),
    };
  }

  get #cacheFile(): string | undefined {
    const { cacheDir, source } = this.#options;
    return (
      cacheDir && join(cacheDir, `${createHash('sha256').update(source).digest('hex').slice(0, 32)}.json`)
    );
  }

  /** The copy of the last time, while there is none of now. */
  async #useCache(): Promise<void> {
    const { source, log } = this.#options;
    try {
      if (this.#cacheFile === undefined) return;
      const copy = JSON.parse(await readFile(this.#cacheFile, 'utf8')) as Copy;
      if (copy.source !== source || typeof copy.text !== 'string') return;
      const { relays, skipped } = await readRelayList(copy.text, this.#shown, { isFile: this.#isFile });
      this.#copy = copy;
      this.#skipped = skipped;
      this.#settled(relays);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') log.info({ err: error }, 'the copy of the registry is of no use');
    }
  }

  async #keep(copy: Copy): Promise<void> {
    if (this.#cacheFile === undefined) return;
    try {
      await replaceFile(this.#cacheFile, `${JSON.stringify(copy)}\n`, PRIVATE_MODE);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the registry is not kept for the next start');
    }
  }
}

function unreachable(error: PortalError): PortalError {
  if (error.code === 'limit_exceeded') return new PortalError('registry_invalid', error.message);
  return new PortalError('registry_unreachable', error.message, { cause: error });
}
