/** A variable whose value cannot be used. */
export interface Unusable {
  readonly problem: string;
  readonly hint: string;
}

/** Looks up a variable. Undefined if it is not set. */
export type Lookup = (name: string) => string | Unusable | undefined;

/**
 * `compose` is the syntax of docker compose for `.env` files: `$NAME` without braces, and `-`, `?`, `:+` and `+` in
 * addition to `:-` and `:?`.
 */
export type Dialect = 'portal' | 'compose';

/** A mistake in one `${…}`. */
interface InterpolationError {
  /** The expression as written, to find it in the source. */
  readonly expression: string;
  readonly message: string;
  readonly hint: string;
  /** Set if the mistake is in the value of a variable. The message says where. */
  readonly inherited?: true;
  /** The variable that is not set, if that is the mistake. */
  readonly variable?: string;
}

export interface Interpolated {
  /** The text with every expression replaced; an expression that failed becomes empty. */
  readonly text: string;
  /** Whether the text contains a `${…}`. `$$` does not count. */
  readonly substituted: boolean;
  readonly errors: readonly InterpolationError[];
  /** `$NAME` without braces. Portal leaves it unchanged, but it is usually a mistake. */
  readonly bareNames: readonly string[];
  /** All variables that the text names, set or not, including those in defaults. */
  readonly names: readonly string[];
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const MAX_DEPTH = 16;
/**
 * Variables that contain each other several times grow without end. A long legitimate value is a certificate chain.
 */
const MAX_LENGTH = 1024 * 1024;
const FORMS: Readonly<Record<Dialect, string>> = {
  portal: 'The forms are ${NAME}, ${NAME:-default} and ${NAME:?message}; a plain dollar sign is `$$`.',
  compose: 'Write `$$` for a dollar sign, or put the value in single quotes.',
};
const OPERATOR: Readonly<Record<Dialect, RegExp>> = { portal: /:[-?]/y, compose: /:?[-?+]/y };
const FOLLOWS: Readonly<Record<Dialect, string>> = {
  portal: 'after `${NAME` only `}`, `:-` or `:?` can follow',
  compose: 'after `${NAME` only `}`, `:-`, `-`, `:?`, `?`, `:+` or `+` can follow',
};

/**
 * Replaces `${NAME}`, `${NAME:-default}` and `${NAME:?message}`, and `$$` by `$`. As in a shell, `:-` and `:?` treat
 * an empty variable as unset, and a default may contain expressions. Values of variables are not interpolated again,
 * so no value can inject an expression.
 */
export function interpolate(input: string, lookup: Lookup, dialect: Dialect = 'portal'): Interpolated {
  if (!input.includes('$')) return { text: input, substituted: false, errors: [], bareNames: [], names: [] };
  return new Interpolator(input, lookup, dialect).run();
}

class Interpolator {
  readonly #input: string;
  readonly #lookup: Lookup;
  readonly #dialect: Dialect;
  readonly #errors: InterpolationError[] = [];
  readonly #bareNames: string[] = [];
  readonly #names = new Set<string>();
  #at = 0;
  #depth = 0;
  #substituted = false;
  #broken = false;

  constructor(input: string, lookup: Lookup, dialect: Dialect) {
    this.#input = input;
    this.#lookup = lookup;
    this.#dialect = dialect;
  }

