import { ERRORS } from '../../lib/error-codes.js';
import { asPortalError } from '../../lib/errors.js';

export type Level = 'ok' | 'warning' | 'problem';

/** One thing that was looked at, and what was found. */
export interface Finding {
  /** What was looked at, the same in every version: for programs. */
  readonly check: string;
  /** Whose it is: `identity`, `relay https://…`, `service web`. */
  readonly about: string;
  readonly level: Level;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** The findings about one subject, in the order in which they were made. */
export class Subject {
  readonly about: string;
  readonly findings: Finding[] = [];

  constructor(about: string) {
    this.about = about;
  }

  ok(check: string, message: string): void {
    this.#add('ok', check, message);
  }

  warning(check: string, message: string, hint?: string): void {
    this.#add('warning', check, message, hint);
  }

  problem(check: string, message: string, hint?: string): void {
    this.#add('problem', check, message, hint);
  }

  /** A problem that was thrown. */
  failed(check: string, thrown: unknown): void {
    const { code, message, hint } = asPortalError(thrown);
    this.#add('problem', check, message, hint ?? ERRORS[code].remedy);
  }

  #add(level: Level, check: string, message: string, hint?: string): void {
    this.findings.push({
      check,
      about: this.about,
      level,
      message,
      ...(hint !== undefined && { hint }),
    });
  }
}
