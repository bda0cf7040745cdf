import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

export type Paint = (text: string) => string;

/** The few colours the CLI uses. Off, each returns its text as it is. */
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
      // Whether to colour is decided by our own rules, not by what stdout happens to be.
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

/** Text from elsewhere on one line, without control characters: a relay's message must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}/gu, ' ');
}
