import { expect, it } from 'vitest';
import { PortalError } from '../lib/errors.js';
import type { Context } from './context.js';
import { reportFailure } from './failure.js';

async function printed(message: string): Promise<string[]> {
  const lines: string[] = [];
  const stderr = { color: false, line: (text: string) => lines.push(...text.split('\n')) };
  await reportFailure(
    { stderr, env: {} } as unknown as Context,
    new PortalError('config_not_allowed', message),
  );
  return lines;
}

it('puts the code after the message, and after a list on a line of its own', async () => {
  expect((await printed('one line')).slice(0, 1)).toEqual(['error: one line [config_not_allowed]']);
  expect((await printed('not allowed yet to\n  publish\n  run x')).slice(0, 4)).toEqual([
    'error: not allowed yet to',
    '  publish',
    '  run x',
    '[config_not_allowed]',
  ]);
});

it('names the file in the commands of a hint', async () => {
  const lines: string[] = [];
  const context = {
    cwd: '/srv',
    env: {},
    stderr: { color: false, line: (text: string) => lines.push(text) },
  } as unknown as Context;
  const error = new PortalError('already_running', 'it runs');
  await reportFailure(context, error, 'portal up', 'app.yaml');
  expect(lines[1]).toBe('  See `portal status -f app.yaml`, or stop it with `portal down -f app.yaml`.');
  await reportFailure(context, error, 'portal up', '-');
  expect(lines[3]).toBe('  See `portal status`, or stop it with `portal down`.');
});
