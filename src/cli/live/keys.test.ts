import { PassThrough } from 'node:stream';
import { expect, it, onTestFinished } from 'vitest';
import { Keys, type Key } from './keys.js';

const ESCAPE = '\u001B';

function keys() {
  const pressed: Key[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
  const read = Keys.open(
    stdin,
    (key) => pressed.push(key),
    () => true,
  )!;
  onTestFinished(() => read.close());
  return { stdin, read, pressed };
}

it.each([1, 9, 10, 30, 120])('reads that the cursor is in row %i, and no key', async (row) => {
  const { stdin, read, pressed } = keys();
  const found = await read.cursorRow(() => stdin.write(`${ESCAPE}[${row};1R`), 10_000);
  expect(found).toBe(row - 1);
  expect(pressed).toEqual([]);
});

it('reads keys', async () => {
  const { stdin, pressed } = keys();
  stdin.write(`?q\u0003${ESCAPE}[A`);
  await expect
    .poll(() => pressed.map(({ name, isCtrl }) => `${isCtrl ? 'Ctrl-' : ''}${name}`))
    .toEqual(['?', 'q', 'Ctrl-c', 'up']);
});
