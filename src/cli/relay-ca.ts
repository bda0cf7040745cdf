import { openLocalCa } from '../certificates/local-ca.js';
import { covers } from '../certificates/local-names.js';
import type { Context } from './context.js';

/** Whether the local CA can certify the names of a relay; what is no URL is told of elsewhere. */
export function isLocal(url: string): boolean {
  return !URL.canParse(url) || covers(new URL(url).hostname);
}

/** The CA of a relay that nobody named one for: on this machine or its network it can only be the local one. */
export async function caOf(
  { paths }: Pick<Context, 'paths'>,
  url: string,
  onCreated?: (certificateFile: string) => void,
): Promise<string | undefined> {
  if (!URL.canParse(url) || !isLocal(url)) return undefined;
  return (await openLocalCa(paths.caDir, { onCreated })).certificateFile;
}
