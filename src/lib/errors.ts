import { ERRORS, type ErrorCode } from './error-codes.js';

export type { ErrorCode };

export interface PortalErrorOptions {
  cause?: unknown;
  /** What to do next, where the code's own remedy is too general. */
  hint?: string;
  /** Worth another try after this pause, in milliseconds; absent when trying again cannot help. */
  retryAfterMs?: number;
}

/** An error with a stable code. Programs look at `code`, never at `message`. */
export class PortalError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: PortalErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PortalError';
    this.code = code;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Exit code of a process that ends because of this error. */
  get exitCode(): 1 | 2 {
    return ERRORS[this.code].exit;
  }
}

/** Any thrown value as a PortalError: ours as it is, everything else as `internal` with the original as cause. */
export function asPortalError(error: unknown, code: ErrorCode = 'internal'): PortalError {
  if (error instanceof PortalError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new PortalError(code, message, { cause: error });
}

/** The operating system's error code (`ECONNREFUSED`…), if the value carries one; an error of ours has words instead. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof PortalError) return undefined;
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** A sentence on a file that cannot be read; `file` may be what it is and its path. */
export function cannotRead(file: string, error: unknown): string {
  if (isMissing(error)) return `${file} does not exist`;
  const code = systemCode(error);
  if (code === 'EISDIR') return `${file} is a folder`;
  if (code === 'EACCES') return `${file} cannot be read: permission denied`;
  // What is wrong with its content has words of its own.
  const isRefused = (error as { syscall?: unknown } | undefined)?.syscall !== undefined;
  return `${file} cannot be read: ${(isRefused && code) || asPortalError(error).message}`;
}

/** Whether there is no such file: also where what should be its folder is none, as in a home of `/dev/null`. */
export function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
