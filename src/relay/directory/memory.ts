import { nameTaken, type LeaseChange, type LeaseClaim, type LeaseDirectory } from './directory.js';
import { publicPlaceOf, withoutNode, type LeaseRecord } from './record.js';
import { DirectoryView } from './view.js';

/** A directory in the memory of one process. Its nodes share it, as nodes of a cluster share a database. */
export class MemoryDirectory {
  readonly #records = new DirectoryView();
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
    const other = this.#records.at(publicPlaceOf(claim.place)).find(({ owner }) => owner !== claim.owner);
    if (other) throw nameTaken(other);
    const record = { ...claim, node, epoch: ++this.#epoch };
    this.#set(record);
    return record;
  }

  update(record: LeaseRecord): void {
    if (this.#records.lookup(record.place)?.epoch === record.epoch) this.#set(record);
  }

  release(place: string, epoch: number): void {
    if (this.#records.lookup(place)?.epoch !== epoch) return;
    this.#tell({ place, epoch, record: undefined });
  }

  /** Every record. */
  records(): Iterable<LeaseRecord> {
    return this.#records.all();
  }

  /**
   * Call when a node ended without releasing what it has. Visitors wait for its agents for `graceMs`, as if these had
   * disconnected. Then releases the places that no other node has claimed.
   */
  lost(node: string, graceMs: number): void {
    const records = this.#records.of(node);
    for (const record of records) this.update(withoutNode(record));
    setTimeout(() => {
      for (const { place, epoch } of records) this.release(place, epoch);
    }, graceMs).unref();
  }

  leave(node: MemoryNode): void {
    this.#nodes.delete(node);
  }

  #set(record: LeaseRecord): void {
    this.#tell({ place: record.place, epoch: record.epoch, record });
  }

  /** Every node hears each change a moment later, in the same order. */
  #tell(change: LeaseChange): void {
    this.#records.hear(change);
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

  at(publicPlace: string): readonly LeaseRecord[] {
    return this.#view.at(publicPlace);
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
