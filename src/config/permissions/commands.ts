import { createHash } from 'node:crypto';
import { relative } from 'node:path';
import { commandsOf, type NamedCommand } from '../../agent/spec.js';
import type { Desired } from '../desired.js';
import type { Permission } from './permissions.js';

/** What each command of a configuration needs a permission for: its text, its folder and its variables, as they take effect. */
export function commands({ services }: Desired, directory: string): Permission[] {
  return services.flatMap((spec) =>
    commandsOf(spec).map((each) => ({
      key: `run ${digestOf(each)}`,
      kind: 'run' as const,
      what: each.command.run,
      of: [each.name, ...details(each, directory)].join(', '),
      path: each.path,
    })),
  );
}

/** The record on disk and its key contain no value of a variable. */
function digestOf({ command: { run, cwd, env, envFile = {} } }: NamedCommand): string {
  const [variables, more] = [sorted(env), sorted(envFile)];
  return createHash('sha256')
    .update(JSON.stringify([run, cwd, variables, ...(more.length > 0 ? [more] : [])]))
    .digest('hex');
}

const sorted = (variables: Readonly<Record<string, string>>): [name: string, value: string][] =>
  Object.entries(variables).toSorted(([one], [other]) => (one < other ? -1 : 1));

function details({ command: { cwd, env, envFile = {} } }: NamedCommand, directory: string): string[] {
  const below = relative(directory, cwd);
  const folder = below.startsWith('..') ? cwd : below;
  const names = Object.keys(env).toSorted();
  const more = Object.keys(envFile).length;
  return [
    ...(folder === '' ? [] : [`in ${folder}`]),
    ...(names.length === 0 ? [] : [`with ${names.join(', ')}`]),
    ...(more === 0 ? [] : [`with ${more} variable${more === 1 ? '' : 's'} of envFile`]),
  ];
}
