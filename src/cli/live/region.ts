import { cursorHide, cursorLeft, cursorShow, cursorUp, eraseDown, eraseEndLine } from 'ansi-escapes';
import { rowsOf } from './render.js';

export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** A terminal that knows these shows what is between them at once; others ignore them. */
const BEGIN = '\u001B[?2026h';
const END = '\u001B[?2026l';

/** The last lines of a terminal, drawn again and again; lines that are printed scroll away above them. */
export class Region {
  readonly #terminal: Terminal;
  #lines: readonly string[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.open();
  }

  /** The cursor is at the beginning of a line that is free. */
  open(): void {
    this.#terminal.write(cursorHide);
  }

  get columns(): number {
    return this.#terminal.columns ?? 80;
  }

  get rows(): number {
    return this.#terminal.rows ?? 24;
  }

  draw(lines: readonly string[]): void {
    if (lines.length === this.#lines.length && lines.every((line, index) => line === this.#lines[index]))
      return;
    this.#write('', lines);
  }

  /** Draws anew what a change of size has moved about. */
  redraw(lines: readonly string[]): void {
    this.#write('', lines);
  }

  print(text: string): void {
    // A tab skips cells without erasing what the view has drawn there.
    const spaced = text.replaceAll('\t', '    ');
    this.#write(`${spaced.replaceAll('\n', `${eraseEndLine}\n`)}${eraseEndLine}\n`, this.#lines);
  }

  close(): void {
    this.#write('', []);
    this.#terminal.write(cursorShow);
  }

  #write(above: string, lines: readonly string[]): void {
    // The terminal may have another width by now, and have wrapped what was drawn.
    const drawn = rowsOf(this.#lines, this.columns);
    const back = cursorLeft + (drawn > 1 ? cursorUp(drawn - 1) : '');
    const frame = lines.map((line) => line + eraseEndLine).join('\n');
    this.#terminal.write(`${BEGIN}${back}${above}${frame}${eraseDown}${END}`);
    this.#lines = lines;
  }
}
