import type { Recording } from '../recording.js';
import type { RequestRow } from '../wire.js';
import type { HistoryFile, HistoryFolder } from './files.js';
import { runOf } from './ids.js';
import { decode } from './record.js';
import { partOf, rowsOf } from './reading.js';
import type { StoredRow } from './writing.js';

/** Search criteria. An absent one matches everything. */
export interface Wanted {
  readonly services?: readonly string[];
  /** Path of portal.yaml; null for requests without one. */
  readonly source?: string | null;
  readonly methods?: readonly string[];
  /** Any of these: `404`, `5xx`, or `broken`. */
  readonly statuses?: readonly string[];
  /** Earliest time, in milliseconds since the epoch. */
  readonly since?: number;
  /** Before this time. */
  readonly before?: number;
  /** Each of these words must occur in the method, host, path, status, address or service. */
  readonly text?: string;
}

/** A row of the history and its portal.yaml. */
export type FoundRow = RequestRow & { readonly earlier: true; readonly source: string | null };

export interface Found {
  /** Newest first. */
  readonly rows: readonly FoundRow[];
  /** Older matches exist. */
  readonly isPart: boolean;
  /** Unreadable places, each with one or more requests. */
  readonly damaged: number;
}

/** The newest matches, at most `limit`. */
export async function search(
  folder: HistoryFolder,
  wanted: Wanted,
  limit: number,
  now: number,
): Promise<Found> {
  const matches = matcher(wanted);
  let damaged = 0;
  let isPart = false;
  let rows = new Map<number, { readonly row: FoundRow; readonly file: HistoryFile }>();
  /** Older requests cannot be among the newest. */
  let oldest = -Infinity;
  const keepNewest = (): void => {
    if (rows.size <= limit) return;
    isPart = true;
    const newest = [...rows.values()].toSorted((a, b) => newestFirst(a.row, b.row)).slice(0, limit);
    oldest = newest.at(-1)?.row.startedAt ?? Infinity;
    rows = new Map(newest.map((each) => [each.row.id, each]));
  };
  const { files } = await folder.list();
  for (const file of files) {
    const { source, endsAt, maxAgeMs } = file.info;
    const from = Math.max(wanted.since ?? -Infinity, now - maxAgeMs);
    if (wanted.source !== undefined && wanted.source !== source) continue;
    // Everything in it began before it was closed.
    if (endsAt < from) continue;
    if (endsAt < oldest) {
      isPart = true;
      continue;
    }
    for await (const stored of rowsOf(file, () => damaged++)) {
      for (const { at: _, ...row } of stored) {
        // If a request was written twice, the later version counts. Files come latest first.
        const seen = rows.get(row.id);
        if (seen && seen.file !== file) continue;
        rows.delete(row.id);
        if (row.startedAt < from || !matches(row)) continue;
        if (row.startedAt < oldest) isPart = true;
        else rows.set(row.id, { row: { ...row, earlier: true, source }, file });
      }
      if (rows.size > 2 * limit + 1_000) keepNewest();
    }
    keepNewest();
  }
  return { rows: [...rows.values()].map(({ row }) => row).toSorted(newestFirst), isPart, damaged };
}

/** A request with everything that was stored of it. */
export async function find(folder: HistoryFolder, id: number, now: number): Promise<Recording | undefined> {
  const { files } = await folder.list();
  for (const file of files) {
    if (file.run !== runOf(id)) continue;
    const row = await rowIn(file, id);
    if (!row || row.startedAt < now - file.info.maxAgeMs) continue;
    const encoded = await partOf(file, row);
    const { at: _, ...plain } = row;
    if (encoded) return decode({ row: plain, part: encoded.part }, file.info);
  }
  return undefined;
}

async function rowIn(file: HistoryFile, id: number): Promise<StoredRow | undefined> {
  let found: StoredRow | undefined;
  for await (const rows of rowsOf(file, () => undefined)) {
    for (const row of rows) if (row.id === id) found = row;
  }
  return found;
}

const newestFirst = (a: RequestRow, b: RequestRow): number => b.startedAt - a.startedAt || b.id - a.id;

function matcher({ services, methods, statuses, before, text = '' }: Wanted): (row: RequestRow) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) =>
    (before === undefined || row.startedAt < before) &&
    (services === undefined || services.includes(row.service)) &&
    (methods === undefined || methods.includes(row.method)) &&
    (statuses === undefined || statuses.some((status) => hasStatus(row, status))) &&
    (words.length === 0 || hasWords(row, words));
}

function hasStatus({ status, outcome }: RequestRow, wanted: string): boolean {
  if (wanted === 'broken') return outcome === 'broken';
  return (
    status !== undefined &&
    (wanted.endsWith('xx') ? String(status)[0] === wanted[0] : String(status) === wanted)
  );
}

function hasWords(
  { method, authority, target, status, remote, service }: RequestRow,
  words: string[],
): boolean {
  const text = `${method} ${authority}${target} ${status ?? ''} ${remote} ${service}`.toLowerCase();
  return words.every((word) => text.includes(word));
}
