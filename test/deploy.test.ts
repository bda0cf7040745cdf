import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseLimits } from '../src/cli/relay/limits.js';
import { createProgram } from '../src/cli/grammar/program.js';
import { loadConfig } from '../src/config/load.js';
import { knownVariables, parsed } from './support/cli-options.js';
import { commandOf, readCompose } from './support/compose.js';
import { programFor } from './support/debian.js';
import { parseDockerfile } from './support/dockerfile.js';
import { temporaryFolder } from './support/folder.js';

/** The commands and settings in deploy/ and docs/guides/operate-a-relay.md exist in this package. */

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const unit = read('deploy/portal-relay@.service');
const socket = read('deploy/portal-relay.socket');
const env = read('deploy/portal-relay.env');
const dockerfile = read('deploy/Dockerfile');
const operate = read('docs/guides/operate-a-relay.md');

/** `KEY=value` lines of an environment file. */
const settings = Object.fromEntries(
  env
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

describe('the systemd unit', () => {
  const start = /^ExecStart=(.*)$/m.exec(unit)![1]!;

  it('starts an existing program, with options that it accepts', async () => {
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

  it('sets variables that the program reads, and waits longer than the relay drains', async () => {
    const set = [...unit.matchAll(/^Environment=(\w+)=/gm)].map(([, name]) => name);
    expect(set.filter((name) => !knownVariables.has(name))).toEqual([]);
    const used = [...start.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name);
    expect(new Set(used)).toEqual(new Set(Object.keys(settings)));
    expect(/^TimeoutStopSec=20min$/m.test(unit)).toBe(true);
    expect(settings['RELAY_DRAIN']).toBe('10m');
  });

  it('gets its public port from the socket unit', () => {
    for (const line of ['Requires', 'Sockets'])
      expect(unit).toMatch(new RegExp(`^${line}=portal-relay.socket$`, 'm'));
    expect(socket).toMatch(/^ListenStream=\[::\]:443$/m);
    expect(socket).toMatch(/^Service=portal-relay@a.service$/m);
  });

  it('names files of the package', () => {
    for (const [, path] of `${unit}${socket}${operate}`.matchAll(/\/opt\/portal\/([\w/.@-]+\w)/g))
      expect(existsSync(join(root, path!))).toBe(true);
  });

  it('reloads its files on `systemctl reload`', () => {
    expect(unit).toMatch(/^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
    expect(operate).toContain('`systemctl reload portal-relay@a`');
  });

  it('is valid for systemd', async (ctx) => {
    const analyze = await programFor(ctx, 'systemd-analyze');
    const folder = await temporaryFolder();
    const units = ['portal-relay@.service', 'portal-relay.socket'];
    for (const name of units) await copyFile(join(root, 'deploy', name), join(folder, name));
    const { stdout, stderr } = await promisify(execFile)(
      analyze,
      ['verify', '--man=no', ...units.map((name) => join(folder, name))],
      { timeout: 20_000 },
    ).catch((error: { stdout: string; stderr: string }) => error);
    // The path of node may differ on this machine, which does not concern the unit.
    const complaints = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('portal-relay'));
    expect(complaints.filter((line) => !line.includes('/usr/bin/node'))).toEqual([]);
  });
});

describe('the Dockerfile', () => {
  const stages = parseDockerfile(dockerfile);
  const texts = (name: string, target: string): string[] => {
    const { base, instructions } = stages.find((stage) => stage.name === target)!;
    const own = instructions.filter((one) => one.name === name).map(({ text }) => text);
    return stages.some((stage) => stage.name === base) ? [...texts(name, base), ...own] : own;
  };

  it('builds on one image, which --build-arg replaces', () => {
    expect(/^ARG NODE_IMAGE=(.*)$/m.exec(dockerfile)![1]).toMatch(/^node:\d+-slim$/);
    const bases = dockerfile.matchAll(/^FROM (\S+)/gm);
    const others = [...bases]
      .map(([, base]) => base!)
      .filter((base) => !stages.some(({ name }) => name === base));
    expect(new Set(others)).toEqual(new Set(['${NODE_IMAGE}']));
  });

  it('runs scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const names = [...dockerfile.matchAll(/"npm", "run", "([\w:-]+)"/g)].map(([, name]) => name!);
    expect(names).toContain('build');
    expect(names.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it.each([
    ['relay', { publicPort: 443, metrics: '9464' }],
    ['agent', {}],
  ])('starts the %s with options that it accepts, as an unprivileged user', async (target, options) => {
    const [node, program, ...args] = JSON.parse(texts('ENTRYPOINT', target)[0]!) as string[];
    const cmd = texts('CMD', target).flatMap((text) => JSON.parse(text) as string[]);
    expect(node).toBe('node');
    expect(existsSync(join(root, program!.replace('/portal/', '')))).toBe(true);
    expect(await parsed([...args, ...cmd])).toMatchObject(options);
    expect(texts('USER', target)).toEqual(['node']);
    const set = texts('ENV', target).map((text) => text.split('=')[0]!);
    expect(set.filter((name) => name !== 'NODE_ENV' && !knownVariables.has(name))).toEqual([]);
    const [, home] = /^PORTAL_HOME=(.*)$/.exec(texts('ENV', target).at(-1)!)!;
    expect(texts('VOLUME', target)).toEqual([home]);
  });
});

describe('compose.yaml', () => {
  const file = join(root, 'deploy/compose.yaml');
  const { services, volumes } = readCompose(file, { RELAY_URL: 'https://relay.example.com' });
  const built = ['portal', 'relay'] as const;

  it.each(built)('builds %s from a target of the Dockerfile, and persists its data', (name) => {
    const { build, volumes: mounts = [], init, restart } = services[name]!;
    expect(existsSync(join(dirname(file), build!.context, build!.dockerfile))).toBe(true);
    const target = parseDockerfile(dockerfile).find((stage) => stage.name === build!.target)!;
    const volume = target.instructions.find((one) => one.name === 'VOLUME')!.text;
    expect(mounts).toContain(`${name}:${volume}`);
    expect(Object.keys(volumes)).toContain(name);
    expect({ init, restart }).toEqual({ init: true, restart: 'unless-stopped' });
  });

  it('starts the relay with options that it accepts, and lets it drain', async () => {
    const { stop_grace_period: grace } = services['relay']!;
    const { drain } = await parsed(['relay', ...commandOf(services['relay']!)]);
    expect(Number.parseInt(grace!, 10) * 1_000).toBeGreaterThan(drain as number);
  });

  it('checks the health of the agent with an existing command', async () => {
    const [cmd, program, ...args] = services['portal']!.healthcheck!.test;
    expect([cmd, program]).toEqual(['CMD', 'portal']);
    expect(await parsed(args)).toMatchObject({ waitReady: true, timeout: 0 });
  });

  it('mounts a valid configuration whose target is the app', async () => {
    const { volumes: mounts = [], environment } = services['portal']!;
    const [folder] = mounts.find((mount) => mount.includes(':/work'))!.split(':');
    expect(Object.keys(environment!)).toEqual(['RELAY_URL']);
    const loaded = await loadConfig({
      file: join(dirname(file), folder!, 'portal.yaml'),
      cwd: root,
      env: { RELAY_URL: 'https://relay.example.com' },
    });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const [app] = Object.keys(services).filter((name) => !built.includes(name as 'portal'));
    expect(loaded.desired.services[0]).toMatchObject({ target: { host: app, port: 3000 } });
  });

  it('is valid for Docker Compose', async (ctx) => {
    const variables = { ...process.env, RELAY_URL: 'https://relay.example.com' };
    const run = (program: string, ...args: string[]) =>
      promisify(execFile)(program, args, { env: variables, timeout: 20_000 });
    const [program, ...first] = await run('docker', 'compose', 'version').then(
      () => ['docker', 'compose'],
      () => ['docker-compose'],
    );
    const isThere = await run(program!, ...first, 'version').then(
      () => true,
      () => false,
    );
    if (!isThere) ctx.skip('neither `docker compose` nor docker-compose is installed');
    const { stdout } = await run(program!, ...first, '-f', file, '--profile', 'relay', 'config');
    expect(stdout).toContain('target: agent');
  });
});

describe('docs/guides/operate-a-relay.md', () => {
  it('names options, limits and metrics that exist', async () => {
    const help = createProgram({ write: () => undefined, execute: () => async () => undefined })
      .commands.find((command) => command.name() === 'relay')!
      .options.map((option) => option.long);
    const flags = [...operate.matchAll(/`(--[a-z-]+)[ `]/g)]
      .map(([, flag]) => flag!)
      // Names of Docker and of tools.
      .filter((flag) => !['--build-arg', '--network', '--ulimit'].includes(flag));
    expect(flags.filter((flag) => !help.includes(flag))).toEqual([]);
    for (const [, name] of operate.matchAll(/^\| `(max\w+)` +\|/gm)) parseLimits([`${name}=1`]);
    const metrics = read('docs/reference/metrics.md');
    for (const [, name] of operate.matchAll(/(portal_relay_\w+?)(?:_bucket)?\b/g))
      expect(metrics).toContain(`\`${name}\``);
    const dockerRun = /portal-relay (--domain .*)$/m.exec(operate)![1]!;
    expect(await parsed(['relay', ...dockerRun.split(' ')])).toMatchObject({ drain: 600_000, acme: true });
  });
});
