import type { RequestRow } from '../../src/agent/inspect/wire.js';

/** A row of the list: a request, and the number of reloads by Portal's 503 page after it. */
export interface ListRow extends RequestRow {
  readonly reloads?: number;
  /** The time of the last reload. */
  readonly reloadedAt?: number;
}

/** Codes of invalid requests, which no route has seen. */
const INVALID = new Set([
  'bad_request',
  'unknown_method',
  'http_version',
  'request_headers_too_large',
  'expectation_failed',
  'transfer_coding',
  'request_timeout',
  'misdirected',
]);

export const isRejected = ({ portal }: RequestRow): boolean =>
  portal !== undefined && INVALID.has(portal.code);

/**
 * Rows, newest first. Folds the reloads of a page into the visit before them. The row stays where the visit is, so
 * the list does not move with each reload.
 */
export function folded(rows: readonly RequestRow[]): readonly ListRow[] {
  if (!rows.some(({ reload }) => reload)) return rows;
  /** The visit that a reload of this page belongs to: its place in `kept`. */
  const visits = new Map<string, number>();
  const kept: ListRow[] = [];
  for (const row of rows.toReversed()) {
    const page = JSON.stringify([row.service, row.remote, row.authority, row.target]);
    const at = visits.get(page);
    if (row.reload && at !== undefined) {
      const visit = kept[at]!;
      kept[at] = { ...visit, reloads: (visit.reloads ?? 0) + 1, reloadedAt: row.startedAt };
      continue;
    }
    // Once the service responds, the next reload belongs to another visit.
    if (row.portal) visits.set(page, kept.length);
    else visits.delete(page);
    kept.push(row);
  }
  return kept.toReversed();
}
