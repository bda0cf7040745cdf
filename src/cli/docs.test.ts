import { expect, test } from 'vitest';
import { visibleChildren } from './completion/grammar.js';
import { renderCliDocs } from './docs.js';
import { COMMAND_EXAMPLES } from './examples.js';
import { grammarOnly } from './program.js';
import { UNSUPPORTED } from './unsupported.js';

const docs = renderCliDocs();

test('the document names every command and every option', () => {
  for (const command of visibleChildren(grammarOnly())) {
    expect(docs).toContain(`## portal ${command.name()}`);
    for (const { flags } of command.options) expect(docs).toContain(`\`${flags}\``);
  }
});

test('what is not there yet is marked, and is an option at all', () => {
  for (const [name, flags] of Object.entries(UNSUPPORTED)) {
    const command = grammarOnly().commands.find((child) => child.name() === name)!;
    for (const flag of flags) {
      expect(command.options.find(({ long }) => long === flag)?.description).toContain('not supported yet');
    }
  }
});

test('every example is of a command, and in the document', () => {
  for (const [name, examples] of Object.entries(COMMAND_EXAMPLES)) {
    expect(docs).toContain(`## portal ${name}`);
    for (const { run } of examples) expect(docs).toContain(run);
  }
});
