import cliTruncate from 'cli-truncate';
import stringWidth from 'string-width';

/** Formats rows as columns, each as wide as its widest cell. Does not pad the last column. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** Joins parts with `gap` into lines of at most `width`. Breaks no part, so that a URL can be copied. */
export function filled(parts: readonly string[], width: number, gap: string): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const longer = lines.length === 0 ? part : `${lines.at(-1)}${gap}${part}`;
    if (lines.length > 0 && stringWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(part);
  }
  return lines;
}

export interface Fit {
  /** Columns that are dropped first to last, named by their header, until the table fits. */
  readonly optional: readonly string[];
  readonly width: number;
  /** The last column may be cut to this width before a column is dropped, and further afterwards. */
  readonly cutsLastTo?: number;
}

const widthOf = (lines: readonly string[]): number => Math.max(0, ...lines.map((line) => stringWidth(line)));

/** Drops columns, and cuts the last one if it may be cut, until the table fits. */
export function fitColumns(rows: readonly (readonly string[])[], fit: Fit): string[] {
  const { optional, width, cutsLastTo } = fit;
  const lines = columns(rows);
  if (widthOf(lines) <= width) return lines;
  const [name, ...others] = optional;
  if (cutsLastTo !== undefined) {
    const room = width - widthOf(columns(rows.map((row) => [...row.slice(0, -1), '|']))) + 1;
    if (room >= cutsLastTo || name === undefined)
      return columns(rows.map((row) => [...row.slice(0, -1), cliTruncate(row.at(-1)!, Math.max(room, 1))]));
  }
  if (name === undefined) return lines;
  const at = rows[0]!.indexOf(name);
  return fitColumns(at < 0 ? rows : rows.map((row) => row.toSpliced(at, 1)), { ...fit, optional: others });
}
