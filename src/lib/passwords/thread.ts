import { parentPort } from 'node:worker_threads';
import { argon2id, argon2Verify, bcrypt, bcryptVerify } from 'hash-wasm';
import { BCRYPT_BYTES, HASH_DEFAULTS, type HashAlgorithm } from './hash.js';

/** The program of the worker thread that hashes passwords. `worker.ts` gets it as text and starts it. */

export type Task =
  | { readonly kind: 'verify'; readonly password: Uint8Array; readonly hash: string }
  | {
      readonly kind: 'hash';
      readonly password: Uint8Array;
      readonly salt: Uint8Array;
      readonly algorithm: HashAlgorithm;
    };

export type Answer = { readonly value: boolean | string } | { readonly error: string };

parentPort!.on('message', (task: Task) => {
  const answer = task.kind === 'verify' ? verify(task.password, task.hash) : hash(task);
  answer.then(
    (value) => send({ value }),
    (error: unknown) => send({ error: (error as Error).message }),
  );
});

function send(answer: Answer): void {
  parentPort!.postMessage(answer, []);
}

function verify(password: Uint8Array, text: string): Promise<boolean> {
  if (text.startsWith('$argon2id$')) return argon2Verify({ password, hash: text });
  return bcryptVerify({ password: password.subarray(0, BCRYPT_BYTES), hash: text });
}

function hash({ password, salt, algorithm }: Extract<Task, { kind: 'hash' }>): Promise<string> {
  if (algorithm === 'bcrypt')
    return bcrypt({ password, salt, costFactor: HASH_DEFAULTS.bcryptCost, outputType: 'encoded' });
  return argon2id({
    password,
    salt,
    memorySize: HASH_DEFAULTS.argon2MemoryKib,
    iterations: HASH_DEFAULTS.argon2Passes,
    parallelism: HASH_DEFAULTS.argon2Lanes,
    hashLength: 32,
    outputType: 'encoded',
  });
}
