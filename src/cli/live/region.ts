import {
  cursorHide,
  cursorLeft,
  cursorShow,
  cursorTo,
  cursorUp,
  eraseDown,
  eraseEndLine,
} from 'ansi-escapes';
import { wrapWords } from '../wrap.js';
import { rowsOf } from './render.js';

export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Terminals that support these sequences show the text between them in one step. Others ignore them. */
const BEGIN = '\u001B[?2026h';
const END = '\u001B[?2026l';

/** How many printed lines are redrawn after a change of size. */
const RECENT = 200;

/** The last lines of a terminal, redrawn often; printed lines scroll above them. */
export class Region {
  readonly #terminal: Terminal;
  #lines: readonly string[] = [];
  /** The latest printed lines, before they wrap. */
  #recent: string[] = [];
  /** The screen shows nothing from before the region. */
  #isAlone = false;
  /** Lines to print after a change of size. */
  #held: string[] | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.open();
  }

  /** Requires the cursor at the start of an empty line. */
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
    if (this.#held) return;
    if (lines.length === this.#lines.length && lines.every((line, index) => line === this.#lines[index]))
      return;
    this.#write('', lines);
  }

  /** The size changes, maybe several times in a row: draws nothing before `repaint`. */
  hold(): void {
    this.#held ??= [];
  }

  /**
   * Redraws the whole screen. When its size changes, the terminal moves lines to places that only it knows, also into
   * and out of its history.
   */
  repaint(lines: readonly string[]): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (!this.#isAlone) {
      // Output of other programs stays in the terminal's history.
      this.#write('', []);
      this.#terminal.write('\n'.repeat(this.rows));
      this.#isAlone = true;
    }
    const room = this.rows - 1 - rowsOf(lines, this.columns);
    const above = this.#recent.flatMap((line) => this.#wrapped(line).split('\n'));
    while (above.length > 0 && rowsOf(above, this.columns) > room) above.shift();
    const frame = [...above, ...lines].map((line) => line + eraseEndLine).join('\n');
    this.#terminal.write(`${BEGIN}${cursorTo(0, 0)}${frame}${eraseDown}${END}`);
    this.#lines = lines;
    for (const text of held) this.print(text);
  }

  print(text: string): void {
    if (this.#held) return void this.#held.push(text);
    // A tab would skip cells without erasing the view that is drawn there.
    const spaced = text.replaceAll('\t', '    ');
    this.#recent = [...this.#recent, ...spaced.split('\n')].slice(-RECENT);
    this.#write(
      `${this.#wrapped(spaced).replaceAll('\n', `${eraseEndLine}\n`)}${eraseEndLine}\n`,
      this.#lines,
    );
  }

  /** Leaves the last column free: erasing after it would erase its character. */
  #wrapped(text: string): string {
    return wrapWords(text, this.columns - 1);
  }

  close(): void {
    if (this.#held) this.repaint([]);
    this.#write('', []);
    this.#terminal.write(cursorShow);
  }

  #write(above: string, lines: readonly string[]): void {
    // The terminal's width may have changed, and with it the wrapping of drawn lines.
    const drawn = rowsOf(this.#lines, this.columns);
    const back = cursorLeft + (drawn > 1 ? cursorUp(drawn - 1) : '');
    const frame = lines.map((line) => line + eraseEndLine).join('\n');
    this.#terminal.write(`${BEGIN}${back}${above}${frame}${eraseDown}${END}`);
    this.#lines = lines;
  }
}
