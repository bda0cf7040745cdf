import { closeSync, openSync, rmSync, writeSync } from 'node:fs';

/** Writes `file` until the disk is full. Resolves with a function that frees the space. */
export function fillDisk(file) {
  const handle = openSync(file, 'a');
  // Fills the last bytes too: some writes need only half a page.
  for (const size of [65_536, 4_096, 1]) {
    const block = Buffer.alloc(size);
    try {
      for (;;) writeSync(handle, block);
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    }
  }
  closeSync(handle);
  return () => rmSync(file, { force: true });
}
