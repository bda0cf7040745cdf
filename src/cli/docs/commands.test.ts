import { expect, test } from 'vitest';
import type { PortalEvent } from '../../reconcile/events.js';
import { visibleChildren } from '../completion/grammar.js';
import { renderCliDocs } from './commands.js';
import { renderEventsDoc } from './events.js';
import { COMMAND_EXAMPLES } from '../grammar/examples.js';
import { grammarOnly } from '../grammar/program.js';

const docs = renderCliDocs();

test('the document names every command and every option', () => {
  for (const command of visibleChildren(grammarOnly())) {
    expect(docs).toContain(`## portal ${command.name()}`);
    for (const { flags } of command.options) expect(docs).toContain(`\`${flags}\``);
  }
});

test('every example belongs to a command, and is in the document', () => {
  for (const [name, examples] of Object.entries(COMMAND_EXAMPLES)) {
    expect(docs).toContain(`## portal ${name}`);
    for (const { run } of examples) expect(docs).toContain(run);
  }
});

test('the document lists every event', () => {
  const events: Record<PortalEvent['event'], true> = {
    started: true,
    lease: true,
    unplaced: true,
    ready: true,
    applied: true,
    rejected: true,
    inspector: true,
    served: true,
    command: true,
    output: true,
    target: true,
    health: true,
    notice: true,
    refused: true,
    unserved: true,
    held: true,
    delivered: true,
    expired: true,
    stopped: true,
  };
  for (const event of Object.keys(events)) expect(renderEventsDoc()).toContain(`\n| \`${event}\` | `);
});
