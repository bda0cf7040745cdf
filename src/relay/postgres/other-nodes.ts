/** A node as the database has it. */
export interface NodeRow {
  readonly node: string;
  /** Where other nodes reach it: HOST:PORT. */
  readonly address: string;
  /** Rises with each renewal. */
  readonly beat: string;
}

interface Other {
  address: string;
  beat: string | undefined;
  /** When this node first saw that beat, by its own monotonic clock. */
  seenAt: number;
}

export interface OtherNodesOptions {
  /** The name of this node. */
  readonly node: string;
  readonly ttlMs: number;
  readonly graceMs: number;
  readonly now?: () => number;
}

/**
 * Owns what this node knows about the others. A node is lost when its beat did not change for its time to live. This node
 * measures that with its own clock, because clocks of machines may differ, and jump.
 */
export class OtherNodes {
  readonly #options: OtherNodesOptions;
  readonly #now: () => number;
  readonly #others = new Map<string, Other>();
  /** Lost nodes whose agents may still return, and since when. */
  readonly #lost = new Map<string, number>();
  readonly #leftListeners: ((node: string) => void)[] = [];
  readonly #joinedListeners: ((node: string) => void)[] = [];
  #observedAt: number | undefined;

  constructor(options: OtherNodesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The names of the other nodes that run now. */
  names(): Iterable<string> {
    return this.#others.keys();
  }

  get size(): number {
    return this.#others.size;
  }

  addressOf(node: string): string | undefined {
    return this.#others.get(node)?.address;
  }

  onLeft(listener: (node: string) => void): void {
    this.#leftListeners.push(listener);
  }

  onJoined(listener: (node: string) => void): void {
    this.#joinedListeners.push(listener);
  }

  /** Replaces what is known, after a time in which this node heard of no change. */
  load(nodes: readonly NodeRow[], lost: readonly string[]): void {
    for (const { node, address } of nodes) this.joined(node, address);
    // While this node could not read, the others may have been unable to renew, too.
    this.#observedAt = undefined;
    const running = new Set(nodes.map(({ node }) => node));
    for (const node of this.#others.keys()) if (!running.has(node)) this.#leave(node);
    for (const node of this.#lost.keys()) if (!lost.includes(node)) this.#lost.delete(node);
    for (const node of lost) this.#lose(node);
  }

  joined(node: string, address: string): void {
    if (node === this.#options.node) return;
    const known = this.#others.get(node);
    if (known) {
      known.address = address;
      return;
    }
    this.#others.set(node, { address, beat: undefined, seenAt: this.#now() });
    for (const listener of this.#joinedListeners) listener(node);
  }

  /** Call when a node ended; its agents have time to return. */
  left(node: string): void {
    this.#leave(node);
    if (node !== this.#options.node) this.#lose(node);
  }

  /** Call when a node no longer has leases. */
  gone(node: string): void {
    this.#leave(node);
    this.#lost.delete(node);
  }

  /** Call with each new reading of the database. Returns the nodes whose time to live has ended, as they were read. */
  observe(rows: readonly NodeRow[]): NodeRow[] {
    const { ttlMs, node: self } = this.#options;
    const now = this.#now();
    // Counts from now on.
    const isFirst = this.#observedAt === undefined || now - this.#observedAt > ttlMs / 2;
    this.#observedAt = now;
    return rows.filter((row) => {
      const other = row.node === self ? undefined : this.#others.get(row.node);
      if (!other) return false;
      if (isFirst || other.beat !== row.beat) Object.assign(other, { beat: row.beat, seenAt: now });
      return now - other.seenAt >= ttlMs;
    });
  }

  /** Lost nodes whose agents had enough time to return. */
  overdue(): string[] {
    const before = this.#now() - this.#options.graceMs;
    return [...this.#lost].flatMap(([node, since]) => (since <= before ? [node] : []));
  }

  #lose(node: string): void {
    if (!this.#lost.has(node)) this.#lost.set(node, this.#now());
  }

  #leave(node: string): void {
    if (this.#others.delete(node)) for (const listener of this.#leftListeners) listener(node);
  }
}
