import type { Context } from './context.js';

/** JSON that is safe on a terminal: escapes C1 controls and bidirectional controls, which JSON.stringify leaves as they are. */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(
    /\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Prints an event as one line of JSON, with `time` and `event` first. */
export function printEvent(context: Context, event: string, fields: object): void {
  context.stdout.data(jsonLine({ time: new Date().toISOString(), event, ...fields }));
}
