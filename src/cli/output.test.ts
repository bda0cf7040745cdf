import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Output } from './output.js';
import * as wrap from './text/wrap.js';

const describeDropped = (lines: number): string => `dropped ${lines}`;

/** A reader that reads nothing until `read` is called. */
function slowStream() {
  const written: string[] = [];
  let resume: (() => void) | undefined;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString());
      resume = done;
    },
  });
  return { stream, written, read: () => resume?.() };
}

test('limits memory for a slow reader, and reports the dropped lines', async () => {
  const { stream, written, read } = slowStream();
  const output = new Output(stream, { env: {}, describeDropped });
  const line = 'x'.repeat(1024 * 1024);
  for (let count = 0; count < 20; count += 1) output.line(line);
  expect(stream.writableLength).toBeLessThan(10 * 1024 * 1024);
  const flushed = output.flush();
  while (stream.writableLength > 0) {
    read();
    await new Promise(setImmediate);
  }
  await flushed;
  expect(written.at(-1)).toBe('dropped 12\n');
});

test('breaks lines for a person between words on a terminal, and leaves data whole', () => {
  const text = 'the relay does not respond';
  const printed = (terminal: object): string[] => {
    const { stream, written, read } = slowStream();
    const output = new Output(Object.assign(stream, terminal), { env: {}, describeDropped, wrap });
    for (const print of [
      () => output.line(text),
      () => output.note(text),
      () => output.noteCommand(text),
      () => output.data(text),
    ]) {
      print();
      read();
    }
    return written;
  };
  const wrapped = 'the relay does\nnot respond\n';
  const command = 'the relay does \\\n  not respond\n';
  expect(printed({ isTTY: true, columns: 16 })).toEqual([wrapped, wrapped, command, `${text}\n`]);
  expect(printed({ columns: 16 })).toEqual(Array(4).fill(`${text}\n`));
});

test('reports a closed reader once, and does not throw', async () => {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  const output = new Output(stream, { env: {}, describeDropped });
  output.line('hello');
  await new Promise(setImmediate);
  expect(output.closed.aborted).toBe(true);
  output.line('anyone?');
  await output.flush();
});

/** An output after a write that failed. */
function failing(code: string): Output {
  const error = Object.assign(new Error(code), { code });
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(error) });
  const output = new Output(stream, { env: {}, describeDropped });
  output.line('hello');
  return output;
}

test('distinguishes a full disk from a closed reader', async () => {
  const [full, closed] = [failing('ENOSPC'), failing('EPIPE')];
  await Promise.all([full.flush(), closed.flush()]);
  await new Promise(setImmediate);
  expect([full.failure?.message, closed.failure]).toEqual(['ENOSPC', undefined]);
  expect([full.closed.aborted, closed.closed.aborted]).toEqual([true, true]);
  expect([full.left.aborted, closed.left.aborted]).toEqual([false, true]);
});

test('a reader that hangs does not delay the exit', async () => {
  const output = new Output(slowStream().stream, { env: {}, describeDropped });
  output.line('hello');
  await output.finish(1);
  expect(output.closed.aborted).toBe(true);
});

const color = (isTTY: boolean, env: NodeJS.ProcessEnv): boolean =>
  new Output(Object.assign(slowStream().stream, { isTTY }), { env, describeDropped }).color;

test('colour follows NO_COLOR, then FORCE_COLOR, then the terminal', () => {
  expect(color(true, {})).toBe(true);
  expect(color(false, {})).toBe(false);
  expect(color(true, { NO_COLOR: '1' })).toBe(false);
  expect(color(true, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(false);
  expect(color(false, { FORCE_COLOR: '1' })).toBe(true);
  expect(color(true, { FORCE_COLOR: '0' })).toBe(false);
  expect(color(true, { TERM: 'dumb' })).toBe(false);
});
