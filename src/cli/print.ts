import type { Context } from './context.js';

/** The one line of JSON that a command's result is, `time` and `event` first as in every event. */
export function printEvent(context: Context, event: string, fields: object): void {
  context.stdout.line(JSON.stringify({ time: new Date().toISOString(), event, ...fields }));
}

/** Rows as columns, each as wide as its widest cell; the last is left as it is. */
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
