import { open } from 'node:fs/promises';

/** The kernel returns at most one page for each read. */
const PAGE_BYTES = 16 * 1024;

/**
 * Buffers that no read uses. Checks repeat every few seconds, and a new buffer for each would stay in the memory of an
 * idle process until V8 collects it, which can take minutes.
 */
const spare: Buffer[] = [];

/**
 * A table below /proc, as Latin-1 text. Reading ends early after `maxBytes`, or after a page for which `isLast` returns
 * true. A page can end within a row. Undefined if the table cannot be read, as on systems other than Linux.
 */
export async function readSystemTable(
  file: string,
  {
    isLast,
    maxBytes = Infinity,
  }: { isLast?: ((page: string) => boolean) | undefined; maxBytes?: number } = {},
): Promise<string | undefined> {
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(PAGE_BYTES);
  try {
    const handle = await open(file);
    try {
      let text = '';
      while (text.length < maxBytes) {
        const { bytesRead } = await handle.read(buffer, 0, PAGE_BYTES);
        const page = buffer.toString('latin1', 0, bytesRead);
        text += page;
        if (bytesRead === 0 || isLast?.(page)) break;
      }
      return text;
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  } finally {
    spare.push(buffer);
  }
}
