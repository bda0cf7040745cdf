import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { capturedOutput } from '../../test/e2e/cli-support.js';
import { confirm } from './confirm.js';

it.each([
  ['y', 'y\r', 'yes'],
  ['Yes', 'Yes\r', 'yes'],
  ['Enter', '\r', 'no'],
  ['another word', 'yo\r', 'no'],
  ['Ctrl-D', '\u0004', 'no'],
  ['Ctrl-C', '\u0003', 'interrupted'],
  ['Ctrl-C within a word', 'ye\u0003', 'interrupted'],
])('%s is an answer', async (_, typed, answer) => {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const { output, text } = capturedOutput({ isTTY: true, columns: 80 });
  const asked = confirm({ stdin, stderr: output }, 'Sure? [y/N] ');
  stdin.write(typed);
  expect(await asked).toBe(answer);
  expect(text()).toContain('Sure?');
  expect(text()).toMatch(/\n$/);
});

it('treats the end of the input as a no', async () => {
  const stdin = new PassThrough();
  const { output } = capturedOutput();
  const asked = confirm({ stdin, stderr: output }, 'Sure? [y/N] ');
  stdin.end();
  expect(await asked).toBe('no');
});
