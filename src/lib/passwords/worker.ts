import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { PortalError } from '../errors.js';
import { deadline, deferred, type Deferred } from '../wait.js';
import { passwordBytes, type HashAlgorithm } from './hash.js';
import type { Answer, Task } from './thread.js';

/** Hashes that wait. Beyond them, a caller gets `busy` immediately. */
const MAX_QUEUE = 64;
/** Timeout of one task, without the time in the queue. The most expensive hash takes about 3 seconds of a CPU. */
const TASK_MS = 60_000;
/** The thread ends after this long without a task, because it keeps the memory that argon2id used. */
const IDLE_MS = 30_000;
const SALT_BYTES = 16;

interface Queued {
  readonly task: Task;
  readonly answer: Deferred<boolean | string>;
}

/**
 * Hashes passwords, one after another, on a thread of its own: one hash takes up to seconds, in which the agent serves visitors.
 * The thread starts with the first task.
 */
export class PasswordWorker {
  readonly #queue: Queued[] = [];
  #current: Queued | undefined;
  #thread: Promise<Worker> | undefined;
  #idle: NodeJS.Timeout | undefined;

  /** Whether `password` has the hash `hash`, which `hashProblem` accepts. `busy`: too many wait. */
  async verify(password: string, hash: string): Promise<boolean | 'busy'> {
    const bytes = passwordBytes(password);
    // `portal hash` makes no hash of an empty password, and hash-wasm rejects it.
    if (bytes.length === 0) return false;
    if (this.#queue.length >= MAX_QUEUE) return 'busy';
    return (await this.#run({ kind: 'verify', password: bytes, hash })) === true;
  }

  /** A new hash, as text. bcrypt uses only the first 72 bytes of `password`, which is not empty. */
  async hash(password: string, algorithm: HashAlgorithm): Promise<string> {
    const [bytes, salt] = [passwordBytes(password), randomBytes(SALT_BYTES)];
    return String(await this.#run({ kind: 'hash', password: bytes, salt, algorithm }));
  }

  #run(task: Task): Promise<boolean | string> {
    const answer = deferred<boolean | string>();
    this.#queue.push({ task, answer });
    if (!this.#current) this.#next();
    return answer.promise;
  }

  #next(): void {
    clearTimeout(this.#idle);
    const current = (this.#current = this.#queue.shift());
    if (!current) {
      this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
      return;
    }
    const stop = deadline(TASK_MS, () => this.#end());
    const settle = (answer: Answer): void => {
      stop();
      if ('value' in answer) current.answer.resolve(answer.value);
      else current.answer.reject(new PortalError('internal', `hashing a password failed: ${answer.error}`));
      this.#next();
    };
    this.#ask(current.task).then(settle, (error: unknown) => settle({ error: (error as Error).message }));
  }

  async #ask(task: Task): Promise<Answer> {
    const thread = await (this.#thread ??= this.#start());
    // Only a task keeps the process alive.
    thread.ref();
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const gone = (): void => reject(new Error('the thread ended'));
        thread.once('error', reject).once('exit', gone);
        thread.once('message', (answer: Answer) => {
          thread.off('error', reject).off('exit', gone);
          resolve(answer);
        });
        thread.postMessage(task, []);
      });
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      thread.unref();
    }
  }

  /** Ends the thread. A task that it runs fails, and the next one starts another. */
  #end(): void {
    const ending = this.#thread;
    this.#thread = undefined;
    ending?.then((thread) => thread.terminate()).catch(() => undefined);
  }

  async #start(): Promise<Worker> {
    const { program } = await import('threads:passwords');
    // Without the environment of this process, which has secrets.
    const thread = new Worker(program, { eval: true, env: {}, execArgv: [], name: 'passwords' });
    thread.on('error', () => undefined);
    return thread;
  }
}
