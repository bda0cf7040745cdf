import { open } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { readAt, type HistoryFile } from './files.js';
import type { Encoded } from './record.js';
import { FRAME_HEAD_BYTES, KIND, readFrameHead, type FrameHead } from './seal.js';
import type { StoredRow } from './writing.js';

/** Frames decrypted before other work gets a turn. */
const FRAMES_A_TURN = 4;
const CHUNK_BYTES = 256 * 1024;

/** Called for each unreadable place. */
export type OnDamage = () => void;

/** The rows of a file in written order, one frame at a time. Unreadable frames are reported and skipped. */
export async function* rowsOf(file: HistoryFile, onDamage: OnDamage): AsyncGenerator<readonly StoredRow[]> {
  const handle = await open(file.path, 'r').catch(() => undefined);
  // The file was removed meanwhile.
  if (!handle) return;
  let chunk: Buffer = Buffer.alloc(0);
  let chunkAt = 0;
  /** Reads in large pieces, because most frames are small. */
  const read = async (at: number, bytes: number): Promise<Buffer> => {
    if (at < chunkAt || at + bytes > chunkAt + chunk.length) {
      chunk = await readAt(handle, at, Math.max(bytes, CHUNK_BYTES));
      chunkAt = at;
    }
    return chunk.subarray(at - chunkAt, at - chunkAt + bytes);
  };
  try {
    let at = file.begin;
    for (let frames = 1; ; frames++) {
      const clear = Buffer.from(await read(at, FRAME_HEAD_BYTES));
      if (clear.length === 0) return;
      const head = readFrameHead(clear);
      if (!head) {
        onDamage();
        return;
      }
      if (head.kind === KIND.heads) {
        const sealed = await read(at + FRAME_HEAD_BYTES, head.sealedBytes);
        // The end of a frame that another process is writing, or was writing when it was killed.
        if (sealed.length < head.sealedBytes) return;
        const rows = parse(file.seal.open(at, clear, sealed));
        if (rows) yield rows;
        else onDamage();
        if (frames % FRAMES_A_TURN === 0) await turn();
      }
      at += FRAME_HEAD_BYTES + head.sealedBytes;
    }
  } finally {
    await handle.close();
  }
}

/** The part that belongs to a row. Undefined if it is unreadable or was removed. */
export async function partOf(file: HistoryFile, row: StoredRow): Promise<Encoded | undefined> {
  const [frame, from, bytes] = row.at;
  const handle = await open(file.path, 'r').catch(() => undefined);
  if (!handle) return undefined;
  try {
    const clear = await readAt(handle, frame, FRAME_HEAD_BYTES);
    const head: FrameHead | undefined = readFrameHead(clear);
    if (head?.kind !== KIND.parts) return undefined;
    const sealed = await readAt(handle, frame + FRAME_HEAD_BYTES, head.sealedBytes);
    const content = file.seal.open(frame, clear, sealed);
    return content && { row, part: content.subarray(from, from + bytes) };
  } finally {
    await handle.close();
  }
}

function parse(content: Buffer | undefined): readonly StoredRow[] | undefined {
  try {
    return content && (JSON.parse(content.toString()) as StoredRow[]);
  } catch {
    return undefined;
  }
}
