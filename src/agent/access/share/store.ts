import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from '../../../lib/errors.js';
import { createFile, PRIVATE_MODE, readPrivateFile, replaceFile } from '../../../lib/private-file.js';

/** A share link as `portal share list` shows it. It does not contain the link itself. */
export interface ShareRecord {
  readonly id: string;
  readonly service: string;
  readonly path: string;
  /** What it opens, without the token. */
  readonly urls: readonly string[];
  /** ISO times. */
  readonly issuedAt: string;
  readonly until: string;
  readonly revokedAt?: string;
}

/** The links of an identity that may not be opened. */
export interface Revoked {
  readonly ids: ReadonlySet<string>;
  /** Links that were issued up to this time, whole seconds since the epoch, are revoked. */
  readonly upTo: number;
}

/** How long a revocation stays after its link has expired: if the clock jumps back, the link must not open again. */
const KEEP_REVOKED_MS = 365 * 86_400_000;

const FILE = /^[a-z2-7]{8}\.json$/;
/** The names of links are longer, so no link has this one. */
const ALL_FILE = 'all.json';

/**
 * Owns the share links of an identity on this machine: a folder beside the identity's file, with a file for each link. So two
 * processes never write the same file with different content, and no revocation is lost.
 */
export class ShareStore {
  readonly folder: string;

  /** @param identityFile path of the identity */
  constructor(identityFile: string) {
    this.folder = `${identityFile}.shares`;
  }

  /** Adds a link, and forgets expired ones; revoked ones a year later. Throws `state_unwritable`. */
  async add(record: ShareRecord, now: number): Promise<void> {
    await createFile(this.#pathOf(record.id), textOf(record), PRIVATE_MODE);
    const expired = (await this.#all()).filter(
      ({ until, revokedAt }) => Date.parse(until) + (revokedAt === undefined ? 0 : KEEP_REVOKED_MS) <= now,
    );
    await Promise.all(expired.map(({ id }) => rm(this.#pathOf(id), { force: true })));
  }

  /** Links that have not expired, oldest first. */
  async list(now: number): Promise<ShareRecord[]> {
    const upTo = await this.#revokedUpTo();
    return (await this.#all())
      .filter(({ until }) => Date.parse(until) > now)
      .map((record) => (isUpTo(record, upTo) ? { revokedAt: isoOf(upTo), ...record } : record))
      .toSorted((a, b) => (a.issuedAt < b.issuedAt ? -1 : 1));
  }

  /** Returns whether this machine knows the link. Throws `state_unwritable`. */
  async revoke(id: string, now: number): Promise<boolean> {
    const record = FILE.test(`${id}.json`) ? await this.#read(`${id}.json`) : undefined;
    if (!record) return false;
    await this.#revoke(record, now);
    return true;
  }

  /** Revokes every link that was issued so far, on any machine. Returns how many valid ones were known here. */
  async revokeAll(now: number): Promise<number> {
    const valid = (await this.list(now)).filter(({ revokedAt }) => revokedAt === undefined);
    const upTo = Math.max(Math.floor(now / 1_000), await this.#revokedUpTo());
    await replaceFile(join(this.folder, ALL_FILE), `${JSON.stringify({ upTo })}\n`, PRIVATE_MODE);
    // The clock was ahead when these were issued.
    const later = valid.filter((record) => !isUpTo(record, upTo));
    await Promise.all(later.map((record) => this.#revoke(record, now)));
    return valid.length;
  }

  /** Throws if a file exists that cannot be read: whether its link is revoked is then unknown. */
  async revoked(): Promise<Revoked> {
    const records = await this.#all();
    const ids = records.filter(({ revokedAt }) => revokedAt !== undefined).map(({ id }) => id);
    return { ids: new Set(ids), upTo: await this.#revokedUpTo() };
  }

  async #revoke(record: ShareRecord, now: number): Promise<void> {
    const revoked: ShareRecord = { ...record, revokedAt: record.revokedAt ?? new Date(now).toISOString() };
    await replaceFile(this.#pathOf(record.id), textOf(revoked), PRIVATE_MODE);
  }

  async #all(): Promise<ShareRecord[]> {
    const names = await readdir(this.folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    const records = await Promise.all(
      names.filter((name) => FILE.test(name)).map((name) => this.#read(name)),
    );
    return records.filter((record) => record !== undefined);
  }

  /** Undefined if it does not exist, for example because it expired meanwhile. */
  async #read(name: string): Promise<ShareRecord | undefined> {
    const text = await readPrivateFile(join(this.folder, name), 'share_invalid');
    return text === undefined ? undefined : (JSON.parse(text) as ShareRecord);
  }

  async #revokedUpTo(): Promise<number> {
    const text = await readPrivateFile(join(this.folder, ALL_FILE), 'share_invalid');
    return text === undefined ? 0 : (JSON.parse(text) as { upTo: number }).upTo;
  }

  #pathOf(id: string): string {
    return join(this.folder, `${id}.json`);
  }
}

const textOf = (record: ShareRecord): string => `${JSON.stringify(record, null, 2)}\n`;
const isoOf = (seconds: number): string => new Date(seconds * 1_000).toISOString();
const isUpTo = ({ issuedAt }: ShareRecord, upTo: number): boolean => Date.parse(issuedAt) <= upTo * 1_000;
