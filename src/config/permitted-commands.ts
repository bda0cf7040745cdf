import { createHash } from 'node:crypto';
import { relative } from 'node:path';
import { commandsOf, type NamedCommand } from '../agent/spec.js';
import type { Desired } from './desired.js';
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
function digestOf({ command: { run, cwd, env } }: NamedCommand): string {
  const variables = Object.entries(env).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([run, cwd, variables]))
    .digest('hex');
}

function details({ command: { cwd, env } }: NamedCommand, directory: string): string[] {
  const below = relative(directory, cwd);
  const folder = below.startsWith('..') ? cwd : below;
  const names = Object.keys(env).toSorted();
  return [
    ...(folder === '' ? [] : [`in ${folder}`]),
    ...(names.length === 0 ? [] : [`with ${names.join(', ')}`]),
  ];
}
