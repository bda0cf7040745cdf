import { expect, it } from 'vitest';
import { Region } from './region.js';

const ESCAPE = '\u001B';
const TOKEN = new RegExp(`(${ESCAPE}\\[\\??[\\d;]*[A-Za-z]|\n)`);

/** A terminal that supports only the sequences of a region. */
class Screen {
  readonly columns = 40;
  rows = 10;
  shown: string[] = [''];
  #row = 0;
  #column = 0;

  /** A terminal that becomes taller shows lines of its history again, and the cursor moves down with them. */
  grow(history: readonly string[]): void {
    this.rows += history.length;
    this.shown.unshift(...history);
    this.#row += history.length;
  }

  write(text: string): void {
    for (const token of text.split(TOKEN)) this.#take(token);
  }

  #take(token: string): void {
    const row = this.shown[this.#row]!;
    if (token === '\n') {
      this.shown[++this.#row] ??= '';
      this.#column = 0;
      while (this.#row >= this.rows) {
        this.shown.shift();
        this.#row--;
      }
    } else if (token.endsWith('H')) {
      this.#row = 0;
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

it('keeps printed lines above the drawn region, and removes the region at the end', () => {
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

it('redraws completely when the size changes, and keeps printed lines', () => {
  const screen = new Screen();
  const region = new Region(screen);
  screen.write('shell\n');
  region.print('printed');
  region.draw(['HEAD', 'row']);
  region.hold();
  region.draw(['HEAD', 'drawn at the wrong size']);
  region.print('held');
  // The first old line returns from the history.
  screen.grow(['shell', 'HEAD', 'row']);
  region.repaint(['HEAD', 'wide row']);
  expect(screen.shown).toEqual(['printed', 'held', 'HEAD', 'wide row']);
  screen.grow(['HEAD']);
  region.hold();
  region.repaint(['HEAD', 'row']);
  expect(screen.shown).toEqual(['printed', 'held', 'HEAD', 'row']);
  region.close();
  expect(screen.shown.filter(Boolean)).toEqual(['printed', 'held']);
});

it('redraws as many printed lines as fit', () => {
  const screen = new Screen();
  const region = new Region(screen);
  for (let line = 1; line <= 20; line++) region.print(`line ${line}`);
  region.hold();
  region.repaint(['HEAD', 'row']);
  expect(screen.shown).toEqual(
    [14, 15, 16, 17, 18, 19, 20].map((line) => `line ${line}`).concat('HEAD', 'row'),
  );
});
