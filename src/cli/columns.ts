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

/** Drops columns, named by their header and in this order, until the table fits into `width`. */
export function fitColumns(
  rows: readonly (readonly string[])[],
  optional: readonly string[],
  width: number,
): string[] {
  const lines = columns(rows);
  const [name, ...others] = optional;
  if (name === undefined || lines.every((line) => stringWidth(line) <= width)) return lines;
  const at = rows[0]!.indexOf(name);
  return fitColumns(at < 0 ? rows : rows.map((row) => row.toSpliced(at, 1)), others, width);
}
