import { ERRORS } from '../../lib/error-codes.js';
import { asPortalError } from '../../lib/errors.js';

/** `skipped`: the check did not run. */
export type Level = 'ok' | 'warning' | 'problem' | 'skipped';

/** The result of one check. */
export interface Finding {
  /** Stable name of the check, for programs. */
  readonly check: string;
  /** The subject: `identity`, `relay https://…`, `service web`. */
  readonly about: string;
  readonly level: Level;
  readonly message: string;
  /** How to fix it. */
  readonly hint?: string;
  /** The subject with the problem that causes this one, which therefore does not count. */
  readonly because?: string;
  /** When the certificate of the check ends, for programs (ISO 8601). */
  readonly expiresAt?: string;
}

/** Facts for programs besides the message. */
type Facts = Pick<Finding, 'expiresAt' | 'because'>;

/** The findings about one subject, in order. */
export class Subject {
  readonly about: string;
  readonly findings: Finding[] = [];

  constructor(about: string) {
    this.about = about;
  }

  ok(check: string, message: string, facts?: Facts): void {
    this.#add('ok', check, message, undefined, facts);
  }

  warning(check: string, message: string, hint?: string, facts?: Facts): void {
    this.#add('warning', check, message, hint, facts);
  }

  problem(check: string, message: string, hint?: string): void {
    this.#add('problem', check, message, hint);
  }

  /** Adds a problem that goes when the one of the subject `because` goes. */
  consequence(check: string, message: string, because: string): void {
    this.#add('problem', check, `${message}: see ${because} above`, undefined, { because });
  }

  /** @param first what the user has to do before the check can run */
  skipped(check: string, first: string): void {
    this.#add('skipped', check, `not checked: ${first} first`);
  }

  /** Adds a thrown error as a problem. */
  failed(check: string, thrown: unknown): void {
    const { code, message, hint } = asPortalError(thrown);
    this.#add('problem', check, message, hint ?? ERRORS[code].remedy);
  }

  #add(level: Level, check: string, message: string, hint?: string, facts: Facts = {}): void {
    this.findings.push({
      check,
      about: this.about,
      level,
      message,
      ...(hint !== undefined && { hint }),
      ...facts,
    });
  }
}

/** `1 service`, `2 services` */
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
