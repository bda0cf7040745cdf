import { resolve } from 'node:path';
import { PortalError } from '../lib/errors.js';
import { parse } from './parse.js';
import { Source } from './source.js';
import { child, textOf } from './tree.js';
import { namesIdentity } from './variables.js';

interface Texts {
  readonly main: string;
  readonly overlay: string | undefined;
  readonly dotenv: string | undefined;
}

/**
 * The address of the identity that a configuration runs with, where one of its texts needs it. Undefined before the identity
 * exists, and where its file is unreadable or named by a variable.
 */
export async function identityAddress(
  texts: Texts,
  directory: string,
  addressIn: ((file: string | undefined) => Promise<string | undefined>) | undefined,
): Promise<string | undefined> {
  const all = [texts.overlay, texts.main, texts.dotenv];
  if (!addressIn || !all.some(namesIdentity)) return undefined;
  const named = [texts.overlay, texts.main].map((text) =>
    textOf(child(parse(new Source('', text ?? '')).tree, 'identity')),
  );
  const file = named.find((one) => one !== undefined);
  if (file?.includes('$')) return undefined;
  try {
    return await addressIn(file === undefined ? undefined : resolve(directory, file));
  } catch (error) {
    // The agent that runs with the file reports what is wrong with it.
    if (error instanceof PortalError) return undefined;
    throw error;
  }
}
