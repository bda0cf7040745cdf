import { serveCalls, Caller, type Channel } from '../../lib/calls.js';
import { deferred } from '../../lib/wait.js';
import type { LeaseChange, LeaseClaim, LeaseDirectory } from './directory.js';
import type { MemoryDirectory } from './memory.js';
import type { LeaseRecord } from './record.js';
import { DirectoryView } from './view.js';

/** A directory in the memory of another process of this relay. Calls and changes pass through a channel. */

type Event =
  /** The first event: the name of the node, and all records. */
  { readonly node: string; readonly records: readonly LeaseRecord[] } | { readonly change: LeaseChange };

/** Serves `shared` to the node at the other end of `channel`. When that process ends, its agents have `graceMs` to reconnect. */
export function serveDirectory(
  shared: MemoryDirectory,
  { name, graceMs }: { name: string; graceMs: number },
  channel: Channel,
): void {
  const node = shared.node(name);
  const tell: (event: Event) => void = serveCalls(channel, {
    claim: (claim: LeaseClaim) => node.claim(claim),
    update: (record: LeaseRecord) => node.update(record),
    release: (place: string, epoch: number) => node.release(place, epoch),
  });
  tell({ node: name, records: [...shared.records()] });
  node.watch((change) => tell({ change }));
  channel.onClose(() => {
    void node.close();
    shared.lost(name, graceMs);
  });
}

/** The view of this process. Resolves once it has all records. */
export function openChannelDirectory(channel: Channel): Promise<LeaseDirectory> {
  return ChannelDirectory.open(channel);
}

class ChannelDirectory implements LeaseDirectory {
  node = '';
  readonly #view = new DirectoryView();
  readonly #ready = deferred<void>();
  readonly #caller: Caller;

  private constructor(channel: Channel) {
    this.#caller = new Caller(channel, (event) => this.#hear(event as Event));
    channel.onClose(() => this.#ready.reject(new Error('the channel closed before the records arrived')));
  }

  static async open(channel: Channel): Promise<ChannelDirectory> {
    const directory = new ChannelDirectory(channel);
    await directory.#ready.promise;
    return directory;
  }

  async claim(claim: LeaseClaim): Promise<LeaseRecord> {
    return (await this.#caller.call('claim', claim)) as LeaseRecord;
  }

  async update(record: LeaseRecord): Promise<void> {
    await this.#caller.call('update', record);
  }

  async release(place: string, epoch: number): Promise<void> {
    await this.#caller.call('release', place, epoch);
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
    // Releases that were requested still take effect.
    await this.#caller.settled();
    this.#caller.close();
  }

  #hear(event: Event): void {
    if ('records' in event) {
      this.node = event.node;
      this.#view.load(event.records);
      return this.#ready.resolve();
    }
    this.#view.hear(event.change);
  }
}
