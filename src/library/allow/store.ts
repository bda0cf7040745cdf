import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readdir, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MAX_PERMISSIONS, type Permission } from '../../config/permissions/permissions.js';
import { isMissing, PortalError } from '../../lib/errors.js';
import { createFile, PRIVATE_MODE, readPrivateFile, replaceFile } from '../../lib/private-file.js';
import { isSameSecret } from '../../lib/same-secret.js';

/** A stored permission, without its place in the file, which changes with every edit. */
export type Allowed = Omit<Permission, 'path'>;

/** What a user allowed one configuration. */
export interface AllowRecord {
  /** The real path of its folder, and its name. */
  readonly file: string;
  /** Time of the last answer, ISO 8601. */
  readonly allowedAt: string;
  /** Those of the last answer first. */
  readonly permissions: readonly Allowed[];
}

/** A record on disk. It has a MAC, so that a record from another machine or for another path allows nothing. */
interface StoredRecord extends AllowRecord {
  readonly version: 1;
  /** HMAC-SHA256 with the key of this store, hex. */
  readonly mac: string;
}

const KEY_FILE = 'key';
const MAX_RECORDS = 1_000;

/** Owns what this user allowed: a file for each configuration. */
export class AllowStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The path of the record for `file`. The record may not exist. */
  async recordFile(file: string): Promise<string> {
    return this.#pathOf(await realPathOf(file));
  }

  /** The `permissions` that `file` does not have. Each file has its own, because files publish different services. */
  async missing<P extends Permission>(file: string | undefined, permissions: readonly P[]): Promise<P[]> {
    if (permissions.length === 0 || file === undefined) return [...permissions];
    const record = await this.#read(await this.recordFile(file));
    const allowed = new Set(record?.permissions.map(({ key }) => key));
    return permissions.filter(({ key }) => !allowed.has(key));
  }

  async add(file: string, permissions: readonly Permission[]): Promise<AllowRecord> {
    const real = await realPathOf(file);
    const before = (await this.#read(this.#pathOf(real)))?.permissions ?? [];
    // The present ones first.
    const all = new Map<string, Allowed>();
    for (const { path: _, ...permission } of permissions) all.set(permission.key, permission);
    for (const each of before) if (!all.has(each.key)) all.set(each.key, each);
    const record: AllowRecord = {
      file: real,
      allowedAt: new Date().toISOString(),
      permissions: [...all.values()].slice(0, 2 * MAX_PERMISSIONS),
    };
    const stored: StoredRecord = { version: 1, ...record, mac: macOf(await this.#key(), record) };
    await replaceFile(this.#pathOf(real), `${JSON.stringify(stored, null, 2)}\n`, PRIVATE_MODE);
    return record;
  }

  /** Every valid record, by path. */
  async list(): Promise<AllowRecord[]> {
    const names = (await readdir(this.#folder).catch(emptyIfMissing))
      .filter((name) => /^[0-9a-f]{64}\.json$/.test(name))
      .slice(0, MAX_RECORDS);
    const records = await Promise.all(names.map((name) => this.#read(join(this.#folder, name))));
    return records.filter((record) => record !== undefined).toSorted((a, b) => (a.file < b.file ? -1 : 1));
  }

  /** Deletes the record of `file`; false if no record existed. */
  async revoke(file: string): Promise<boolean> {
    const path = this.#pathOf(await realPathOf(file));
    const isThere = (await this.#read(path)) !== undefined;
    await rm(path, { force: true });
    return isThere;
  }

  #pathOf(real: string): string {
    return join(this.#folder, `${createHash('sha256').update(real).digest('hex')}.json`);
  }

  /** Undefined if the record is missing, damaged or from another store. */
  async #read(path: string): Promise<AllowRecord | undefined> {
    const text = await readPrivateFile(path, 'config_not_allowed');
    if (text === undefined) return undefined;
    const record = parseRecord(text);
    if (!record || this.#pathOf(record.file) !== path) return undefined;
    return isSameSecret(record.mac, macOf(await this.#key(), record)) ? record : undefined;
  }

  async #key(): Promise<Buffer> {
    const file = join(this.#folder, KEY_FILE);
    const created = randomBytes(32).toString('hex');
    const text = (await readPrivateFile(file, 'config_not_allowed')) ?? '';
    if (text !== '') return Buffer.from(text.trim(), 'hex');
    await createFile(file, `${created}\n`, PRIVATE_MODE);
    const winner = await readPrivateFile(file, 'config_not_allowed');
    if (!winner) throw new PortalError('state_unwritable', `${file} is empty`, { hint: 'Remove it.' });
    return Buffer.from(winner.trim(), 'hex');
  }
}

function macOf(key: Buffer, { file, allowedAt, permissions }: AllowRecord): string {
  const text = JSON.stringify([
    1,
    file,
    allowedAt,
    permissions.map(({ key: id, kind, what, of }) => [id, kind, what, of]),
  ]);
  return createHmac('sha256', key).update(text).digest('hex');
}

function parseRecord(text: string): StoredRecord | undefined {
  try {
    const record = JSON.parse(text) as StoredRecord;
    const isComplete =
      record.version === 1 &&
      [record.file, record.allowedAt, record.mac].every((each) => typeof each === 'string') &&
      Array.isArray(record.permissions);
    return isComplete ? record : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The real path of the folder, and the file's name. Paths in the file, its overlay and its `.env` are relative to the
 * folder, so a link to a file elsewhere is another configuration.
 */
async function realPathOf(file: string): Promise<string> {
  const folder = dirname(file);
  return join(await realpath(folder).catch(() => folder), basename(file));
}

function emptyIfMissing(error: unknown): string[] {
  if (isMissing(error)) return [];
  throw error;
}
