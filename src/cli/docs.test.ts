import { expect, test } from 'vitest';
import { visibleChildren } from './completion/grammar.js';
import { renderCliDocs } from './docs.js';
import { COMMAND_EXAMPLES } from './examples.js';
import { grammarOnly } from './program.js';

const docs = renderCliDocs();

test('the document names every command and every option', () => {
  for (const command of visibleChildren(grammarOnly())) {
    expect(docs).toContain(`## portal ${command.name()}`);
    for (const { flags } of command.options) expect(docs).toContain(`\`${flags}\``);
  }
});

test('every example is of a command, and in the document', () => {
  for (const [name, examples] of Object.entries(COMMAND_EXAMPLES)) {
    expect(docs).toContain(`## portal ${name}`);
    for (const { run } of examples) expect(docs).toContain(run);
  }
});
