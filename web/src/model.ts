import { useEffect, useState } from 'preact/hooks';
import type { LiveMessage, RequestRow } from '../../src/agent/inspect/wire.js';
import { agent, listen, type Link } from './connection.js';

type State = Extract<LiveMessage, { type: 'state' }>;

export interface Snapshot {
  readonly link: Link;
  readonly state: State | undefined;
  /** Newest first, with requests of earlier runs at the end. */
  readonly rows: readonly RequestRow[];
  /** Whether there are more requests of earlier runs. */
  readonly hasEarlier: boolean;
  readonly dropped: number;
  /** The agent no longer stores ids below this one. */
  readonly oldest: number;
}

/** Stores the agent's data. Updates the page at most once per frame. */
class Model {
  #snapshot: Snapshot = {
    link: 'connecting',
    state: undefined,
    rows: [],
    hasEarlier: false,
    dropped: 0,
    oldest: 0,
  };
  #rows = new Map<number, RequestRow>();
  /** Requests of earlier runs, newest first. */
  #earlier: readonly RequestRow[] = [];
  /** Counts restarts of the data: a response from before a restart is outdated. */
  #beginnings = 0;
  #isDue = false;
  #listeners = new Set<(snapshot: Snapshot) => void>();

  start(): void {
    listen(
      (message) => this.#take(message),
      (link) => this.#set({ link }),
    );
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(message: LiveMessage): void {
    if (message.type === 'state') return this.#set({ state: message });
    const { rows, oldest, dropped, reset } = message;
    if (reset) this.#beginAnew();
    for (const row of rows) this.#rows.set(row.id, row);
    for (const id of this.#rows.keys()) {
      if (id >= oldest) break;
      this.#rows.delete(id);
    }
    // Messages arrive in the order of change, so repeated ones can be out of order.
    const sorted = [...this.#rows.values()].toSorted((a, b) => b.id - a.id);
    this.#set({ rows: [...sorted, ...this.#earlier], dropped, oldest });
  }

  /** Loads the next page of earlier requests. */
  async showEarlier(): Promise<void> {
    const beginnings = this.#beginnings;
    const { rows, isPart } = await agent.earlier(this.#earlier.at(-1)?.startedAt);
    if (beginnings !== this.#beginnings) return;
    const live = this.#snapshot.rows.slice(0, this.#snapshot.rows.length - this.#earlier.length);
    this.#earlier = [...this.#earlier, ...rows];
    this.#set({ rows: [...live, ...this.#earlier], hasEarlier: isPart });
  }

  #beginAnew(): void {
    this.#beginnings++;
    this.#rows = new Map();
    this.#earlier = [];
    this.#set({ rows: [], hasEarlier: false });
    // Live requests work without earlier ones.
    this.showEarlier().catch(() => undefined);
  }

  #set(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      for (const listener of this.#listeners) listener(this.#snapshot);
    }, 16);
  }
}

export const model = new Model();

export function useModel(): Snapshot {
  const [snapshot, setSnapshot] = useState(model.snapshot);
  useEffect(() => {
    setSnapshot(model.snapshot);
    return model.subscribe(setSnapshot);
  }, []);
  return snapshot;
}
