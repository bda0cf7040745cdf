import { isAbsolute, relative, resolve } from 'node:path';
import { findConfig } from '../../config/files/find.js';
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

/** The path of a configuration that the user named; undefined if it is standard input, or if the user named none. */
export const namedFile = ({ cwd }: Pick<Place, 'cwd'>, file: string | undefined): string | undefined =>
  file === undefined || file === '-' ? undefined : resolve(cwd, file);

/** Quoted commands of the configuration, without those of other files and agents. */
const QUOTED =
  /`(portal (?:allow|doctor|down|env|list|logs|plan|replay|run|service|status|up|validate)\b[^`]*)`/g;

/** A hint for the configuration `file`: each quoted command such as `portal allow` gets `-f FILE` where it needs it. */
export async function hintFor(place: Place, hint: string, file: string | undefined): Promise<string> {
  return (await hintsFor(place, file))(hint);
}

/** The same for many hints. */
export async function hintsFor(place: Place, file: string | undefined): Promise<(hint: string) => string> {
  const [option, ofLogs] = await Promise.all([optionFor(place, file, '-f'), optionFor(place, file, '-F')]);
  if (option === '') return (hint) => hint;
  return (hint) =>
    hint.replaceAll(QUOTED, (quoted, command: string) => {
      const isLogs = /^portal logs\b/.test(command);
      const names = isLogs ? /\s(?:-F|--file|--pid)\b/ : /\s(?:-f|--file|--pid)\b/;
      return names.test(command) ? quoted : `\`${command}${isLogs ? ofLogs : option}\``;
    });
}

async function optionFor({ cwd, env }: Place, file: string | undefined, option: string): Promise<string> {
  if (file === undefined || !isAbsolute(file)) return '';
  const found = await findConfig({ cwd, env }).catch(() => undefined);
  if (found?.kind === 'file' && found.path === file) return '';
  const near = relative(cwd, file);
  return ` ${option} ${shellQuote(near.length < file.length ? near : file)}`;
}
