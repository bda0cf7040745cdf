/**
 * V8's compilers, which make code that runs often faster. With what they allocate and the part of Node's program that they run
 * in, they need 4 to 11 MB. A process that starts and then waits for its first visitors does not need them.
 */

const WINDOW_MS = 500;
/** The CPU time in a window that counts as load, as a part of one core. */
const LOADED = 0.2;
/** Windows in a row: garbage collection of a process at rest keeps one busy. */
const LOADED_WINDOWS = 2;
/** A start that takes longer gets the compilers. */
const START_MS = 5_000;

/** Flags with which someone has chosen other compilers than V8's default, or that forbid another choice: V8 aborts then. */
const CHOSEN = /--(no-?)?(jitless|lite[-_]mode|freeze[-_]flags|opt|turbofan|maglev|sparkplug|always)/;

/** The compilers of this Node that V8 uses by default. */
function byDefault(): string[] {
  const { v8_enable_maglev: maglev } = process.config.variables as { v8_enable_maglev?: number };
  return ['opt', 'sparkplug', ...(maglev === 1 ? ['maglev'] : [])];
}

/** Notices that a process has more to do than its start. */
export class LoadWatch {
  #passedMs = 0;
  #isStarted = false;
  #loaded = 0;

  /** Call at the end of each window, with its length and the CPU time in it. Returns whether the process is under load. */
  sees(ms: number, cpuMs: number): boolean {
    this.#passedMs += ms;
    if (cpuMs < ms * LOADED) {
      this.#isStarted = true;
      this.#loaded = 0;
      return false;
    }
    if (!this.#isStarted && this.#passedMs < START_MS) return false;
    return ++this.#loaded >= LOADED_WINDOWS;
  }
}

/** Call when a process that runs for long starts. Turns the compilers off until it is under load. */
export function compileUnderLoad(): void {
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  if (CHOSEN.test(given)) return;
  // Loaded here, because other commands do not need it.
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  const compilers = byDefault();
  for (const each of compilers) setFlagsFromString(`--no-${each}`);
  const watch = new LoadWatch();
  let since = performance.now();
  let used = process.cpuUsage();
  const timer = setInterval(() => {
    const now = performance.now();
    const { user, system } = process.cpuUsage(used);
    const isLoaded = watch.sees(now - since, (user + system) / 1_000);
    since = now;
    used = process.cpuUsage();
    if (!isLoaded) return;
    clearInterval(timer);
    for (const each of compilers) setFlagsFromString(`--${each}`);
  }, WINDOW_MS).unref();
}
