import type { Context } from './context.js';

/** JSON as ever, with what may steer a terminal as escapes: JSON leaves C1 controls and directions of writing as they are. */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(
    /\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The one line of JSON that a command's result is, `time` and `event` first as in every event. */
export function printEvent(context: Context, event: string, fields: object): void {
  context.stdout.line(jsonLine({ time: new Date().toISOString(), event, ...fields }));
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
