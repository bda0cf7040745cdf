import type { TimedEvent } from '../reporters/reporter.js';

/** A line of the log. */
export interface LogEntry {
  readonly time: string;
  readonly event: 'log';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One line of `portal logs`. */
export type Entry = TimedEvent | LogEntry;

/** Header of a response with the log: how many of its entries are recent ones. New entries follow. */
export const RECENT_HEADER = 'portal-recent';

/** The number of entries that an agent keeps of each kind: events and log, and requests. */
export const MAX_LOG_ENTRIES = 1_000;

/** Lines of programs among them. Programs print much more than Portal. */
const MAX_OUTPUT_ENTRIES = 500;

/** The latest entries, up to a limit, and listeners for new ones. */
export class History<T extends { readonly event: string } = Entry> {
  readonly #entries: T[] = [];
  #outputs = 0;
  readonly #listeners = new Set<(entry: T) => void>();

  add(entry: T): void {
    this.#entries.push(entry);
    if (isOutput(entry)) this.#outputs++;
    if (this.#outputs > MAX_OUTPUT_ENTRIES) this.#drop(this.#entries.findIndex(isOutput));
    else if (this.#entries.length > MAX_LOG_ENTRIES) this.#drop(0);
    for (const listener of this.#listeners) listener(entry);
  }

  #drop(index: number): void {
    const [dropped] = this.#entries.splice(index, 1);
    if (dropped && isOutput(dropped)) this.#outputs--;
  }

  /** Oldest first. */
  recent(): readonly T[] {
    return [...this.#entries];
  }

  /** Returns a function that removes the listener. */
  listen(listener: (entry: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const isOutput = ({ event }: { readonly event: string }): boolean => event === 'output';
