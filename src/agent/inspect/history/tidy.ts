import { FILES_AT_A_TIME, type HistoryBounds } from './bounds.js';
import type { HistoryFile, HistoryFolder } from './files.js';

/** Removes what is too old, and of what is too much the oldest. `ours` are being written: they stay. */
export async function tidy(
  folder: HistoryFolder,
  bounds: HistoryBounds,
  now: number,
  ours: ReadonlySet<string>,
): Promise<readonly string[]> {
  const { files, unreadable } = await folder.list();
  const isOld = ({ info }: HistoryFile): boolean =>
    info.endsAt + Math.min(info.maxAgeMs, bounds.maxAgeMs) < now;
  const kept: HistoryFile[] = [];
  // What is being written now may grow to a whole file yet.
  let bytes = bounds.maxBytes / FILES_AT_A_TIME;
  for (const file of files) {
    const isTooMuch = bytes + file.bytes > bounds.maxBytes || kept.length >= bounds.maxFiles;
    if (!ours.has(file.name) && (isOld(file) || isTooMuch)) {
      await folder.remove(file.name);
      continue;
    }
    bytes += file.bytes;
    kept.push(file);
  }
  return unreadable;
}
