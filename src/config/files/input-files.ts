import { basename, dirname, resolve } from 'node:path';
import { PortalError } from '../../lib/errors.js';
import { dotenvOf, overlayOf, type Found } from './find.js';
import type { LoadOptions } from '../load.js';
import { notUtf8, readDotenv, readText, tooLarge } from './read-text.js';
import type { Path } from '../text/tree.js';
import { MAX_FILE_BYTES } from '../text/yaml.js';

/** The files that belong to every configuration: portal.yaml itself, its overlay and its `.env`. */

export interface Inputs {
  /** Base directory of relative paths in the file. */
  readonly directory: string;
  readonly overlay: string | undefined;
  readonly dotenv: string;
  readonly all: string[];
}

export function inputsOf(found: Found, cwd: string): Inputs {
  if (found.kind === 'stdin') {
    const dotenv = resolve(cwd, '.env');
    return { directory: resolve(cwd), overlay: undefined, dotenv, all: [dotenv] };
  }
  const directory = dirname(found.path);
  const overlay = overlayOf(found.path);
  const dotenv = dotenvOf(found.path);
  return { directory, overlay, dotenv, all: [found.path, overlay, dotenv] };
}

/** A file that Portal read in addition to the configuration, and the setting that names it. */
export type ReadFile = { file: string; of: string; path?: Path };

/** The overlay and the `.env`, if they exist. */
export function readBeside({ overlay, dotenv }: Inputs, texts: Texts): ReadFile[] {
  return [
    ...(overlay !== undefined && texts.overlay !== undefined
      ? [{ file: overlay, of: basename(overlay) }]
      : []),
    ...(texts.dotenv === undefined ? [] : [{ file: dotenv, of: '.env' }]),
  ];
}

/** The configuration, for display. */
export function shownName(found: Found): string {
  return found.kind === 'stdin' ? '<stdin>' : found.shown;
}

export function dotenvName(found: Found): string {
  return found.kind === 'stdin' ? '.env' : dotenvOf(found.shown);
}

export interface Texts {
  readonly main: string;
  readonly overlay: string | undefined;
  readonly dotenv: string | undefined;
}

export async function readInputs(
  found: Found,
  inputs: Inputs,
  { stdin, literal }: Pick<LoadOptions, 'stdin' | 'literal'>,
): Promise<Texts> {
  const trusted = found.kind === 'file' ? found.trusted : undefined;
  const [main, overlay, dotenv] = await Promise.all([
    found.kind === 'stdin' ? (stdin?.() ?? '') : readText(found.path, found.shown, trusted),
    inputs.overlay === undefined ? undefined : readText(inputs.overlay, inputs.overlay, trusted),
    literal ? undefined : readDotenv(inputs.dotenv, trusted),
  ]);
  if (main === undefined) {
    throw new PortalError('config_not_found', `there is no file ${shownName(found)}`, {
      hint: 'Check the path after -f or in PORTAL_FILE, or run `portal init` to create one.',
    });
  }
  if (main.length > MAX_FILE_BYTES) throw tooLarge(shownName(found));
  if (found.kind === 'stdin' && /^(?:\ufffd|.?.?.?\0)/s.test(main)) throw notUtf8('<stdin>');
  return { main, overlay, dotenv };
}
