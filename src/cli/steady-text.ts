import { PortalError } from '../lib/errors.js';

/** Between the two readings of a file that have to agree. */
const AGREE_MS = 250;
/** Where the last line has no end, as it has not while somebody writes it. */
const UNENDED_MS = 1_000;
/** A file that is written for longer is looked at again when it changes next. */
const MAX_READINGS = 40;

export interface SteadyRead {
  readonly read: () => Promise<string>;
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * The text of a file that others write in place: an editor truncates it first and then writes, in pieces where it is long. What
 * two readings in a row agree on counts. Throws what `read` throws, and `usage` where the file does not come to rest.
 */
export async function steadyText({ read, pause }: SteadyRead): Promise<string> {
  let text = await read();
  for (let readings = 1; readings < MAX_READINGS; readings += 1) {
    await pause(text.endsWith('\n') ? AGREE_MS : UNENDED_MS);
    const next = await read();
    if (next === text) return text;
    text = next;
  }
  throw new PortalError('usage', 'it is still being written');
}

/** Nothing at all, not even a comment: more likely a save that is under way, or failed, than a list of nobody. */
export function isBlank(text: string): boolean {
  return text.trim() === '';
}
