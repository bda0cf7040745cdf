import type { Readable } from 'node:stream';
import { PortalError } from '../../lib/errors.js';
import { BCRYPT_BYTES, hasControls, passwordBytes, type HashAlgorithm } from '../../lib/passwords/hash.js';
import { PasswordWorker } from '../../lib/passwords/worker.js';
import { readBounded } from '../../lib/read-bounded.js';
import { askSecret } from '../ask-secret.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';

interface Options {
  readonly algorithm: HashAlgorithm;
}

const MAX_BYTES = 1_024;

export async function run(
  context: Context,
  { options: { algorithm } }: CommandInput<Options>,
): Promise<ExitCode> {
  const isTerminal = (context.stdin as { isTTY?: boolean }).isTTY === true;
  const password = isTerminal ? await askSecret(context, 'Password') : await readPassword(context);
  if (password === undefined) return 130;
  check(password, algorithm);
  const hash = await new PasswordWorker().hash(password, algorithm);
  if (context.json) {
    printEvent(context, 'hash', { algorithm, hash });
    return 0;
  }
  context.stdout.line(hash);
  if (isTerminal)
    context.stderr.note("Put it into a variable, in single quotes: in .env, for example ALICE_HASH='…'.");
  return 0;
}

/** From a pipe or a file. The end of the line does not belong to the password. */
async function readPassword({ stdin }: Context): Promise<string> {
  const bytes = await readBounded(stdin as Readable, MAX_BYTES + 2, tooLong);
  return bytes.toString().replace(/\r?\n$/, '');
}

function check(password: string, algorithm: HashAlgorithm): void {
  const { length } = passwordBytes(password);
  if (length === 0) throw new PortalError('usage', 'the password is empty');
  if (length > MAX_BYTES) throw tooLong();
  if (hasControls(password))
    throw new PortalError('usage', 'the password has a line break or another control character', {
      hint: 'Browsers cannot send these. Write the password on one line.',
    });
  if (algorithm === 'bcrypt' && length > BCRYPT_BYTES)
    throw new PortalError(
      'usage',
      `the password has ${length} bytes, and bcrypt uses only the first ${BCRYPT_BYTES}`,
      {
        hint: 'Use a shorter password, or `--algorithm argon2id`.',
      },
    );
}

const tooLong = (): PortalError => new PortalError('usage', `the password has more than ${MAX_BYTES} bytes`);
