import { createReadStream } from 'node:fs';
import { dirname, join } from 'node:path';
import pLimit from 'p-limit';
import { confinedPath } from '../../lib/confined.js';
import { cannotRead, PortalError, systemCode, unreadableHint } from '../../lib/errors.js';
import { readBounded } from '../../lib/read-bounded.js';
import { updateFile } from '../../lib/shared-file.js';
import { LockInvalid, readLock, sameAddress, withRelay, type LockEntries } from './lock-file.js';
import { originOf } from '../checks/relay-refs.js';

const NAME = 'portal.lock';
/** Enough for thousands of relays. */
const MAX_BYTES = 1024 * 1024;

/** The path of the lock file next to a configuration. */
export function lockFileOf(configFile: string): string {
  return join(dirname(configFile), NAME);
}

/** The entries of `file`, or an empty list if it does not exist. Throws `lock_invalid`. */
export async function loadLock(file: string): Promise<LockEntries> {
  const text = await readText(file);
  return text === undefined ? new Map() : readLock(text, file);
}

export interface RelayLockOptions {
  readonly file: string;
  /** Rejects unknown relays instead of adding them. */
  readonly frozen?: boolean;
  /** Called for each relay that was added to the file; `isNew` if the file did not exist before. */
  readonly onAdded?: (origin: string, isNew: boolean) => void;
  /** Called once when the file cannot be written. Until it can, only this process remembers the keys. */
  readonly onUnwritable?: (error: PortalError) => void;
}

/**
 * The trusted key of each relay. Reads the file at each connection, so an entry that a user corrects, removes or
 * pulls takes effect immediately.
 */
export class RelayLock {
  readonly file: string;
  readonly #options: RelayLockOptions;
  /** One relay at a time: a starting agent connects to several together. */
  readonly #turns = pLimit(1);
  /** Entries that could not be written to the file. */
  readonly #unwritten = new Map<string, string>();
  #isReported = false;

  constructor(options: RelayLockOptions) {
    this.file = options.file;
    this.#options = options;
  }

  /**
   * Whether the agent may connect to the relay. Call it before connecting. Throws `relay_not_locked`, `lock_invalid`.
   */
  async admit(url: string): Promise<void> {
    const origin = originOf(url) ?? url;
    const isKnown = (await loadLock(this.file)).has(origin);
    if (this.#options.frozen && !isKnown) throw this.#notLocked(origin);
  }

  /**
   * Call it once the relay has proven its key and opened a session. Stores the key, or compares it with the stored
   * one. Throws `relay_key_changed`, `relay_not_locked`, `lock_invalid`.
   */
  trust(url: string, address: string): Promise<void> {
    const origin = originOf(url) ?? url;
    return this.#turns(async () => {
      if (!(await this.#isKnown(origin, address))) await this.#add(origin, address);
    });
  }

  /** Checks a relay's actual or announced key. Throws the same errors as `trust`, but stores nothing. */
  async check(url: string, address: string): Promise<void> {
    await this.#isKnown(originOf(url) ?? url, address);
  }

  /** Whether the file has the relay. Throws if its key is not trusted. */
  async #isKnown(origin: string, address: string): Promise<boolean> {
    if (this.#compare(origin, address, await loadLock(this.file))) return true;
    if (this.#options.frozen) throw this.#notLocked(origin);
    const unwritten = this.#unwritten.get(origin);
    if (unwritten !== undefined && !sameAddress(unwritten, address))
      throw this.#changed(origin, address, unwritten, `${this.file} could not be written; this agent stored`);
    return false;
  }

  async #add(origin: string, address: string): Promise<void> {
    try {
      let added: { isNew: boolean } | undefined;
      await updateFile(await confinedPath(this.file), (text) => {
        // Another agent may have added it meanwhile.
        const isThere = text !== undefined && this.#compare(origin, address, readLock(text, this.file));
        added = isThere ? undefined : { isNew: text === undefined };
        return isThere ? undefined : withRelay(text, this.file, origin, address);
      });
      this.#unwritten.delete(origin);
      this.#isReported = false;
      if (added) this.#options.onAdded?.(origin, added.isNew);
    } catch (error) {
      if (!(error instanceof PortalError) || error.code !== 'state_unwritable') throw error;
      this.#unwritten.set(origin, address);
      if (!this.#isReported) this.#options.onUnwritable?.(error);
      this.#isReported = true;
    }
  }

  /** True if the relay is listed with this address. */
  #compare(origin: string, address: string, entries: LockEntries): boolean {
    const entry = entries.get(origin);
    if (entry && !sameAddress(entry.address, address))
      throw this.#changed(origin, address, entry.address, `${this.file}, line ${entry.line}, has`);
    return entry !== undefined;
  }

  #changed(origin: string, proven: string, trusted: string, where: string): PortalError {
    const remedy = where.startsWith(`${this.file}, line`)
      ? 'delete that line, and Portal stores the new key'
      : 'restart the agent';
    return new PortalError(
      'relay_key_changed',
      `${origin} has the key ${proven} now, and ${where} ${trusted}`,
      {
        hint: `Another server may pretend to be this relay. Ask its operator by phone or email. If the key did change, ${remedy}.`,
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
    throw new LockInvalid(cannotRead(file, error), 1, unreadableHint(error) ?? CHECK_FILE);
  }
}

const CHECK_FILE = 'Check the file and its permissions.';

function unreadable(file: string, what: string): LockInvalid {
  return new LockInvalid(`${file} ${what}`, 1, CHECK_FILE);
}
