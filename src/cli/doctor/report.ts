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
  /** What causes the problem, if other subjects can have it for the same reason. Not printed. */
  readonly cause?: string;
  /** When the certificate of the check ends, for programs (ISO 8601). */
  readonly expiresAt?: string;
}

/** Facts besides the message. */
type Facts = Pick<Finding, 'expiresAt' | 'because' | 'cause'>;

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

  problem(check: string, message: string, hint?: string, facts?: Facts): void {
    this.#add('problem', check, message, hint, facts);
  }

  /** Adds a problem that goes when the one of the subject `because` goes. */
  consequence(check: string, message: string, because: string): void {
    this.#add('problem', check, seeAbove(message, because), undefined, { because });
  }

  /** @param first what the user has to do before the check can run */
  skipped(check: string, first: string): void {
    this.#add('skipped', check, `not checked: ${first} first`);
  }

  /** Adds a thrown error as a problem. */
  failed(check: string, thrown: unknown, facts?: Facts): void {
    const { code, message, hint } = asPortalError(thrown);
    this.#add('problem', check, message, hint ?? ERRORS[code].remedy, facts);
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

const seeAbove = (message: string, subject: string): string => `${message}: see ${subject} above`;

/** Makes one problem of those with the same cause: the first counts, and later ones refer to its subject. */
export class Causes {
  readonly #subjects = new Map<string, string>();

  /** @param found the findings, in the order in which users see them */
  relate({ cause, ...found }: Finding): Finding {
    const first = cause === undefined ? undefined : this.#subjects.get(cause);
    if (cause !== undefined && first === undefined) this.#subjects.set(cause, found.about);
    if (first === undefined || first === found.about) return found;
    const { hint: _, ...related } = found;
    return { ...related, message: seeAbove(found.message, first), because: first };
  }
}

/** `1 service`, `2 services` */
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
