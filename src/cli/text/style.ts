import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

export type Paint = (text: string) => string;

/** The CLI's colours. Without colour, each returns the text unchanged. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

export function createStyle(enabled: boolean): Style {
  const paint =
    (format: Format): Paint =>
    (text) =>
      // Portal decides about colour itself, not by the type of stdout.
      enabled ? styleText(format, text, { validateStream: false }) : text;
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  };
}

/** External text on one line without control characters, so that a relay's message cannot control the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}/gu, ' ');
}
