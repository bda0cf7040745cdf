import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A process of the world. If the harness exits, the kernel kills it (`setpriv`). */
const running = new Set();

export class Program {
  gone;
  /** Its latest error messages. */
  said = [];
  #waiters = new Set();
  #answers = [];

  /**
   * `onLine` gets each JSON line of standard output, `onLog` each line of standard error. `keep` is a file for both.
   * With `control`, file descriptor 3 is a pipe to bench/children/control.mjs.
   */
  constructor(name, command, { env = {}, cwd, onLine, onLog, keep, control = false } = {}) {
    this.name = name;
    const [file, ...args] = ['setpriv', '--pdeathsig', 'KILL', ...command];
    this.process = spawn(file, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe', ...(control ? ['pipe'] : [])],
    });
    running.add(this);
    this.ended = new Promise((resolve) => {
      const end = (how) => {
        this.gone = how;
        running.delete(this);
        for (const answer of this.#answers) answer.reject(new Error(`${name} ended (${how})`));
        for (const look of this.#waiters) look();
        resolve(how);
      };
      this.process.once('error', (error) => end(error.message));
      this.process.once('close', (code, signal) => end(signal ?? `exit ${code}`));
    });
    this.process.stdin.on('error', () => undefined);
    const log = keep === undefined ? undefined : openSync(keep, 'a');
    const write = (line) => log !== undefined && this.isUp && writeSync(log, `${line}\n`);
    createInterface({ input: this.process.stderr }).on('line', (line) => {
      this.#keep(line);
      write(line);
      onLog?.(line);
    });
    if (log !== undefined) void this.ended.then(() => closeSync(log));
    createInterface({ input: this.process.stdout }).on('line', (text) => {
      const line = parsed(text);
      if (!line) return;
      if (line.event === 'error' || line.event === 'rejected') this.#keep(text);
      write(text);
      onLine?.(line);
      for (const look of this.#waiters) look(line);
    });
    if (!control) return;
    const pipe = this.process.stdio[3];
    pipe.on('error', () => undefined);
    createInterface({ input: pipe }).on('line', () => this.#answers.shift()?.resolve());
  }

  get pid() {
    return this.process.pid;
  }

  get isUp() {
    return this.gone === undefined;
  }

  /** The next line that `match` accepts. */
  next(match, ms, what = 'a line') {
    return new Promise((resolve, reject) => {
      const settle = (then) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        then();
      };
      const look = (line) => {
        if (line && match(line)) settle(() => resolve(line));
        else if (this.gone !== undefined) settle(() => reject(this.#failure(`ended (${this.gone})`)));
      };
      const timer = setTimeout(() => settle(() => reject(this.#failure(`said no ${what} in ${ms} ms`))), ms);
      this.#waiters.add(look);
      look();
    });
  }

  say(line) {
    this.process.stdin.write(`${JSON.stringify(line)}\n`);
  }

  /** Makes the process collect garbage. */
  async collect(ms = 20_000) {
    if (!this.isUp) throw this.#failure(`ended (${this.gone})`);
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#failure('did not collect its garbage')), ms);
      const settle = (then) => (value) => {
        clearTimeout(timer);
        then(value);
      };
      this.#answers.push({ resolve: settle(resolve), reject: settle(reject) });
      this.process.stdio[3].write('gc\n');
    });
  }

  signal(name) {
    if (this.isUp) this.process.kill(name);
  }

  async kill() {
    this.signal('SIGKILL');
    await this.ended;
  }

  /** Asks the process to exit, and kills it after `ms`. Resolves with how it ended. */
  async stop(ms = 15_000) {
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), ms);
    const how = await this.ended;
    clearTimeout(timer);
    return how;
  }

  #keep(line) {
    this.said = [...this.said, line].slice(-20);
  }

  #failure(what) {
    return new Error([`${this.name} ${what}`, ...this.said.slice(-5)].join('\n  '));
  }
}

export async function killEverything() {
  await Promise.allSettled([...running].map((program) => program.kill()));
}

function parsed(text) {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
