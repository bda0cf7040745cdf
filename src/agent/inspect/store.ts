import { ByteRate } from '../../net/rate.js';
import { INSPECT_BOUNDS, type InspectBounds } from './bounds.js';
import type { Recording } from './recording.js';

/** What a recording costs besides its header fields and bodies. */
const OVERHEAD_BYTES = 1_024;

export interface StoreListener {
  /** Something of this request is new. */
  readonly changed: (id: number) => void;
  /** All are gone. */
  readonly cleared?: () => void;
}

/** Owns what was recorded: bounded in number and in bytes, the oldest go. Nothing here leaves the process. */
export class RequestStore {
  readonly bounds: InspectBounds;
  /** Oldest first. */
  readonly #recordings = new Map<number, { readonly recording: Recording; bytes: number }>();
  readonly #rate: ByteRate;
  readonly #bodyRate: ByteRate;
  readonly #listeners = new Set<StoreListener>();
  #bytes = 0;
  #lastId = 0;
  /** Ids follow each other: to ask a map for its first key is slow where others were before it. */
  #oldest = 1;
  /** But for these, which were never given. */
  #gaps: { readonly from: number; readonly to: number }[] = [];
  /** Requests that were too many to record. */
  dropped = 0;

  constructor(bounds: Partial<InspectBounds> = {}) {
    this.bounds = { ...INSPECT_BOUNDS, ...bounds };
    this.#rate = new ByteRate(this.bounds.requestsPerSecond * OVERHEAD_BYTES);
    this.#bodyRate = new ByteRate(this.bounds.bodyBytesPerSecond);
  }

  /** Whether one more may be recorded now; counts it as dropped if not. */
  admits(): boolean {
    if (this.#rate.tryTake(OVERHEAD_BYTES)) return true;
    this.dropped++;
    return false;
  }

  readonly admitsBody = (bytes: number): boolean => this.#bodyRate.tryTake(bytes);

  get lastId(): number {
    return this.#lastId;
  }

  /** Ids go on after `id` from here; never below those that were. */
  continueAfter(id: number): void {
    if (id <= this.#lastId) return;
    if (this.size === 0) this.#oldest = id + 1;
    else this.#gaps.push({ from: this.#lastId + 1, to: id });
    this.#lastId = id;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  add(recording: Recording): void {
    const bytes = OVERHEAD_BYTES + sizeOf(recording.requestHeaders) + recording.target.length;
    this.#recordings.set(recording.id, { recording, bytes });
    this.#bytes += bytes;
    this.#makeRoom();
    this.#tell(recording.id);
  }

  /** It holds so much more than before; 0: something else of it is new. */
  changed(id: number, bytes = 0): void {
    const entry = this.#recordings.get(id);
    if (!entry) return;
    entry.bytes += bytes;
    this.#bytes += bytes;
    if (bytes > 0) this.#makeRoom();
    this.#tell(id);
  }

  get(id: number): Recording | undefined {
    return this.#recordings.get(id)?.recording;
  }

  *all(): Iterable<Recording> {
    for (const { recording } of this.#recordings.values()) yield recording;
  }

  get size(): number {
    return this.#recordings.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Every id below is gone. */
  get oldest(): number {
    return this.#oldest;
  }

  clear(): void {
    this.#recordings.clear();
    this.#bytes = 0;
    this.#oldest = this.#lastId + 1;
    this.#gaps = [];
    this.dropped = 0;
    for (const { cleared } of this.#listeners) cleared?.();
  }

  /** Called on the visitor's time: it must do next to nothing. */
  listen(listener: StoreListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(id: number): void {
    for (const { changed } of this.#listeners) changed(id);
  }

  #makeRoom(): void {
    const { maxRequests, maxTotalBytes } = this.bounds;
    while (this.#recordings.size > maxRequests || this.#bytes > maxTotalBytes) {
      this.#bytes -= this.#recordings.get(this.#oldest)?.bytes ?? 0;
      this.#recordings.delete(this.#oldest++);
      const [gap] = this.#gaps;
      if (this.#oldest !== gap?.from) continue;
      this.#oldest = gap.to + 1;
      this.#gaps.shift();
    }
  }
}

/** What header fields take in memory, about. */
export function sizeOf(headers: readonly string[]): number {
  let bytes = 0;
  for (const text of headers) bytes += text.length + 16;
  return bytes;
}
