/** Hashes of passwords as text: bcrypt, and argon2id in the PHC string format (RFC 9106 defines argon2id). */

export type HashAlgorithm = 'argon2id' | 'bcrypt';

/** Limits of what one verification may cost, because visitors cause verifications. */
const HASH_LIMITS = {
  /** The time doubles with each step. */
  bcryptCost: 14,
  argon2MemoryKib: 64 * 1024,
  argon2Passes: 10,
  argon2Lanes: 16,
} as const;

/** What `portal hash` uses: as the OWASP Password Storage Cheat Sheet recommends. */
export const HASH_DEFAULTS = {
  argon2MemoryKib: 19 * 1024,
  argon2Passes: 2,
  argon2Lanes: 1,
  bcryptCost: 10,
} as const;

/** bcrypt ignores further bytes. */
export const BCRYPT_BYTES = 72;

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const ARGON2 =
  /^\$argon2id\$v=19\$m=([1-9]\d{0,8}),t=([1-9]\d{0,8}),p=([1-9]\d{0,8})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** Why a text cannot be used as the hash of a password. */
export interface HashProblem {
  /** What follows `… is`, or `… has`. Contains no part of the text except numbers. */
  readonly message: string;
  readonly hint: string;
}

const MAKE =
  'Run `portal hash`, put what it prints into a variable, in single quotes, and name the variable here.';

/** Undefined if Portal can verify passwords with `text`. */
export function hashProblem(text: string): HashProblem | undefined {
  const bcrypt = BCRYPT.exec(text);
  if (bcrypt) return bcryptProblem(Number(bcrypt[1]));
  const argon2 = ARGON2.exec(text);
  if (argon2) return argon2Problem(Number(argon2[1]), Number(argon2[2]), Number(argon2[3]));
  if (/^\$(argon2[id]|argon2id\$v=1[0-8]|2x|[156y]|apr1|scrypt|pbkdf2)\$/.test(text) || /^\{\w+\}/.test(text))
    return { message: 'is a hash that Portal does not support: it needs argon2id or bcrypt', hint: MAKE };
  if (/^\$(argon2id|2[aby])\$/.test(text) || /\bargon2id\b|,t=\d+,p=\d/.test(text)) {
    return {
      message: 'is an incomplete hash',
      hint: 'Shells and `.env` files replace what follows `$`: put the hash in single quotes there. In portal.yaml, write `$$` for each `$`.',
    };
  }
  return { message: 'is not the hash of a password', hint: MAKE };
}

function bcryptProblem(cost: number): HashProblem | undefined {
  if (cost < 4)
    return {
      message: 'is a hash that Portal does not support: the cost of bcrypt is at least 4',
      hint: MAKE,
    };
  return costProblem([['a cost', cost, HASH_LIMITS.bcryptCost]]);
}

function argon2Problem(memoryKib: number, passes: number, lanes: number): HashProblem | undefined {
  if (memoryKib < 8 * lanes)
    return { message: 'is an invalid hash: argon2id needs 8 KiB of memory for each lane', hint: MAKE };
  return costProblem([
    ['KiB of memory', memoryKib, HASH_LIMITS.argon2MemoryKib],
    ['passes', passes, HASH_LIMITS.argon2Passes],
    ['lanes', lanes, HASH_LIMITS.argon2Lanes],
  ]);
}

function costProblem(
  costs: readonly (readonly [what: string, value: number, most: number])[],
): HashProblem | undefined {
  const above = costs.find(([, value, most]) => value > most);
  if (!above) return undefined;
  const [what, value, most] = above;
  const shown = what.startsWith('a ') ? `${what} of ${value}` : `${value} ${what}`;
  return {
    message: `is a hash that takes too long to verify: it has ${shown}, and the limit is ${most}`,
    hint: 'Make another hash with `portal hash`.',
  };
}

/** A password in the form in which it is hashed (RFC 7617, section 2.1: NFC and UTF-8). */
export const passwordBytes = (password: string): Buffer => Buffer.from(password.normalize('NFC'));

/** Credentials contain no control characters (RFC 7617, section 2). */
export const hasControls = (text: string): boolean => /\p{Cc}/u.test(text);
