import { setMaxListeners } from 'node:events';
import { KeyedQueue } from '../../lib/keyed-queue.js';
import { asPortalError } from '../../lib/errors.js';
import { deferred, delay, within, type Deferred } from '../../lib/wait.js';
import type { Change, Follower, LeaseRow, Reading } from '../postgres/changes.js';
import { busy, isTemporary, type Database } from '../postgres/database.js';
import type { Lifetime } from '../postgres/lifetime.js';
import type { OtherNodes } from '../postgres/other-nodes.js';
import * as statements from '../postgres/statements.js';
import { nameTaken, type LeaseChange, type LeaseClaim, type LeaseDirectory } from './directory.js';
import { publicPlaceOf, withoutNode, type LeaseRecord } from './record.js';
import { DirectoryView } from './view.js';

export interface PostgresDirectoryOptions {
  readonly node: string;
  readonly database: Database;
  readonly lifetime: Lifetime;
  readonly others: OtherNodes;
  readonly onClosed: () => Promise<void>;
}

/** How long a claim may take, even while the calls before it wait for the database. */
const CLAIM_MS = 10_000;
/** How long until this node hears of its own claim. */
const HEARD_MS = 5_000;
/** A claim that fails because the place became free is repeated this often. */
const ATTEMPTS = 3;
const RETRY_MS = 1_000;

interface Claiming {
  readonly place: string;
  readonly by: string;
  /** Undefined until the database responds. */
  epoch: number | undefined;
  readonly heard: Deferred<LeaseRecord>;
}

/**
 * A directory in PostgreSQL. The database decides who has a place. This node knows what NOTIFY says, including its own claims, so
 * that all nodes have the changes of a place in the same order.
 */
export class PostgresDirectory implements LeaseDirectory, Follower {
  readonly node: string;
  readonly #options: PostgresDirectoryOptions;
  readonly #view = new DirectoryView();
  /** The calls for a place execute one after another. */
  readonly #turns = new KeyedQueue();
  /** By place: the claim that the database has not confirmed yet. */
  readonly #claiming = new Map<string, Claiming>();
  /** The epochs of the places that this node has. */
  readonly #own = new Map<string, number>();
  readonly #closing = new AbortController();
  #link: { readonly live: boolean } = { live: false };
  #claims = 0;
  /** Releases that the database has not confirmed yet. They never reject. */
  readonly #releasing = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(options: PostgresDirectoryOptions) {
    this.#options = options;
    this.node = options.node;
    // Every waiting call listens.
    setMaxListeners(0, this.#closing.signal);
  }

  /** `link` tells whether this node hears of changes. */
  use(link: { readonly live: boolean }): void {
    this.#link = link;
  }

