import cliTruncate from 'cli-truncate';
import type { Style } from '../text/style.js';
import { wrapWords } from '../text/wrap.js';

type Size = Pick<Screen, 'columns' | 'rows'>;

/** The lines of the help or of a QR code, for the current size of the terminal. */
export type Overlay = (size: Size) => readonly string[];

/** The input of the view. Rendering depends only on this. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Whether the terminal wraps its lines again when it becomes narrower. */
  readonly wraps: boolean;
  readonly style: Style;
  /** The index of the selected service, on which keys act. */
  readonly selected: number;
  /** Shown instead of the services, while its key is active. */
  readonly overlay: Overlay | undefined;
  /** Lines of the overlay that are scrolled out above. */
  readonly scroll: number;
  /** Shown at the bottom until the next key: the result of a key. */
  readonly message: string | undefined;
  readonly hasKeys: boolean;
}

/** On one line, without what does not fit. */
export const cut = (text: string, { columns }: Pick<Screen, 'columns'>): string =>
  cliTruncate(text, columns - 1);

/** On as many lines as it needs. */
export const wrapped = (text: string, { columns }: Pick<Screen, 'columns'>): string[] =>
  wrapWords(text, columns - 1).split('\n');
