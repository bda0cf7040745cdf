import { dirname, isAbsolute, join, resolve } from 'node:path';
import { commandsOf } from '../../agent/spec.js';
import { PortalError } from '../../lib/errors.js';
import type { Desired } from '../desired.js';
import { parseDotenv, type Dotenv } from './dotenv.js';
import { shown } from '../words/explain.js';
import { finding, HOME_NOT_EXPANDED, type Complaint, type Finding } from '../text/finding.js';
import type { ReadFile } from '../files/input-files.js';
import type { Lookup } from './interpolate.js';
import { withCommandVariables } from '../normalise-command.js';
import type { Files } from '../files/read-text.js';
import { Source, sourceText, type Place } from '../text/source.js';
import { child, oneOrMore, textOf, treeAt, type Path, type Tree } from '../text/tree.js';

/** `envFile`: more files like the `.env`, whose variables commands get too. */

export const KEY = 'envFile';
/** As in the schema, which checks the list only later. */
const MAX_FILES = 32;

export interface EnvFiles {
  /** The variables of the `.env`, then of each file. Later ones override. */
  readonly dotenv: Dotenv;
  /** The names that the files set, without those of the `.env`. */
  readonly names: ReadonlySet<string>;
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
  readonly secrets: readonly Place[];
  /** Absolute paths, existing or not. */
  readonly inputs: readonly string[];
  /** The files that exist, with the settings that name them. */
  readonly read: readonly ReadFile[];
  readonly texts: readonly string[];
}

export interface EnvFileOptions {
  /** Looks up Portal's variables and those of the environment. */
  readonly environment: Lookup;
  /** The `.env` beside the configuration. */
  readonly dotenv: Dotenv;
  /** Absolute folder of the configuration. */
  readonly directory: string;
  /** The configuration, for display. */
  readonly shown: string;
  readonly files: Files;
}

/**
 * Reads the files of `envFile`, whose variables are replaced in `root`. Returns mistakes as findings. Throws PortalError
 * `config_untrusted`.
 */
export async function readEnvFiles(root: Tree, options: EnvFileOptions): Promise<EnvFiles> {
  let { dotenv } = options;
  const names = new Set<string>();
  const [findings, warnings]: [Finding[], Finding[]] = [[], []];
  const [secrets, inputs, texts]: [Place[], string[], string[]] = [[], [], []];
  const read: ReadFile[] = [];
  for (const { text, path, isRequired } of pathsOf(root)) {
    const file = resolve(options.directory, text);
    inputs.push(file);
    const { source, mistake } = await readOne(root, path, file, isRequired, options);
    if (mistake) findings.push(mistake);
    if (!source) continue;
    read.push({ file, of: KEY, path });
    texts.push(source.text);
    dotenv = parseDotenv(source, options.environment, dotenv);
    for (const name of dotenv.names) names.add(name);
    findings.push(...dotenv.findings);
    warnings.push(...dotenv.warnings);
    secrets.push(...dotenv.secrets);
  }
  return { dotenv, names, findings, warnings, secrets, inputs, read, texts };
}

interface Named {
  readonly text: string;
  readonly path: Path;
  readonly isRequired: boolean;
}

/** What has the shape of a path. The schema reports the rest. */
function pathsOf(root: Tree): Named[] {
  return oneOrMore(root, KEY, MAX_FILES).flatMap(([item, at]) => {
    const path = item.kind === 'map' ? [...at, 'path'] : at;
    const text = item.kind === 'map' ? child(item, 'path') : item;
    if (text?.kind !== 'scalar' || typeof text.value !== 'string' || text.value === '') return [];
    const required = child(item, 'required');
    return [
      { text: text.value, path, isRequired: !(required?.kind === 'scalar' && isFalse(required.value)) },
    ];
  });
}

/** A variable gives text, which the schema casts only later. */
const isFalse = (value: unknown): boolean => value === false || value === 'false';

/** A file, a mistake, or neither if the file may be missing. */
async function readOne(
  root: Tree,
  path: Path,
  file: string,
  isRequired: boolean,
  { files, ...options }: EnvFileOptions,
): Promise<{ source?: Source; mistake?: Finding }> {
  const complain = (complaint: Complaint) => ({ mistake: finding(root, path, complaint) });
  if (textOf(treeAt(root, path))?.startsWith('~')) return complain(HOME_NOT_EXPANDED);
  const name = shownPath(root, path, options.shown);
  try {
    const text = await files.read(file, name);
    if (text !== undefined) return { source: new Source(name, text) };
    return isRequired ? complain(missing(root, path)) : {};
  } catch (error) {
    if (!(error instanceof PortalError) || error.code === 'config_untrusted') throw error;
    return complain({ code: error.code, message: error.message, hint: error.hint });
  }
}

function missing(root: Tree, path: Path): Complaint {
  const tree = treeAt(root, path);
  const at = tree?.kind === 'scalar' && tree.interpolated ? 'at ' : '';
  return {
    message: `there is no file ${at}${shown(root, path)}`,
    hint: 'Create it. If it may be missing, write `{ path: …, required: false }`.',
  };
}

/** A path as typed, from where the configuration is shown. Never shows the value of a variable. */
function shownPath(root: Tree, path: Path, config: string): string {
  const tree = treeAt(root, path)!;
  const isTyped = tree.kind === 'scalar' && !tree.interpolated;
  const text = isTyped ? textOf(tree)! : sourceText(tree.place).replace(/^(["'])(.*)\1$/s, '$2');
  return isAbsolute(text) ? text : join(dirname(config), text);
}

/** The configuration whose commands have the variables of the files, and the variables that they cannot have. */
export function forCommands(
  desired: Desired,
  { names, dotenv }: Pick<EnvFiles, 'names' | 'dotenv'>,
  root: Tree,
): { desired: Desired; findings: Finding[] } {
  if (names.size === 0 || desired.services.flatMap(commandsOf).length === 0) return { desired, findings: [] };
  const values: Record<string, string> = {};
  const findings: Finding[] = [];
  for (const name of [...names].toSorted()) {
    const value = dotenv.values.get(name);
    if (typeof value === 'object')
      findings.push(finding(root, [KEY], { message: value.problem, hint: value.hint }));
    else if (value?.includes('\0'))
      findings.push(finding(root, [KEY], { message: `the value of ${name} has a NUL byte` }));
    else if (value !== undefined) values[name] = value;
  }
  return { desired: withCommandVariables(desired, values), findings };
}
