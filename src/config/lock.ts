import { createReadStream } from 'node:fs';
import { dirname, join } from 'node:path';
import pLimit from 'p-limit';
import { confinedPath } from '../lib/confined.js';
import { PortalError, systemCode } from '../lib/errors.js';
import { readBounded } from '../lib/read-bounded.js';
import { updateFile } from '../lib/shared-file.js';
import { LockInvalid, readLock, sameAddress, withRelay, type LockEntries } from './lock-file.js';
import { originOf } from './relay-refs.js';

const NAME = 'portal.lock';
/** Thousands of relays stay far below. */
const MAX_BYTES = 1024 * 1024;

/** The lock beside a configuration. */
export function lockFileOf(configFile: string): string {
  return join(dirname(configFile), NAME);
}

/** What `file` holds; nothing, where there is no such file. Throws `lock_invalid`. */
export async function loadLock(file: string): Promise<LockEntries> {
  const text = await readText(file);
  return text === undefined ? new Map() : readLock(text, file);
}

export interface RelayLockOptions {
  readonly file: string;
  /** Adds nothing: a relay that is not there is refused. */
  readonly frozen?: boolean;
  /** Called for each relay that was added to the file; `isNew` where the file did not exist before. */
  readonly onAdded?: (origin: string, isNew: boolean) => void;
  /** Called when the file cannot be written, once until it can: this process alone remembers the keys meanwhile. */
  readonly onUnwritable?: (error: PortalError) => void;
}

/**
 * Which key each relay is trusted by. The file is the truth, and is read anew at each connection: an entry that
 * somebody corrected, removed or pulled from elsewhere counts at once.
 */
export class RelayLock {
  readonly file: string;
  readonly #options: RelayLockOptions;
  /** One relay at a time: several are met in one moment when an agent starts. */
  readonly #turns = pLimit(1);
  /** Those that the file should hold and could not be made to. */
  readonly #unwritten = new Map<string, string>();
  #isTold = false;

  constructor(options: RelayLockOptions) {
    this.file = options.file;
    this.#options = options;
  }

  /** Before a relay is connected to: whether it may be at all. Throws `relay_not_locked`, `lock_invalid`. */
  async admit(url: string): Promise<void> {
    const origin = originOf(url) ?? url;
    const isKnown = (await loadLock(this.file)).has(origin);
    if (this.#options.frozen && !isKnown) throw this.#notLocked(origin);
  }

  /**
   * Once the relay has proven its key and opened a session: remembers the key, or holds it to what is remembered. Throws `relay_key_changed`,
   * `relay_not_locked`, `lock_invalid`.
   */
  trust(url: string, address: string): Promise<void> {
    const origin = originOf(url) ?? url;
    return this.#turns(async () => {
      if (!(await this.#isKnown(origin, address))) await this.#add(origin, address);
    });
  }

  /** Of a key that a relay has, or is said to have. Throws as `trust` would, and remembers nothing. */
  async check(url: string, address: string): Promise<void> {
    await this.#isKnown(originOf(url) ?? url, address);
  }

  /** Whether the file has it; throws where it is not to be trusted. */
  async #isKnown(origin: string, address: string): Promise<boolean> {
    if (this.#compare(origin, address, await loadLock(this.file))) return true;
    if (this.#options.frozen) throw this.#notLocked(origin);
    const unwritten = this.#unwritten.get(origin);
    if (unwritten !== undefined && !sameAddress(unwritten, address))
      throw this.#changed(
        origin,
        address,
        unwritten,
        `${this.file} could not be written; this agent remembers`,
      );
    return false;
  }

  async #add(origin: string, address: string): Promise<void> {
    try {
      let added: { isNew: boolean } | undefined;
      await updateFile(await confinedPath(this.file), (text) => {
        // Another agent may have been faster.
        const isThere = text !== undefined && this.#compare(origin, address, readLock(text, this.file));
        added = isThere ? undefined : { isNew: text === undefined };
        return isThere ? undefined : withRelay(text, this.file, origin, address);
      });
      this.#unwritten.delete(origin);
      this.#isTold = false;
      if (added) this.#options.onAdded?.(origin, added.isNew);
    } catch (error) {
      if (!(error instanceof PortalError) || error.code !== 'state_unwritable') throw error;
      this.#unwritten.set(origin, address);
      if (!this.#isTold) this.#options.onUnwritable?.(error);
      this.#isTold = true;
    }
  }

  /** True when it is there, with this address. */
  #compare(origin: string, address: string, entries: LockEntries): boolean {
    const entry = entries.get(origin);
    if (entry && !sameAddress(entry.address, address))
      throw this.#changed(origin, address, entry.address, `${this.file}, line ${entry.line}, has`);
    return entry !== undefined;
  }

  #changed(origin: string, proven: string, trusted: string, where: string): PortalError {
    const remedy = where.startsWith(`${this.file}, line`)
      ? 'remove that line, and the new key is remembered'
      : 'start the agent anew';
    return new PortalError(
      'relay_key_changed',
      `${origin} has the key ${proven} now, and ${where} ${trusted}`,
      {
        hint: `Another server may pretend to be this relay. Ask its operator, over another channel. If its key did change, ${remedy}.`,
      },
    );
  }

  #notLocked(origin: string): PortalError {
    return new PortalError(
      'relay_not_locked',
      `${origin} is not in ${this.file}, and --frozen rejects new relays`,
      {
        hint: 'Run `portal up` once without --frozen, check the changes in the file, and commit them.',
      },
    );
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    const bytes = await readBounded(createReadStream(await confinedPath(file)), MAX_BYTES, () =>
      unreadable(file, `is larger than ${MAX_BYTES / 1024 / 1024} MiB`),
    );
    return bytes.toString('utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw unreadable(file, `cannot be read (${code ?? 'unknown reason'})`);
  }
}

function unreadable(file: string, what: string): LockInvalid {
  return new LockInvalid(`${file} ${what}`, 1, 'Check the file and its permissions.');
}
