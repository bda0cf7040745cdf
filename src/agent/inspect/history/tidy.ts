import { FILES_AT_A_TIME, type HistoryLimits } from './limits.js';
import type { HistoryFile, HistoryFolder } from './files.js';

/** Removes files that are too old, and the oldest beyond the limits. Keeps the files `ours`, which are being written. */
export async function tidy(
  folder: HistoryFolder,
  limits: HistoryLimits,
  now: number,
  ours: ReadonlySet<string>,
): Promise<readonly string[]> {
  const { files, unreadable } = await folder.list();
  const isOld = ({ info }: HistoryFile): boolean =>
    info.endsAt + Math.min(info.maxAgeMs, limits.maxAgeMs) < now;
  const kept: HistoryFile[] = [];
  // The file being written may still grow to full size.
  let bytes = limits.maxBytes / FILES_AT_A_TIME;
  for (const file of files) {
    const isTooMuch = bytes + file.bytes > limits.maxBytes || kept.length >= limits.maxFiles;
    if (!ours.has(file.name) && (isOld(file) || isTooMuch)) {
      await folder.remove(file.name);
      continue;
    }
    bytes += file.bytes;
    kept.push(file);
  }
  return unreadable;
}
