import { expect, it } from 'vitest';
import { Region } from './region.js';

const ESCAPE = '\u001B';
const TOKEN = new RegExp(`(${ESCAPE}\\[\\??\\d*[A-Za-z]|\n)`);

/** A terminal that knows no more than the sequences of a region. */
class Screen {
  readonly columns = 40;
  readonly rows = 10;
  readonly shown: string[] = [''];
  #row = 0;
  #column = 0;

  write(text: string): void {
    for (const token of text.split(TOKEN)) this.#take(token);
  }

  #take(token: string): void {
    const row = this.shown[this.#row]!;
    if (token === '\n') {
      this.shown[++this.#row] ??= '';
      this.#column = 0;
    } else if (token.endsWith('G')) this.#column = 0;
    else if (/\[\d+A$/.test(token)) this.#row -= Number(token.slice(2, -1));
    else if (/\[[KJ]$/.test(token)) {
      this.shown[this.#row] = row.slice(0, this.#column);
      if (token.endsWith('J')) this.shown.length = this.#row + 1;
    } else if (!token.startsWith('\u001B')) {
      this.shown[this.#row] = row.slice(0, this.#column) + token + row.slice(this.#column + token.length);
      this.#column += token.length;
    }
  }
}

it('keeps printed lines above what is drawn, and leaves nothing of it in the end', () => {
  const screen = new Screen();
  const region = new Region(screen);
  const look = (): string[] => [...screen.shown];
  region.draw(['one', 'two', 'three']);
  expect(look()).toEqual(['one', 'two', 'three']);
  region.print('printed');
  expect(look()).toEqual(['printed', 'one', 'two', 'three']);
  region.draw(['four']);
  expect(look()).toEqual(['printed', 'four']);
  region.close();
  expect(look().filter(Boolean)).toEqual(['printed']);
});
