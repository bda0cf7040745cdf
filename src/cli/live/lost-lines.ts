import stringWidth from 'string-width';
import { rowsOf } from './render.js';

/**
 * Lines of the region that a smaller terminal moved into its history, where nothing can erase them. When the terminal becomes
 * larger, it shows them again above the region, and they can be erased.
 */
export class LostLines {
  /** Their widths, from top to bottom. */
  #widths: readonly number[] = [];
  /** Lines that were printed between them and the region. */
  #printed: readonly string[] = [];

  /** The first `rows` rows of `lines` were lost. */
  add(lines: readonly string[], rows: number, columns: number): void {
    // Only lines directly above the region can return alone.
    if (this.#printed.length > 0) this.#forget();
    const widths = lines.map((line) => stringWidth(line));
    this.#widths = [...this.#widths, ...firstRows(widths, rows, columns)];
  }

  /** Call for printed lines. Too many of them keep the lost lines in the history. */
  printed(lines: readonly string[], maxRows: number): void {
    if (this.#widths.length === 0) return;
    this.#printed = [...this.#printed, ...lines];
    if (this.#printed.length > maxRows) this.#forget();
  }

  /**
   * The `rows` above the region to replace by `printed`, if `room` rows are on the screen above the region. These lines are
   * then no longer lost.
   */
  recover(room: number, columns: number): { rows: number; printed: readonly string[] } {
    const printed = this.#printed;
    const below = rowsOf(printed, columns);
    const lost = sumOfRows(this.#widths, columns);
    const returned = Math.min(room - below, lost);
    if (returned <= 0) return { rows: 0, printed: [] };
    if (returned === lost) this.#forget();
    else this.#widths = firstRows(this.#widths, lost - returned, columns);
    return { rows: returned + below, printed };
  }

  #forget(): void {
    this.#widths = [];
    this.#printed = [];
  }
}

const rowsOfWidth = (width: number, columns: number): number => Math.max(1, Math.ceil(width / columns));

const sumOfRows = (widths: readonly number[], columns: number): number =>
  widths.reduce((sum, width) => sum + rowsOfWidth(width, columns), 0);

/** The widths of the first `rows` rows. */
function firstRows(widths: readonly number[], rows: number, columns: number): number[] {
  const first: number[] = [];
  let left = rows;
  for (const width of widths) {
    if (left <= 0) break;
    const here = rowsOfWidth(width, columns);
    first.push(here <= left ? width : left * columns);
    left -= here;
  }
  return first;
}
