import { execFileSync, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { programFor } from '../../../test/support/debian.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { grammarOnly } from '../grammar/program.js';
import { bashCompletion } from './bash.js';
import { fishCompletion } from './fish.js';
import { commandWords, visibleChildren } from './grammar.js';
import { zshCompletion } from './zsh.js';

const words = commandWords(grammarOnly());

/** The completions of bash for a line, with a `portal` that has two services. */
function bashOffers(line: string): string[] {
  const parts = line.split(' ');
  const script = `
    portal() { echo '{"event":"valid","services":["web","api"],"warnings":[]}'; }
    ${bashCompletion(words)}
    COMP_WORDS=(${parts.map((part) => `'${part}'`).join(' ')})
    COMP_CWORD=${parts.length - 1}
    _portal
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

test.for([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
] as const)('%s accepts its script', async ([shell, render], context) => {
  const program = await programFor(context, shell);
  // A file, because fish does not check a script on stdin.
  const file = join(await temporaryFolder(), `portal.${shell}`);
  await writeFile(file, render(words));
  const { status, stderr } = spawnSync(program, ['-n', file], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test('every shell knows every command and option', () => {
  const scripts = [bashCompletion(words), zshCompletion(words), fishCompletion(words)];
  for (const command of visibleChildren(grammarOnly())) {
    for (const script of scripts) expect(script).toContain(command.name());
    for (const { long } of command.options) {
      for (const script of scripts) expect(script).toContain(long!.slice(2));
    }
  }
});

test('bash completes commands, subcommands, options, choices, files and services', () => {
  expect(bashOffers('portal ')).toEqual(expect.arrayContaining(['up', 'plan', 'relay', 'help', '--json']));
  expect(bashOffers('portal st')).toEqual(['status']);
  expect(bashOffers('portal identity ')).toEqual(expect.arrayContaining(['show', 'new', 'export']));
  expect(bashOffers('portal identity new --f')).toEqual(['--file', '--force']);
  expect(bashOffers('portal completion z')).toEqual(['zsh']);
  expect(bashOffers('portal relay --log-level w')).toEqual(['warn']);
  expect(bashOffers('portal validate --file package.js')).toEqual(['package.json']);
  expect(bashOffers('portal up w')).toEqual(['web']);
  expect(bashOffers('portal up web --no')).toEqual(['--no-watch']);
  expect(bashOffers('portal expose --name ')).toEqual([]);
});
