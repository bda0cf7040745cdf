import type { RequestRow } from '../../src/agent/inspect/wire.js';

export interface Filter {
  /** Words to find in method, path, authority, status or address. */
  readonly text: string;
  readonly method: string;
  /** `2` matches every 2xx; `broken` and `open` the outcome; `gate` any gate that rejected, and `gate:pin` this one. */
  readonly status: string;
  readonly service: string;
}

export const NO_FILTER: Filter = { text: '', method: '', status: '', service: '' };

/** The rows that match `filter`. Each word must appear somewhere. */
export function filtered(rows: readonly RequestRow[], filter: Filter): readonly RequestRow[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0 && !filter.method && !filter.status && !filter.service) return rows;
  return rows.filter(
    (row) =>
      (filter.method === '' || row.method === filter.method) &&
      (filter.service === '' || row.service === filter.service) &&
      (filter.status === '' || isOfStatus(row, filter.status)) &&
      (words.length === 0 || hasWords(row, words)),
  );
}

function isOfStatus({ status, outcome, portal }: RequestRow, wanted: string): boolean {
  if (wanted === 'gate') return portal?.gate !== undefined;
  if (wanted.startsWith('gate:')) return wanted === `gate:${portal?.gate}`;
  if (wanted === 'open') return outcome === 'open' || outcome === 'switched';
  if (wanted === 'broken') return outcome === 'broken';
  return status !== undefined && String(status).startsWith(wanted);
}

function hasWords(row: RequestRow, words: readonly string[]): boolean {
  const text =
    `${row.method} ${row.authority}${row.target} ${row.status ?? ''} ${row.remote} ${row.service}`.toLowerCase();
  return words.every((word) => text.includes(word));
}
