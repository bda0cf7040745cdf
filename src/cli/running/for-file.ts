import { isAbsolute, relative } from 'node:path';
import { findConfig } from '../../config/find.js';
import { shellQuote } from '../../lib/shell-quote.js';
import type { Context } from '../context.js';

type Place = Pick<Context, 'cwd' | 'env'>;

/**
 * `command` for the configuration `file`: with `-f FILE` unless the command finds this file itself.
 * @param file absolute; a name such as `<stdin>` gets no option
 * @param option `-F` for `portal logs`
 */
export async function commandFor(
  place: Place,
  command: string,
  file: string | undefined,
  option = '-f',
): Promise<string> {
  return `${command}${await optionFor(place, file, option)}`;
}

/** A hint for the configuration `file`: each quoted command such as `portal allow` gets `-f FILE` where it needs it. */
export async function hintFor(place: Place, hint: string, file: string | undefined): Promise<string> {
  const option = await optionFor(place, file, '-f');
  return hint.replaceAll(
    /`(portal (?:allow|up)\b[^`]*)`/g,
    (_, command: string) => `\`${command}${option}\``,
  );
}

async function optionFor({ cwd, env }: Place, file: string | undefined, option: string): Promise<string> {
  if (file === undefined || !isAbsolute(file)) return '';
  const found = await findConfig({ cwd, env }).catch(() => undefined);
  if (found?.kind === 'file' && found.path === file) return '';
  const near = relative(cwd, file);
  return ` ${option} ${shellQuote(near.length < file.length ? near : file)}`;
}
