import { openLocalCa, type LocalCaOptions } from '../../certificates/local-ca.js';
import { covers } from '../../certificates/local-names.js';
import type { Context } from '../context.js';

/** Whether the local CA can issue certificates for a relay's names. Another check reports an invalid URL. */
function isLocal(url: string): boolean {
  return !URL.canParse(url) || covers(new URL(url).hostname);
}

/** The CA file of a relay without a configured CA: the local CA, if the relay is on this machine or its network. */
export async function caOf(
  { paths }: Pick<Context, 'paths'>,
  url: string,
  onCreated?: LocalCaOptions['onCreated'],
): Promise<string | undefined> {
  if (!URL.canParse(url) || !isLocal(url)) return undefined;
  return (await openLocalCa(paths.caDir, { onCreated })).certificateFile;
}