  async claim(claim: LeaseClaim): Promise<LeaseRecord> {
    const { lifetime } = this.#options;
    if (this.#isClosing || !lifetime.isCurrent() || !this.#link.live) throw busy();
    const wanted = new AbortController();
    // What this node released before no longer has its port: the claim may get it.
    const released = Promise.all(this.#releasing);
    const turn = this.#turns.run(claim.place, async () => {
      await released;
      return this.#claim(claim, wanted.signal);
    });
    try {
      return await within(turn, CLAIM_MS, 'the claim', this.#closing.signal);
    } catch (error) {
      wanted.abort();
      const failure = asPortalError(error);
      throw failure.code === 'name_taken' ? failure : busy(failure);
    }
  }

  async update(record: LeaseRecord): Promise<void> {
    const { place, epoch } = record;
    await this.#persist(place, () =>
      statements.update(this.#options.database.query, place, epoch, textOf(record)),
    );
  }

  async release(place: string, epoch: number): Promise<void> {
    if (this.#own.get(place) === epoch) this.#own.delete(place);
    const done = this.#persist(place, () => statements.release(this.#options.database.query, place, epoch));
    const tracked = done.catch(() => undefined).finally(() => this.#releasing.delete(tracked));
    this.#releasing.add(tracked);
    await done;
  }

  /** Leases of all nodes. */
  get size(): number {
    return this.#view.size;
  }

  lookup(place: string): LeaseRecord | undefined {
    return this.#view.lookup(place);
  }

  at(publicPlace: string): readonly LeaseRecord[] {
    return this.#view.at(publicPlace);
  }

  watch(listener: (change: LeaseChange) => void): () => void {
    return this.#view.watch(listener);
  }

  close(): Promise<void> {
    this.#closing.abort();
    this.#view.close();
    return (this.#closed ??= this.#options.onClosed());
  }

  load({ nodes, lost, leases }: Reading): void {
    this.#options.others.load(nodes, lost);
    const running = new Set(nodes.map(({ node }) => node));
    const records = leases.map((row) => {
      const record = recordOf(row);
      return running.has(record.node) ? record : withoutNode(record);
    });
    for (const change of this.#view.replace(records)) this.#forgetOwn(change);
    for (const claiming of this.#claiming.values()) this.#confirm(claiming);
    for (const { place } of records) this.#tidy(place);
  }

  take(change: Change): boolean {
    const { others } = this.#options;
    switch (change.type) {
      case 'lease':
        return this.#heard(recordOf(change), change.by);
      case 'released':
        this.#hear({ place: change.place, epoch: Number(change.epoch), record: undefined });
        break;
      case 'joined':
        others.joined(change.node, change.address);
        break;
      case 'left':
        this.#left(change.node);
        break;
      case 'gone':
        others.gone(change.node);
        for (const { place, epoch } of this.#view.of(change.node))
          this.#hear({ place, epoch, record: undefined });
        break;
      default:
      // A later version of Portal sent it.
    }
    return false;
  }

  get #isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Returns true if that confirmed a claim of this node. */
  #heard(record: LeaseRecord, by: string | undefined): boolean {
    const { place, epoch, node } = record;
    const claiming = node === this.node ? this.#claiming.get(place) : undefined;
    const isConfirmed = claiming !== undefined && claiming.by === by;
    if (isConfirmed) this.#own.set(place, epoch);
    this.#hear({ place, epoch, record });
    if (isConfirmed) claiming.heard.resolve(record);
    else this.#tidy(place);
    return isConfirmed;
  }

  /** A node was lost: visitors wait until its agents return. */
  #left(node: string): void {
    if (node === this.node) return this.#options.lifetime.expire();
    this.#options.others.left(node);
    for (const record of this.#view.of(node))
      this.#hear({ place: record.place, epoch: record.epoch, record: withoutNode(record) });
  }

  #hear(change: LeaseChange): void {
    this.#forgetOwn(change);
    this.#view.hear(change);
  }

  /** Notes that this node no longer has a place. */
  #forgetOwn({ place, epoch, record }: LeaseChange): void {
    const own = this.#own.get(place);
    if (own !== undefined && epoch >= own && record?.node !== this.node) this.#own.delete(place);
  }

  async #claim(claim: LeaseClaim, wanted: AbortSignal): Promise<LeaseRecord> {
    const { place } = claim;
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (wanted.aborted) throw busy();
        const record = await this.#attempt(claim);
        if (!record) continue;
        if (wanted.aborted) this.#own.delete(place);
        return record;
      }
      throw busy(new Error('the place changes hands too often'));
    } finally {
      this.#tidy(place);
    }
  }

  /** Undefined if the place became free meanwhile. */
  async #attempt(claim: LeaseClaim): Promise<LeaseRecord | undefined> {
    const { place } = claim;
    const claiming: Claiming = { place, by: String(++this.#claims), epoch: undefined, heard: deferred() };
    this.#claiming.set(place, claiming);
    try {
      // This node may hear of its claim before the database responds.
      return await Promise.race([claiming.heard.promise, this.#ask(claim, claiming)]);
    } finally {
      this.#claiming.delete(place);
    }
  }

  async #ask(claim: LeaseClaim, claiming: Claiming): Promise<LeaseRecord | undefined> {
    const { query } = this.#options.database;
    const { place, owner } = claim;
    const epoch = await statements.claim(query, {
      place,
      owner,
      node: this.node,
      record: textOf(claim),
      by: claiming.by,
    });
    if (epoch !== undefined) {
      claiming.epoch = epoch;
      this.#confirm(claiming);
      return within(claiming.heard.promise, HEARD_MS, 'the notification', this.#closing.signal);
    }
    const present = await statements.leasesAt(query, publicPlaceOf(place));
    const other = present.find((lease) => lease.owner !== owner);
    if (other) throw nameTaken(recordOf(other));
    if (await statements.isRegistered(query, this.node)) return undefined;
    this.#options.lifetime.expire();
    throw busy();
  }

  /** Ends the wait of a claim if a reading of the database had it. */
  #confirm(claiming: Claiming): void {
    const { place, epoch, heard } = claiming;
    const record = this.#view.lookup(place);
    if (epoch === undefined || record?.epoch !== epoch || this.#claiming.get(place) !== claiming) return;
    this.#own.set(place, epoch);
    heard.resolve(record);
  }

  /** Releases a place that the database gave to this node, and that no caller has: the claim seemed to fail. */
  #tidy(place: string): void {
    const record = this.#view.lookup(place);
    if (!record || record.node !== this.node || this.#claiming.has(place) || this.#isClosing) return;
    if (this.#own.get(place) === record.epoch) return;
    this.release(place, record.epoch).catch(() => undefined);
  }

  /** Writes a change of this node, and tries again while the database does not respond. */
  async #persist(place: string, write: () => Promise<void>): Promise<void> {
    await this.#turns.run(place, async () => {
      // Lets a close that follows immediately release everything together.
      await Promise.resolve();
      while (!this.#isClosing && this.#options.lifetime.isCurrent()) {
        try {
          return await write();
        } catch (error) {
          if (!isTemporary(error)) throw error;
          await delay(RETRY_MS, this.#closing.signal).catch(() => undefined);
        }
      }
    });
  }
}

/** What the table has of a record beside its columns. */
function textOf({ node: _node, epoch: _epoch, ...claim }: LeaseClaim & Partial<LeaseRecord>): string {
  return JSON.stringify(claim);
}

function recordOf({ node, epoch, record }: LeaseRow): LeaseRecord {
  const claim = JSON.parse(record) as LeaseClaim;
  // JSON has no undefined.
  const { instance, session, port } = claim;
  return { ...claim, instance, session, port, node, epoch: Number(epoch) };
}
