import { ERRORS, type ErrorCode } from './error-codes.js';

export type { ErrorCode };

export interface PortalErrorOptions {
  cause?: unknown;
  /** What to do next, if the remedy of the code is too general. */
  hint?: string;
  /** Pause before a retry, in milliseconds; undefined if a retry cannot help. */
  retryAfterMs?: number;
}

/** An error with a stable code. Programs read `code`, never `message`. */
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

/** Any thrown value as a PortalError. A value that is not ours gets `code` and becomes the cause. */
export function asPortalError(error: unknown, code: ErrorCode = 'internal'): PortalError {
  if (error instanceof PortalError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new PortalError(code, message, { cause: error });
}

/** The operating system's error code (`ECONNREFUSED`…), if the value has one. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof PortalError) return undefined;
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Why a file cannot be read. `file` is its path, optionally with a description. */
export function cannotRead(file: string, error: unknown): string {
  if (isMissing(error)) return `${file} does not exist`;
  const code = systemCode(error);
  if (code === 'EISDIR') return `${file} is a folder`;
  if (code === 'EACCES') return `${file} cannot be read: permission denied (EACCES)`;
  // An error in the content has its own message.
  const isSystemError = (error as { syscall?: unknown } | undefined)?.syscall !== undefined;
  return `${file} cannot be read: ${(isSystemError && code) || asPortalError(error).message}`;
}

/** The remedy for a file that this user cannot read; undefined for other errors. */
export function unreadableHint(error: unknown): string | undefined {
  return systemCode(error) === 'EACCES'
    ? 'Give your user permission to read the file: ls -l shows whose it is.'
    : undefined;
}

/** Whether the file does not exist. Also true if its folder is not a folder, as with a home of `/dev/null`. */
export function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
