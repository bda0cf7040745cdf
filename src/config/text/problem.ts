import type { ErrorCode } from '../../lib/errors.js';

/** One mistake in the configuration, with its place in the source. */
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
  /** The variable that is not set, if that is the problem. */
  readonly variable?: string;
  /** Source lines around the place with a caret below it, secrets masked, without colour. */
  readonly frame?: string;
}
