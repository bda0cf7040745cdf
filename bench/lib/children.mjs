import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { childrenOf, cpuOf, cpuOfTree, rssOfTree } from './proc.mjs';

/** Every process that the benchmark starts, so that none outlives it. */
const running = new Set();

const PRELOAD = new URL('../children/control.mjs', import.meta.url).href;
/** The first and the second request to stop, then the kill. */
const STOP_SIGNALS = ['SIGTERM', 'SIGTERM', 'SIGKILL'];
const STOP_EVERY_MS = 2_000;

/** A child process whose standard output is JSON lines. Other lines are ignored. */
export class Child {
  #lines = [];
  #waiters = new Set();
  #stderr = '';
  #control;
  #answers = [];
  #exited;

  constructor(name, command, args, { env = {}, control = false, cwd } = {}) {
    this.name = name;
    this.process = spawn(command, args, {
      env: { ...process.env, ...env },
      cwd,
      stdio: ['pipe', 'pipe', 'pipe', ...(control ? ['pipe'] : [])],
    });
    running.add(this);
    this.#exited = new Promise((resolve) => {
      this.process.once('error', (error) => resolve(this.#gone(error.message)));
      this.process.once('close', (code, signal) => resolve(this.#gone(`exit ${code ?? signal}`)));
    });
    this.process.stdin.on('error', () => undefined);
    this.process.stderr.on('data', (chunk) => (this.#stderr = (this.#stderr + chunk).slice(-4_000)));
    createInterface({ input: this.process.stdout }).on('line', (line) => this.#line(line));
    if (!control) return;
    this.#control = this.process.stdio[3];
    this.#control.on('error', () => undefined);
    createInterface({ input: this.#control }).on('line', (line) => this.#answers.shift()?.(JSON.parse(line)));
  }

  get pid() {
    return this.process.pid;
  }

  /** Forgets earlier lines, so that a later wait does not find them. */
  forgetLines() {
    this.#lines = [];
  }

  /** Sends a request to a script's standard input, and waits for the line that has `key`. */
  async ask(question, key, ms = 10_000) {
    this.process.stdin.write(`${JSON.stringify(question)}\n`);
    const answer = await this.line((line) => line[key] !== undefined, ms);
    this.forgetLines();
    return answer;
  }

  /** The first line, past or future, that `match` accepts. Its arrival time is added as `at`. */
  line(match, ms = 30_000) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.#lines.find(match);
        if (found) settle(() => resolve(found));
        else if (this.gone !== undefined) settle(() => reject(this.#failure(`ended (${this.gone})`)));
      };
      const timer = setTimeout(() => settle(() => reject(this.#failure(`printed nothing for ${ms} ms`))), ms);
      const settle = (then) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        then();
      };
      this.#waiters.add(look);
      look();
    });
  }

  /** CPU seconds of the process and its children since they started. */
  cpuSeconds() {
    return cpuOfTree(this.pid);
  }

  /** CPU seconds of each of its children, or of the process itself if it has none. */
  workerSeconds() {
    const workers = childrenOf(this.pid);
    return (workers.length > 0 ? workers : [this.pid]).map(cpuOf);
  }

  /** Resident bytes now, including garbage. */
  rssBytes() {
    return rssOfTree(this.pid);
  }

  /** Resident bytes, after a garbage collection where the process has a collector. */
  async residentBytes() {
    if (this.#control) await this.#ask('gc');
    return rssOfTree(this.pid);
  }

  /** Ends the process: with SIGTERM first, then with SIGKILL. */
  async stop() {
    this.process.stdin.destroy();
    let next = 0;
    const signal = () => this.process.kill(STOP_SIGNALS[Math.min(next++, STOP_SIGNALS.length - 1)]);
    if (this.gone === undefined) signal();
    const timer = setInterval(signal, STOP_EVERY_MS);
    await this.#exited;
    clearInterval(timer);
  }

  exited() {
    return this.#exited;
  }

  #ask(question) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#failure(`did not answer "${question}"`)), 20_000);
      this.#answers.push((answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.#control.write(`${question}\n`);
    });
  }

  #line(text) {
    if (!text.startsWith('{')) return;
    let line;
    try {
      line = JSON.parse(text);
    } catch {
      return;
    }
    this.#lines.push({ ...line, at: performance.now() });
    for (const waiter of this.#waiters) waiter();
  }

  #gone(how) {
    this.gone = how;
    running.delete(this);
    for (const waiter of this.#waiters) waiter();
    return how;
  }

  #failure(what) {
    const told = this.#lines.flatMap(({ event, errors = [], message }) =>
      event === 'error' ? [message] : errors.map((error) => error.message),
    );
    return new Error([`${this.name} ${what}`, ...told, this.#stderr].filter(Boolean).join('\n'));
  }
}

/**
 * A script of bench/children/. It stops when its standard input ends, so it never outlives the benchmark. With
 * `inside`, a process id, it runs in that process's namespaces.
 */
export function script(file, options = {}, { inside } = {}) {
  const path = new URL(`../children/${file}`, import.meta.url).pathname;
  return new Child(file, ...node(inside, [path, JSON.stringify(options)]));
}

/** A Node program that collects garbage on request. `nodeArgs` come before it. */
export function program(name, args, { env, nodeArgs = [], inside } = {}) {
  return new Child(name, ...node(inside, [...nodeArgs, '--expose-gc', '--import', PRELOAD, ...args]), {
    env: { ...env, PORTAL_BENCH_CONTROL: '3' },
    control: true,
  });
}

const node = (pid, args) =>
  pid === undefined ? [process.execPath, args] : enter(pid, process.execPath, args);

/**
 * A command line that runs `command` in the namespaces of process `pid`. nsenter execs the command, so the process id
 * is the command's.
 */
export function enter(pid, command, args) {
  return ['nsenter', [`--target=${pid}`, '--net', '--mount', command, ...args]];
}

/** Runs a command to its end, for at most `ms`. Resolves with its output. */
export async function output(command, args, { ms = 60_000, allowed = [0], env = {} } = {}) {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const entry = { stop: async () => void child.kill('SIGKILL') };
  running.add(entry);
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const code = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  clearTimeout(timer);
  running.delete(entry);
  if (!allowed.includes(code)) throw new Error(`${command} ended with ${code}\n${stderr.slice(-2_000)}`);
  return stdout;
}

/** Stops all processes that still run. */
export async function stopEverything() {
  await Promise.allSettled([...running].map((child) => child.stop()));
}
