import type { ErrorCode } from '../lib/errors.js';

/** One thing wrong with the configuration, placed where the person wrote it. */
export interface Problem {
  /** Path as given or found; `<stdin>` for standard input. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** JSON pointer into the document (RFC 6901), '' for the whole. */
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  /** Source lines around the place with a caret under it, secrets masked, no colour. */
  readonly frame?: string;
}
