import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Guardian } from './guardian.js';
import { Program, type ProgramState } from './program.js';
import { isAlive } from '../../lib/is-alive.js';

const guardian = new Guardian();
const programs: Program[] = [];
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.stop()));
  await guardian.close();
});

/** A command that runs JavaScript, portably. */
const node = (script: string): string => `"${process.execPath}" -e "${script}"`;

function start(run: string, { cwd = tmpdir(), env = {} }: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  const states: ProgramState[] = [];
  const lines: string[] = [];
  const waiters = new Set<() => void>();
  const grow = (): void => {
    for (const look of waiters) look();
  };
  const program = new Program({
    command: { run, cwd, env: {} },
    guardian,
    environment: async () => ({ ...process.env, ...env }),
    onState: (state) => (states.push(state), grow()),
    onLine: (_stream, line) => (lines.push(line), grow()),
  });
  programs.push(program);
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        waiters.delete(look);
        resolve();
      };
      waiters.add(look);
      look();
    });
  return { program, states, lines, until };
}

describe('a program', () => {
  it('gets its environment and folder, and its output is read', async () => {
    const { lines, until } = start('echo "$GREETING from $PWD"; echo trouble >&2; sleep 60', {
      cwd: '/',
      env: { GREETING: 'hello' },
    });
    await until(() => lines.length === 2);
    expect(lines.toSorted()).toEqual(['hello from /', 'trouble']);
  });

  it('starts again when it exits, with increasing delays, and its last line is read', async () => {
    const { states, lines, until } = start('echo once; exit 3');
    await until(() => states.filter(({ state }) => state === 'exited').length === 2);
    const exits = states.filter((each) => each.state === 'exited');
    expect(exits).toMatchObject([
      { exit: { code: 3, signal: null }, nextInMs: 500 },
      { exit: { code: 3, signal: null }, nextInMs: 1_000 },
    ]);
    expect(lines).toEqual(['once', 'once']);
  });

  it('says that its folder does not exist', async () => {
    const { states, until } = start('true', { cwd: '/nowhere/at/all' });
    await until(() => states.length > 0);
    expect(states[0]).toMatchObject({
      state: 'exited',
      exit: { code: null, error: 'the folder /nowhere/at/all does not exist' },
    });
  });

  it('says that its variables are too long', async () => {
    const { states, until } = start('true', { env: { LONG: 'x'.repeat(4_000_000) } });
    await until(() => states.some(({ state }) => state === 'exited'));
    expect(states.find(({ state }) => state === 'exited')).toMatchObject({
      exit: { error: 'the command and its variables are too long for the system' },
    });
  });

  it('starts again when a file descriptor is free', async () => {
    const path = fileURLToPath(
      new URL('../../../test/support/program-without-descriptors.mjs', import.meta.url),
    );
    const child = spawn('/bin/sh', ['-c', 'ulimit -n 64; exec "$0" "$1"', process.execPath, path]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(output).toBe('exited waiting running stopped\n');
  });

  it('is stopped with every process that it started', async () => {
    const child = node('console.log(process.pid); setInterval(() => {}, 1000)');
    const { program, states, lines, until } = start(`${child} & ${child}; true`);
    await until(() => lines.length === 2);
    await program.stop();
    expect(lines.map(Number).filter(isAlive)).toEqual([]);
    expect(states.at(-1)).toEqual({ state: 'stopped' });
  });

  it('may finish its work after SIGTERM', async () => {
    const script =
      "process.on('SIGTERM', () => setTimeout(() => (console.log('done'), process.exit()), 50)); console.log('up'); setInterval(() => {}, 1000)";
    const { program, lines, until } = start(`exec ${node(script)}`);
    await until(() => lines.length === 1);
    await program.stop();
    expect(lines).toEqual(['up', 'done']);
  });

  it('leaves no process behind when only its shell ends', async () => {
    const { states, lines, until } = start(
      `${node('console.log(process.pid); setInterval(() => {}, 1000)')} & sleep 0.5`,
    );
    await until(() => states.some(({ state }) => state === 'exited'));
    expect(lines.map(Number).filter(isAlive)).toEqual([]);
  });

  it('does not start after it was stopped', async () => {
    const { program, states } = start('true');
    await program.stop();
    expect(states).toEqual([{ state: 'stopped' }]);
  });
});

describe('the guardian', () => {
  it('ends a group with the process of the agent, whose end closes its input', async () => {
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    const ended = once(child, 'exit');
    const own = new Guardian();
    own.add(child.pid!);
    await own.close();
    expect(await ended).toEqual([null, 'SIGTERM']);
  });

  it('does not end other groups', async () => {
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    const own = new Guardian();
    own.add(child.pid!);
    own.remove(child.pid!);
    await own.close();
    expect(isAlive(child.pid!)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
