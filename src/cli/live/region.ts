import { cursorDown, cursorHide, cursorLeft, cursorShow, cursorUp, eraseDown, eraseLine } from 'ansi-escapes';
import { wrapWords } from '../text/wrap.js';
import { LostLines } from './lost-lines.js';
import type { Reflow } from './reflow.js';
import { rowsOf } from './render.js';

export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Terminals that support these sequences show the text between them in one step. Others ignore them. */
const BEGIN = '\u001B[?2026h';
const END = '\u001B[?2026l';

/**
 * The last lines of a terminal, redrawn often; printed lines scroll above them. The cursor stays at the start of the last
 * line. A terminal that changes its size moves the cursor with that line, so the region starts a known number of rows above it.
 */
export class Region {
  readonly #terminal: Terminal;
  readonly #reflow: Reflow;
  #lines: readonly string[] = [];
  /** Empty rows above the lines, which keep them at the bottom of the screen. Printed lines take their place. */
  #padding = 0;
  /** Rows of the lines above the cursor, as drawn. */
  #drawn = 0;
  readonly #lost = new LostLines();
  /** Lines to print after a change of size. */
  #held: string[] | undefined;

  constructor(terminal: Terminal, reflow: Reflow) {
    this.#terminal = terminal;
    this.#reflow = reflow;
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
    this.#write([], lines);
  }

  /** The size changes, maybe several times in a row: draws nothing before `repaint`. */
  hold(): void {
    this.#held ??= [];
  }

  /**
   * Draws the region again, after `hold`. With the cursor's row (from 0), also erases earlier lines of the region that the
   * terminal moved into its history and back.
   */
  repaint(lines: readonly string[], row?: number): void {
    if (row === undefined) this.#write([], lines);
    else {
      const missing = this.#height - row;
      if (missing > 0) this.#lost.add(this.#padded, missing, this.columns);
      const { rows, printed } = this.#lost.recover(Math.max(0, -missing), this.columns);
      const below = this.rows - row - this.#rowsOf(this.#lines.slice(-1));
      this.#write(printed, lines, { above: rows - Math.max(0, missing), below });
    }
    this.#printHeld();
  }

  print(text: string): void {
    if (this.#held) return void this.#held.push(text);
    // A tab would skip cells, and its width depends on the column.
    const wrapped = wrapWords(text.replaceAll('\t', '    '), this.columns - 1).split('\n');
    this.#lost.printed(wrapped, this.rows);
    this.#write(wrapped, this.#lines);
  }

  close(): void {
    this.#printHeld();
    this.#write([], undefined);
    this.#terminal.write(cursorShow);
  }

  #printHeld(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const text of held) this.print(text);
  }

  get #padded(): string[] {
    return [...Array<string>(this.#padding).fill(''), ...this.#lines];
  }

  /** Rows from the first one of the region to the cursor, at the current width. */
  get #height(): number {
    return this.#padding + (this.#reflow.wraps ? this.#rowsOf(this.#lines.slice(0, -1)) : this.#drawn);
  }

  /**
   * Replaces the region by `above` and `lines`; without `lines`, removes it. `extra` are rows on the screen around the
   * region: above it, to replace too, and empty ones below it.
   */
  #write(
    above: readonly string[],
    lines: readonly string[] = [],
    extra: { readonly above: number; readonly below: number } = { above: 0, below: 0 },
  ): void {
    const height = this.#height + extra.above;
    const before = height + this.#rowsOf(this.#lines.slice(-1));
    const free = before + extra.below - this.#rowsOf(above) - this.#rowsOf(lines);
    this.#padding = this.#reflow.movesEmptyRows && lines.length > 0 ? Math.max(0, free) : 0;
    this.#lines = lines;
    const all = [...above, ...(lines.length > 0 ? this.#padded : [''])];
    const frame = all.map((line) => this.#onEmptyRows(line)).join('\n');
    const rest = this.#rowsOf(all) < before ? `${cursorDown(1)}${eraseDown}${cursorUp(1)}` : '';
    const end = `${cursorLeft}${rest}${up(this.#rowsOf(all.slice(-1)) - 1)}`;
    this.#terminal.write(`${BEGIN}${cursorLeft}${up(height)}${frame}${end}${END}`);
    this.#drawn = this.#rowsOf(lines.slice(0, -1));
  }

  /** Erases whole rows first: to a terminal that wraps them again, a row erased in part is as wide as before. */
  #onEmptyRows(line: string): string {
    const more = this.#rowsOf([line]) - 1;
    return eraseLine + `${cursorDown(1)}${eraseLine}`.repeat(more) + up(more) + line;
  }

  #rowsOf(lines: readonly string[]): number {
    return rowsOf(lines, this.columns);
  }
}

/** Some terminals move by one row if the number is 0. */
const up = (rows: number): string => (rows > 0 ? cursorUp(rows) : '');
