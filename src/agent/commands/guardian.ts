import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { within } from '../../lib/wait.js';

/**
 * Reads `+ GROUP` and `- GROUP`. At the end of its input, when the agent has ended in any way, it ends the groups that are
 * left: SIGTERM, then SIGKILL after five seconds.
 */
const PROGRAM = `
trap '' HUP INT TERM
groups=
while read -r change group; do
  case $change in
    +) groups="$groups $group" ;;
    -)
      rest=
      for each in $groups; do [ "$each" = "$group" ] || rest="$rest $each"; done
      groups=$rest
      ;;
  esac
done
for each in $groups; do kill -s TERM -- "-$each"; done 2>/dev/null
for pause in 0.1 0.2 0.7 1 1 1 1; do
  rest=
  for each in $groups; do kill -s 0 -- "-$each" 2>/dev/null && rest="$rest $each"; done
  groups=$rest
  [ -n "$groups" ] || exit 0
  sleep "$pause"
done
for each in $groups; do kill -s KILL -- "-$each"; done 2>/dev/null
`;

/** The guardian ends within milliseconds if no group is left. */
const END_MS = 1_000;

/**
 * Ends the programs of an agent that was killed or crashed. It is a shell, because only a process outlives the agent.
 * Windows has none.
 */
export class Guardian {
  #shell: ChildProcess | undefined;

  /** Ends this process group with the agent. The first call starts the shell. */
  add(group: number): void {
    if (process.platform === 'win32') return;
    this.#shell ??= start();
    this.#tell(`+ ${group}`);
  }

  /** The group has ended: the system may give its number to other processes. */
  remove(group: number): void {
    this.#tell(`- ${group}`);
  }

  /** Lets the shell end. Has a timeout. */
  async close(): Promise<void> {
    const shell = this.#shell;
    this.#shell = undefined;
    if (!shell || shell.exitCode !== null || shell.signalCode !== null) return;
    const ended = once(shell, 'exit');
    shell.stdin!.end();
    await within(ended, END_MS, 'the end of the guardian').catch(() => undefined);
  }

  #tell(line: string): void {
    this.#shell?.stdin!.write(`${line}\n`);
  }
}

/** Undefined if the system has no room for another process now. */
function start(): ChildProcess | undefined {
  const shell = spawn('/bin/sh', ['-c', PROGRAM], {
    // A session of its own, so that the end of the terminal does not end it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  shell.on('error', () => undefined);
  if (shell.pid === undefined) return undefined;
  shell.stdin.on('error', () => undefined);
  shell.unref();
  return shell;
}