  run(): Interpolated {
    const text = this.#text(true);
    const [substituted, errors, bareNames] = [this.#substituted, this.#errors, this.#bareNames];
    return { text, substituted, errors, bareNames, names: [...this.#names] };
  }

  /** Text up to the end, or within a default up to its closing brace, which it leaves. */
  #text(live: boolean): string {
    let text = '';
    while (this.#at < this.#input.length && !(this.#depth > 0 && this.#input[this.#at] === '}')) {
      if (this.#substituted && text.length > MAX_LENGTH) return this.#tooLong();
      if (this.#take('$$')) text += '$';
      else if (this.#input.startsWith('${', this.#at)) text += this.#expression(live);
      else {
        const bare = this.#input[this.#at] === '$' ? this.#nameAt(this.#at + 1) : '';
        if (bare && this.#dialect === 'compose') text += this.#bareName(bare, live);
        else {
          if (bare) this.#bareNames.push(bare);
          text += this.#input[this.#at++];
        }
      }
    }
    return this.#substituted && text.length > MAX_LENGTH ? this.#tooLong() : text;
  }

  #tooLong(): string {
    const hint = `Shorten it to ${MAX_LENGTH / 1024 / 1024} MiB. Look for variables that refer to each other.`;
    return this.#malformed(0, 'the text is too long once its variables are replaced', hint);
  }

  #bareName(name: string, live: boolean): string {
    const start = this.#at;
    this.#substituted = true;
    this.#names.add(name);
    this.#at += 1 + name.length;
    return live ? this.#required(name, start) : '';
  }

  /** One `${…}`. `live` is false within an unused default, which is parsed without looking up variables. */
  #expression(live: boolean): string {
    const start = this.#at;
    this.#substituted = true;
    this.#at += 2;
    const name = this.#nameAt(this.#at);
    this.#at += name.length;
    if (!name) return this.#malformed(start, 'a variable name must follow `${`');
    this.#names.add(name);
    if (this.#take('}')) return live ? this.#required(name, start) : '';
    const operator = this.#operatorAt(this.#at);
    this.#at += operator.length;
    if (operator.endsWith('?')) return this.#withMessage(name, operator, start, live);
    if (operator) return this.#withText(name, operator, start, live);
    const next = this.#input[this.#at];
    if (next === undefined) return this.#malformed(start, '`${` is not closed');
    return this.#malformed(start, FOLLOWS[this.#dialect]);
  }

  #required(name: string, start: number): string {
    const value = this.#value(name, start);
    if (value !== undefined) return value;
    if (name === 'branch')
      return this.#fail(
        start,
        'this folder is not in a git repository, so there is no branch',
        'Give a default: ${branch:-main}.',
      );
    const hint =
      this.#dialect === 'compose'
        ? `Set ${name}. ${FORMS.compose}`
        : `Set it in the environment or in a .env next to the file, or give a default: \${${name}:-…}.`;
    return this.#fail(start, `the variable ${name} is not set`, hint, name);
  }

  /** `:-` and `-`: the text if there is no value. `:+` and `+`: the text if there is one. */
  #withText(name: string, operator: string, start: number, live: boolean): string {
    if (this.#depth === MAX_DEPTH) return this.#malformed(start, 'defaults are nested too deeply');
    const value = live ? this.#value(name, start) : undefined;
    const isThere = operator.startsWith(':') ? Boolean(value) : value !== undefined;
    const takesText = operator.endsWith('+') === isThere;
    this.#depth += 1;
    const text = this.#text(live && takesText);
    this.#depth -= 1;
    if (!this.#take('}')) return this.#malformed(start, '`${` is not closed');
    return takesText ? text : (value ?? '');
  }

  #withMessage(name: string, operator: string, start: number, live: boolean): string {
    const end = this.#input.indexOf('}', this.#at);
    if (end === -1) return this.#malformed(start, '`${` is not closed');
    const message = this.#input.slice(this.#at, end);
    this.#at = end + 1;
    if (message.includes('${'))
      return this.#malformed(start, 'a message after `:?` cannot contain another `${`');
    if (!live) return '';
    const value = this.#value(name, start);
    if (value || (value === '' && operator === '?')) return value;
    const state = value === undefined ? 'not set' : 'empty';
    const hint = `Set ${name} in the environment or in a .env next to the file.`;
    return this.#fail(start, message || `the variable ${name} is ${state}`, hint, name);
  }

  /** Reports a variable that is set but unusable, and then treats it as empty. */
  #value(name: string, start: number): string | undefined {
    const value = this.#lookup(name);
    if (typeof value !== 'object') return value;
    const expression = this.#input.slice(start, this.#at);
    this.#errors.push({ expression, message: value.problem, hint: value.hint, inherited: true });
    return '';
  }

  /** The end of a malformed expression is unknown, so parsing stops there with one error. */
  #malformed(start: number, message: string, hint = FORMS[this.#dialect]): string {
    this.#at = this.#input.length;
    if (this.#broken) return '';
    this.#broken = true;
    return this.#fail(start, message, hint);
  }

  #fail(start: number, message: string, hint: string, variable?: string): string {
    const expression = this.#input.slice(start, this.#at);
    this.#errors.push({ expression, message, hint, ...(variable !== undefined && { variable }) });
    return '';
  }

  #nameAt(at: number): string {
    NAME.lastIndex = at;
    return NAME.exec(this.#input)?.[0] ?? '';
  }

  #operatorAt(at: number): string {
    const pattern = OPERATOR[this.#dialect];
    pattern.lastIndex = at;
    return pattern.exec(this.#input)?.[0] ?? '';
  }

  #take(token: string): boolean {
    if (!this.#input.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }
}
