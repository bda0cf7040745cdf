import { silent, type Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import { readDenyList, type DenyList, type ListElsewhere } from '../protection/access-lists.js';
import type { SharedDenials } from '../nodes/nodes.js';
import { asPortalError } from '../../lib/errors.js';
import type { DenialRow } from './changes.js';
import type { Database } from './database.js';
import * as statements from './statements.js';

export interface PostgresDenialsOptions {
  readonly database: Pick<Database, 'query'>;
  /** The --node-address of this node. Its list replaces that of an earlier node there. */
  readonly address: string;
  readonly log?: Logger;
}

/** How often a list says that its node still runs. The database forgets lists that did not for a month. */
const USED_MS = 3_600_000;
const RETRY_MS = 1_000;

/**
 * The deny lists of all nodes, by the address of the node. A list outlives its node, so a restart or a crash lets nobody in. The
 * database notifies nodes of each change, without the list: a notification has at most 8,000 bytes.
 */
export class PostgresDenials implements SharedDenials {
  readonly #options: PostgresDenialsOptions;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  readonly #listeners: (() => void)[] = [];
  readonly #upkeep: NodeJS.Timeout;
  /** By address: the text of each list as last read, and the last one that was valid. */
  #known = new Map<string, { readonly text: string; readonly list: DenyList | undefined }>();
  /** The text of this node's list; undefined before the first. */
  #own: string | undefined;
  #isWriting = false;
  #isReading = false;
  /** Rises when a reading that runs must not count. */
  #changes = 0;

  constructor(options: PostgresDenialsOptions) {
    this.#options = options;
    this.#log = options.log ?? silent;
    this.#upkeep = setInterval(() => this.#used(), USED_MS).unref();
  }

  get elsewhere(): readonly ListElsewhere[] {
    return [...this.#known].flatMap(([node, { list }]) => (list ? [{ node, list }] : []));
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  publish({ identities, addresses }: DenyList): void {
    this.#own = [...identities, ...addresses.texts].join('\n');
    void this.#write();
  }

  /** Replaces what is known. */
  load(rows: readonly DenialRow[]): void {
    this.#changes++;
    const others = rows
      .filter(({ address }) => address !== this.#options.address)
      .toSorted((a, b) => a.address.localeCompare(b.address));
    const before = this.#known;
    this.#known = new Map(
      others.map(({ address, list: text }) => {
        const known = before.get(address);
        return [address, known?.text === text ? known : { text, list: this.#parse(address, text) }];
      }),
    );
    const isSame =
      before.size === this.#known.size &&
      [...this.#known].every(([address, known]) => before.get(address) === known);
    if (!isSame) for (const listener of this.#listeners) listener();
  }

  /** Call when a list has changed. */
  changed(): void {
    this.#changes++;
    void this.#read();
  }

  close(): void {
    clearInterval(this.#upkeep);
    this.#closing.abort();
  }

  /** An invalid list, for example of a later version, leaves the former one in effect. */
  #parse(address: string, text: string): DenyList | undefined {
    try {
      return readDenyList(text);
    } catch (error) {
      const { message: reason } = asPortalError(error);
      this.#log.error(
        { address, reason },
        'the deny list of another node is invalid; keeping the previous one',
      );
      return this.#known.get(address)?.list;
    }
  }

  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    let read: number;
    do {
      read = this.#changes;
      const rows = await this.#persist(() => statements.readDenials(this.#options.database.query));
      if (rows && read === this.#changes) {
        this.#isReading = false;
        return this.load(rows);
      }
    } while (read !== this.#changes);
    this.#isReading = false;
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    const { database, address } = this.#options;
    let text: string | undefined;
    do {
      text = this.#own!;
      const list = text;
      // Only the last list counts.
      await this.#persist(async () => {
        if (list === this.#own) await statements.writeDenials(database.query, address, list);
      });
    } while (text !== this.#own);
    this.#isWriting = false;
  }

  #used(): void {
    // An hour later it tries again.
    statements.useDenials(this.#options.database.query, this.#options.address).catch(() => undefined);
  }

  /** Tries again until it succeeds. Undefined if this node closes first. */
  async #persist<T>(run: () => Promise<T>): Promise<T | undefined> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        return await run();
      } catch {
        // The database logs its errors.
        await delay(RETRY_MS, signal).catch(() => undefined);
      }
    }
    return undefined;
  }
}
