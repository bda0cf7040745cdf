import { expect, it } from 'vitest';
import { isBlank, steadyText } from './steady-text.js';

/** Reads `texts` one after another, then repeats the last one. */
async function reading(...texts: string[]) {
  const pauses: number[] = [];
  let at = 0;
  const text = await steadyText({
    read: async () => texts[Math.min(at++, texts.length - 1)]!,
    pause: async (ms) => void pauses.push(ms),
  });
  return { text, pauses };
}

it('returns a text once two reads agree', async () => {
  expect(await reading('one\n')).toEqual({ text: 'one\n', pauses: [250] });
});

it('ignores the state between truncating and writing', async () => {
  const { text } = await reading('', 'a\n', 'a\nb\n', 'a\nb\nc\n');
  expect(text).toBe('a\nb\nc\n');
});

it('waits longer for a last line without a newline: 10.0.0.0/2 may become 10.0.0.0/24', async () => {
  expect(await reading('10.0.0.0/2', '10.0.0.0/24\n')).toEqual({
    text: '10.0.0.0/24\n',
    pauses: [1_000, 250],
  });
});

it('gives up on a file that keeps changing', async () => {
  let count = 0;
  const endless = steadyText({ read: async () => `${count++}\n`, pause: async () => undefined });
  await expect(endless).rejects.toMatchObject({ code: 'usage' });
});

it('fails with the error of the read', async () => {
  const gone = steadyText({ read: () => Promise.reject(new Error('ENOENT')), pause: async () => undefined });
  await expect(gone).rejects.toThrow('ENOENT');
});

it.each(['', ' \n\t\n', '\ufeff'])('recognises a blank text: %j', (text) => {
  expect(isBlank(text)).toBe(true);
});

it('does not treat a comment as blank', () => {
  expect(isBlank('# nobody\n')).toBe(false);
});
