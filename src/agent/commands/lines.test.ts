import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { readLines } from './lines.js';

async function linesOf(...chunks: (string | Buffer)[]): Promise<string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  readLines(stream, (line) => lines.push(line));
  const ended = new Promise((resolve) => stream.once('end', resolve));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  return lines;
}

it('joins the parts of a line, also within a character, and keeps empty lines', async () => {
  const [first, second] = [Buffer.from('grün').subarray(0, 3), Buffer.from('grün').subarray(3)];
  expect(await linesOf('a', 'b\n\n', first, second, '\nlast')).toEqual(['ab', '', 'grün', 'last']);
});

it('removes colours and other control sequences, and keeps the last state of a progress bar', async () => {
  expect(await linesOf('\x1b[32mready\x1b[0m\x1b[2K\r\n', '10%\r50%\r100%\n')).toEqual(['ready', '100%']);
});

it('cuts a line that does not end', async () => {
  const lines = await linesOf('x'.repeat(10_000), '\n');
  expect(lines.map((line) => line.length)).toEqual([4_096, 4_096, 1_808]);
});

it('makes a program wait that writes without end, and loses nothing', async () => {
  const lines = await linesOf(...Array.from({ length: 600 }, () => `${'y'.repeat(1_023)}\n`));
  expect(lines).toHaveLength(600);
});
