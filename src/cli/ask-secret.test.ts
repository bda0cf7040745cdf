import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { capturedOutput } from '../../test/e2e/cli-support.js';
import { askSecret } from './ask-secret.js';

it.each([
  ['the same text twice', 'horse\rhorse\r', 'horse'],
  ['a corrected text', 'hoo\u007Frse\rhorse\r', 'horse'],
  ['a different text at first', 'horse\rhoarse\rhorse\rhorse\r', 'horse'],
  ['Ctrl-C', 'hor\u0003', undefined],
  ['Ctrl-C at the second question', 'horse\rho\u0003', undefined],
  ['Ctrl-D', '\u0004', undefined],
])('reads %s, and shows nothing of it', async (_what, typed, answer) => {
  const modes: boolean[] = [];
  const setRawMode = (isRaw: boolean): void => void modes.push(isRaw);
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode });
  const { output, text } = capturedOutput({ isTTY: true, columns: 80 });
  const asked = askSecret({ stdin, stderr: output }, 'Password');
  stdin.write(typed);
  expect(await asked).toBe(answer);
  expect(text()).toMatch(/^Password: \n/);
  expect(text()).not.toMatch(/hor|hoa/);
  // In raw mode, the terminal does not show what the user types.
  expect([modes[0], modes.at(-1)]).toEqual([true, false]);
});
