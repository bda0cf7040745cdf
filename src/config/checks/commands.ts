import type { Report } from './check.js';
import { HOME_NOT_EXPANDED } from '../text/finding.js';
import { listOf, nearest } from '../words/suggest.js';
import { child, entriesOf, itemsOf, keyPlaceOf, textOf, type Path, type Tree } from '../text/tree.js';

/** Checks what services say about their programs. */
export function checkCommands(services: Tree | undefined, report: Report): void {
  const names = [...entriesOf(services)].map(([key]) => key);
  for (const [key, { value }] of entriesOf(services)) {
    const path = ['services', key];
    const routes = child(value, 'routes');
    const programs = [value, ...[...entriesOf(routes)].map(([, route]) => route.value)];
    checkProgram(path, value, report);
    for (const [route, entry] of entriesOf(routes))
      checkProgram([...path, 'routes', route], entry.value, report);
    if (routes && child(value, 'command'))
      report([...path, 'command'], {
        message: '`command` and `routes` cannot be used together',
        hint: 'Move the command to a route, for example `/: { command: npm run dev }`.',
      });
    if (child(value, 'dependsOn') && !programs.some((each) => child(each, 'command')))
      report([...path, 'dependsOn'], needsCommand('dependsOn'));
    for (const [index, item] of itemsOf(child(value, 'dependsOn')).entries()) {
      const name = textOf(item);
      if (name === undefined || names.includes(name)) continue;
      const meant = nearest(name, names);
      report([...path, 'dependsOn', index], {
        message: `there is no service ${JSON.stringify(name)}`,
        hint: meant ? `Did you mean \`${meant}\`?` : `Services of this file: ${names.join(', ')}.`,
      });
    }
  }
  checkCycles(services, report);
}

const needsCommand = (key: string): { message: string; hint: string } => ({
  message: `\`${key}\` needs \`command\``,
  hint: 'Add the program that Portal should start, for example `command: npm run dev`, or remove it.',
});

/** The settings of one program, of a service or a route. */
function checkProgram(path: Path, options: Tree, report: Report): void {
  const command = child(options, 'command');
  const env = child(options, 'env');
  if (!command) {
    for (const key of ['cwd', 'env']) if (child(options, key)) report([...path, key], needsCommand(key));
    return;
  }
  if (textOf(command)?.includes('\0'))
    report([...path, 'command'], { message: 'the command has a NUL byte' });
  if (textOf(child(options, 'cwd'))?.startsWith('~')) report([...path, 'cwd'], HOME_NOT_EXPANDED);
  for (const [name, { value }] of entriesOf(env)) {
    const at = [...path, 'env', name];
    const place = keyPlaceOf(env, name);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      report(at, {
        message: `${JSON.stringify(name)} is not the name of an environment variable`,
        hint: 'Use letters, digits and underscores.',
        place,
      });
    else if (name === 'PORT' && !child(options, 'target'))
      report(at, {
        message: 'Portal sets `PORT` for a command without `target`',
        hint: 'Write the port as the target, for example `target: 3000`.',
        place,
      });
    else if (textOf(value)?.includes('\0')) report(at, { message: 'the value has a NUL byte' });
  }
}

/** Commands that wait for each other would never start. */
function checkCycles(services: Tree | undefined, report: Report): void {
  const needs = new Map<string, string[]>();
  for (const [key, { value }] of entriesOf(services))
    needs.set(
      key,
      itemsOf(child(value, 'dependsOn')).flatMap((item) => textOf(item) ?? []),
    );
  const reported = new Set<string>();
  for (const start of needs.keys()) {
    const cycle = reported.has(start) ? undefined : cycleFrom(start, needs);
    if (!cycle) continue;
    for (const name of cycle) reported.add(name);
    const isAlone = cycle.length === 1;
    report(['services', start, 'dependsOn'], {
      message: isAlone
        ? 'the service depends on itself'
        : `these services depend on each other: ${listOf([...cycle, start], 'and')}`,
      hint: 'Remove one of them from `dependsOn`.',
    });
  }
}

/** The services from `start` back to itself, without the last one. Undefined if no path leads back. */
function cycleFrom(start: string, needs: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const seen = new Set<string>();
  const queue: string[][] = [[start]];
  for (let path = queue.shift(); path; path = queue.shift()) {
    for (const next of needs.get(path.at(-1)!) ?? []) {
      if (next === start) return path;
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push([...path, next]);
    }
  }
  return undefined;
}
