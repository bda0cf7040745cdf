import { closeSync, openSync, rmSync, writeSync } from 'node:fs';

/** Writes `file` until not one byte more fits; resolves with what gives the room back. */
export function fillDisk(file) {
  const handle = openSync(file, 'a');
  // The last bytes too: half a page is enough for some.
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
