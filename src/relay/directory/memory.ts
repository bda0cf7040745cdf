import { nameTaken, type LeaseChange, type LeaseClaim, type LeaseDirectory } from './directory.js';
import type { LeaseRecord } from './record.js';
import { DirectoryView } from './view.js';

/** A directory in the memory of one process. Its nodes share it, as nodes of a cluster share a database. */
export class MemoryDirectory {
  readonly #records = new Map<string, LeaseRecord>();
  readonly #nodes = new Set<MemoryNode>();
  /** One count for all places, so that a released place needs no memory of its last epoch. */
  #epoch = 0;

  /** The view of one node. */
  node(name: string): LeaseDirectory {
    const node = new MemoryNode(name, this);
    this.#nodes.add(node);
    return node;
  }

  claim(node: string, claim: LeaseClaim): LeaseRecord {
    const present = this.#records.get(claim.place);
    if (present && present.owner !== claim.owner) throw nameTaken(present);
    const record = { ...claim, node, epoch: ++this.#epoch };
    this.#set(record);
    return record;
  }

  update(record: LeaseRecord): void {
    if (this.#records.get(record.place)?.epoch === record.epoch) this.#set(record);
  }

  release(place: string, epoch: number): void {
    if (this.#records.get(place)?.epoch !== epoch) return;
    this.#records.delete(place);
    this.#tell({ place, epoch, record: undefined });
  }

  /** Every record. */
  records(): Iterable<LeaseRecord> {
    return this.#records.values();
  }

  /**
   * Call when a node ended without releasing what it has. Visitors wait for its agents for `graceMs`, as if these had
   * disconnected. Then releases the places that no other node has claimed.
   */
  lost(node: string, graceMs: number): void {
    const records = [...this.#records.values()].filter((record) => record.node === node);
    for (const record of records) this.update({ ...record, session: undefined });
    setTimeout(() => {
      for (const { place, epoch } of records) this.release(place, epoch);
    }, graceMs).unref();
  }

  leave(node: MemoryNode): void {
    this.#nodes.delete(node);
  }

  #set(record: LeaseRecord): void {
    this.#records.set(record.place, record);
    this.#tell({ place: record.place, epoch: record.epoch, record });
  }

  /** Every node hears each change a moment later, in the same order. */
  #tell(change: LeaseChange): void {
    for (const node of this.#nodes) queueMicrotask(() => node.hear(change));
  }
}

class MemoryNode implements LeaseDirectory {
  readonly node: string;
  readonly #shared: MemoryDirectory;
  /** What this node has heard. */
  readonly #view = new DirectoryView();

  constructor(node: string, shared: MemoryDirectory) {
    this.node = node;
    this.#shared = shared;
    this.#view.load(shared.records());
  }

  /** Async, so that the change is heard before the claim resolves. */
  async claim(claim: LeaseClaim): Promise<LeaseRecord> {
    return this.#shared.claim(this.node, claim);
  }

  async update(record: LeaseRecord): Promise<void> {
    this.#shared.update(record);
  }

  async release(place: string, epoch: number): Promise<void> {
    this.#shared.release(place, epoch);
  }

  lookup(place: string): LeaseRecord | undefined {
    return this.#view.lookup(place);
  }

  watch(listener: (change: LeaseChange) => void): () => void {
    return this.#view.watch(listener);
  }

  async close(): Promise<void> {
    this.#view.close();
    this.#shared.leave(this);
  }

  hear(change: LeaseChange): void {
    this.#view.hear(change);
  }
}
