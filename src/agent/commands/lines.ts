import { StringDecoder } from 'node:string_decoder';
import { stripVTControlCharacters } from 'node:util';

/** A longer line is printed in parts. */
const MAX_LINE = 4_096;
/** A program that writes more than this per interval waits, as it would for a slow terminal. */
const MAX_BYTES = 256 * 1024;
const INTERVAL_MS = 100;

/** Calls `onLine` for each line of a program's output, without control sequences. */
export function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let left = MAX_BYTES;
  let timer: NodeJS.Timeout | undefined;
  const resume = (): void => {
    timer = undefined;
    left = MAX_BYTES;
    stream.resume();
  };
  const add = (text: string): void => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) tell(line);
    while (rest.length > MAX_LINE) {
      tell(rest.slice(0, MAX_LINE));
      rest = rest.slice(MAX_LINE);
    }
  };
  const tell = (line: string): void => {
    // A progress bar returns to the start of its line; only its last state counts.
    const last = line.replace(/\r+$/, '').split('\r').at(-1)!;
    for (let from = 0; from === 0 || from < last.length; from += MAX_LINE)
      onLine(stripVTControlCharacters(last.slice(from, from + MAX_LINE)));
  };
  stream.on('data', (chunk: Buffer) => {
    add(decoder.write(chunk));
    left -= chunk.length;
    if (left > 0 || timer) return;
    stream.pause();
    timer = setTimeout(resume, INTERVAL_MS);
  });
  stream.on('end', () => {
    add(decoder.end());
    if (rest !== '') tell(rest);
  });
  stream.on('close', () => clearTimeout(timer));
  stream.on('error', () => undefined);
}
