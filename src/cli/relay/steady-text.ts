import { PortalError } from '../../lib/errors.js';

/** Pause between two reads that must agree. */
const AGREE_MS = 250;
/** The pause if the last line has no line end, as often during a write. */
const UNENDED_MS = 1_000;
/** After this many reads, wait for the next change of the file. */
const MAX_READS = 40;

export interface SteadyRead {
  readonly read: () => Promise<string>;
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * Reads a file that another program may be writing: an editor truncates it and then writes it in pieces. Returns the
 * text once two reads in a row agree. Throws the error of `read`, and `usage` if the file keeps changing.
 */
export async function steadyText({ read, pause }: SteadyRead): Promise<string> {
  let text = await read();
  for (let reads = 1; reads < MAX_READS; reads += 1) {
    await pause(text.endsWith('\n') ? AGREE_MS : UNENDED_MS);
    const next = await read();
    if (next === text) return text;
    text = next;
  }
  throw new PortalError('usage', 'the file keeps changing');
}

/** A file without even a comment is more likely an unfinished save than an empty list. */
export function isBlank(text: string): boolean {
  return text.trim() === '';
}
