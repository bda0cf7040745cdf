import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { parseLimits } from '../src/cli/relay-limits.js';
import { createProgram } from '../src/cli/program.js';
import { programFor } from './support/debian.js';
import { temporaryFolder } from './support/folder.js';

/** What deploy/ and docs/operate.md tell operators to run is what this package has. */

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const unit = read('deploy/portal-relay@.service');
const socket = read('deploy/portal-relay.socket');
const env = read('deploy/portal-relay.env');
const dockerfile = read('deploy/Dockerfile');
const operate = read('docs/operate.md');

/** Throws, as the command line does, for a flag or a value that `portal` does not take. */
async function parsed(args: readonly string[]): Promise<Record<string, unknown>> {
  let options: Record<string, unknown> | undefined;
  async function note(this: Command): Promise<void> {
    options = this.opts();
  }
  const program = createProgram({ write: () => undefined, execute: () => note });
  await program.parseAsync(args, { from: 'user' });
  return options!;
}

/** `KEY=value` lines of an environment file. */
const settings = Object.fromEntries(
  env
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

/** Environment variables that the program reads. */
const known = new Set(
  readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => [...read(join('src', path)).matchAll(/env\[?\.?'?([A-Z][A-Z_]+)'?\]?/g)])
    .map(([, name]) => name),
);

describe('the unit of systemd', () => {
  const start = /^ExecStart=(.*)$/m.exec(unit)![1]!;

  it('starts a program that is there, with options that it takes', async () => {
    const [node, program, ...args] = start
      .replaceAll(/\$\{(\w+)\}/g, (_, name: string) => settings[name] ?? `no ${name}`)
      .replaceAll(/\$(\w+)/g, (_, name: string) => settings[name] ?? `no ${name}`)
      .split(' ');
    expect(node).toBe('/usr/bin/node');
    expect(existsSync(join(root, program!.replace('/opt/portal/', '')))).toBe(true);
    expect(await parsed(args)).toMatchObject({
      domain: 'tunnel.example.com',
      drain: 600_000,
      takeOver: 60_000,
    });
  });

  it('sets what the program reads, and waits longer than it drains', async () => {
    const set = [...unit.matchAll(/^Environment=(\w+)=/gm)].map(([, name]) => name);
    expect(set.filter((name) => !known.has(name))).toEqual([]);
    const used = [...start.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name);
    expect(new Set(used)).toEqual(new Set(Object.keys(settings)));
    expect(/^TimeoutStopSec=20min$/m.test(unit)).toBe(true);
    expect(settings['RELAY_DRAIN']).toBe('10m');
  });

  it('gets its public port from the unit of that', () => {
    for (const line of ['Requires', 'Sockets'])
      expect(unit).toMatch(new RegExp(`^${line}=portal-relay.socket$`, 'm'));
    expect(socket).toMatch(/^ListenStream=\[::\]:443$/m);
    expect(socket).toMatch(/^Service=portal-relay@a.service$/m);
  });

  it('names files of the package', () => {
    for (const [, path] of `${unit}${socket}${operate}`.matchAll(/\/opt\/portal\/([\w/.@-]+\w)/g))
      expect(existsSync(join(root, path!))).toBe(true);
  });

  it('is one that systemd accepts', async (ctx) => {
    const analyze = await programFor(ctx, 'systemd-analyze');
    const folder = await temporaryFolder();
    const units = ['portal-relay@.service', 'portal-relay.socket'];
    for (const name of units) await copyFile(join(root, 'deploy', name), join(folder, name));
    const { stdout, stderr } = await promisify(execFile)(
      analyze,
      ['verify', '--man=no', ...units.map((name) => join(folder, name))],
      { timeout: 20_000 },
    ).catch((error: { stdout: string; stderr: string }) => error);
    // Where node is elsewhere, it says so; that is no matter of the unit.
    const complaints = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('portal-relay'));
    expect(complaints.filter((line) => !line.includes('/usr/bin/node'))).toEqual([]);
  });
});

describe('the Dockerfile', () => {
  const instructions = dockerfile
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line))
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const);
  const of = (name: string): string[] => instructions.filter(([one]) => one === name).map(([, text]) => text);

  it('copies what is there, and no more than the context lets in', () => {
    const admitted = read('deploy/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const sources = of('COPY')
      .filter((text) => !text.startsWith('--from='))
      .flatMap((text) =>
        text
          .replace(/^--chown=\S+ /, '')
          .split(' ')
          .slice(0, -1),
      );
    for (const source of sources) {
      expect(existsSync(join(root, source))).toBe(true);
      expect(admitted).toContain(source);
    }
  });

  it('runs every command without a shell, and scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const text of [...of('RUN'), ...of('ENTRYPOINT')]) expect(() => JSON.parse(text)).not.toThrow();
    const run = of('RUN').map((text) => JSON.parse(text) as string[]);
    for (const [, , name] of run.filter(([, verb]) => verb === 'run')) expect(scripts[name!]).toBeDefined();
  });

  it('starts a program that is there, with options that it takes, as a user without rights', async () => {
    const [node, program, ...args] = JSON.parse(of('ENTRYPOINT')[0]!) as string[];
    expect(node).toBe('node');
    expect(existsSync(join(root, program!.replace('/portal/', '')))).toBe(true);
    expect(await parsed(args)).toMatchObject({ publicPort: 443, metrics: '9464' });
    expect(of('USER')).toEqual(['node']);
    const set = of('ENV').map((text) => text.split('=')[0]!);
    expect(set.filter((name) => name !== 'NODE_ENV' && !known.has(name))).toEqual([]);
  });
});

describe('docs/operate.md', () => {
  it('names options, limits and metrics that there are', async () => {
    const help = createProgram({ write: () => undefined, execute: () => async () => undefined })
      .commands.find((command) => command.name() === 'relay')!
      .options.map((option) => option.long);
    const flags = [...operate.matchAll(/`(--[a-z-]+)[ `]/g)]
      .map(([, flag]) => flag!)
      // Docker's, and those of tools.
      .filter((flag) => !['--ulimit', '--network'].includes(flag));
    expect(flags.filter((flag) => !help.includes(flag))).toEqual([]);
    for (const [, name] of operate.matchAll(/^\| `(max\w+)` +\|/gm)) parseLimits([`${name}=1`]);
    const metrics = read('docs/metrics.md');
    for (const [name] of operate.matchAll(/portal_relay_\w+/g)) expect(metrics).toContain(`\`${name}\``);
    const dockerRun = /portal-relay (--domain .*)$/m.exec(operate)![1]!;
    expect(await parsed(['relay', ...dockerRun.split(' ')])).toMatchObject({ drain: 600_000, acme: true });
  });
});
