/** What nodes tell each other through the database, and what a node reads when it may have missed something. */

/** The channel of LISTEN and NOTIFY. */
export const CHANNEL = 'portal';

/** A row of the table of leases. `record` is JSON. */
export interface LeaseRow {
  readonly place: string;
  readonly node: string;
  readonly epoch: string;
  readonly record: string;
}

/** The deny list of the node at an address, as text. */
export interface DenialRow {
  readonly address: string;
  readonly list: string;
}

export type Change =
  /** A place has a new record. `by` is what the node called its claim. */
  | ({ readonly type: 'lease'; readonly by?: string } & LeaseRow)
  | { readonly type: 'released'; readonly place: string; readonly epoch: string }
  | { readonly type: 'joined'; readonly node: string; readonly address: string }
  /** A node ended without releasing its leases. */
  | { readonly type: 'left'; readonly node: string }
  /** All leases of a node are released. */
  | { readonly type: 'gone'; readonly node: string }
  /** The deny lists of nodes changed. */
  | { readonly type: 'denials' };

/** A change as it is sent: with the transaction that made it. */
export type Notice = Change & { readonly xid: string };

/** The transactions that a reading of the database includes, as `pg_current_snapshot` writes them: `xmin:xmax:xip,…`. */
export class Snapshot {
  readonly #min: bigint;
  readonly #max: bigint;
  readonly #running: ReadonlySet<bigint>;

  constructor(text: string) {
    const [min, max, running] = text.split(':');
    this.#min = BigInt(min!);
    this.#max = BigInt(max!);
    this.#running = new Set((running ?? '').split(',').filter(Boolean).map(BigInt));
  }

  includes(xid: string): boolean {
    const id = BigInt(xid);
    return id < this.#min || (id < this.#max && !this.#running.has(id));
  }
}

/** Everything that nodes share, at one moment. */
export interface Reading {
  readonly nodes: readonly { readonly node: string; readonly address: string; readonly beat: string }[];
  readonly lost: readonly string[];
  readonly leases: readonly LeaseRow[];
  readonly denials: readonly DenialRow[];
}

/** Gets the changes of all nodes, in the order of their commits. */
export interface Follower {
  /** Replaces what is known: changes may have been missed. */
  load(reading: Reading): void;
  /** Returns true if a caller waits for this change and must run before the next one. */
  take(change: Change): boolean;
}

/**
 * Passes each change to a follower once, in the order of the database. Changes that arrive during a reading
 * wait for it.
 */
export class Changes {
  readonly #follower: Follower;
  #waiting: (() => boolean)[] = [];
  /** Notices that arrived since a reading began; undefined: none runs. */
  #held: Notice[] | undefined;
  #resuming: NodeJS.Immediate | undefined;

  constructor(follower: Follower) {
    this.#follower = follower;
  }

  /** Call before the reading begins, with the connection listening. */
  begin(): void {
    this.#held = [];
  }

  notice(payload: string): void {
    const notice = parse(payload);
    if (!notice) return;
    if (this.#held) this.#held.push(notice);
    else this.#pass(() => this.#follower.take(notice));
  }

  loaded(reading: Reading, snapshot: Snapshot): void {
    const later = (this.#held ?? []).filter(({ xid }) => !snapshot.includes(xid));
    this.#held = undefined;
    this.#pass(() => {
      this.#follower.load(reading);
      return false;
    });
    for (const notice of later) this.#pass(() => this.#follower.take(notice));
  }

  close(): void {
    clearImmediate(this.#resuming);
    this.#waiting = [];
  }

  #pass(step: () => boolean): void {
    this.#waiting.push(step);
    if (!this.#resuming) this.#run();
  }

  /** Lets the caller of a claim run before the next change, which may already take the place away from it. */
  #run(): void {
    this.#resuming = undefined;
    for (let step = this.#waiting.shift(); step; step = this.#waiting.shift()) {
      if (!step()) continue;
      this.#resuming = setImmediate(() => this.#run());
      return;
    }
  }
}

/** Undefined if another program used the channel. */
function parse(payload: string): Notice | undefined {
  try {
    const notice = JSON.parse(payload) as Partial<Notice> | null;
    return notice && typeof notice.xid === 'string' ? (notice as Notice) : undefined;
  } catch {
    return undefined;
  }
}
