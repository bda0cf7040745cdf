import { execFile } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { shellQuote } from '../src/lib/shell-quote.js';
import { nodeSqlite } from '../src/relay/store/sqlite-driver.js';
import { Person, type Running } from './e2e/cli-support.js';
import { OFFLINE } from './support/offline.js';

/** The packed package, installed without scripts and build tools under a separate prefix, as a user gets it. */

const root = fileURLToPath(new URL('..', import.meta.url));
const npm = promisify(execFile);
const INSTALL_MS = 240_000;
/** Size limits of an install with all its dependencies. Counts and sizes are the same on every machine. */
const MOST = { packages: 40, bytes: 25_000_000 };

/** Of `npm install`. */
const FLAGS = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];

let prefix: string;
/** The packed package. */
let tarball: string;
let unavailable: string | undefined;

beforeAll(async () => {
  prefix = await mkdtemp(join(tmpdir(), 'portal-package-'));
  // The tests have already built dist/.
  const { stdout } = await npm('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', prefix], {
    cwd: root,
  });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  tarball = join(prefix, filename);
  try {
    await npm('npm', ['install', '--global', '--prefix', prefix, ...FLAGS, tarball], {
      timeout: INSTALL_MS,
    });
  } catch (error) {
    const { stderr } = error as { stderr: string };
    if (!OFFLINE.test(stderr)) throw error;
    unavailable = 'no npm registry is reachable';
  }
}, INSTALL_MS);
afterAll(() => rm(prefix, { recursive: true, force: true }));
beforeEach((ctx) => {
  if (unavailable !== undefined) ctx.skip(unavailable);
});

const modules = (): string => join(prefix, 'lib/node_modules');
const program = (): string => join(prefix, 'bin/portal');
const user = (): Promise<Person> => Person.create([process.execPath, program()]);

interface Contents {
  readonly packages: string[];
  readonly bytes: number;
}

/** Packages and bytes below a folder, without following links. */
async function contents(folder: string): Promise<Contents> {
  const packages: string[] = [];
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile()) continue;
    bytes += (await lstat(path)).size;
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(path)?.[1];
    if (name !== undefined) packages.push(name);
  }
  return { packages, bytes };
}

async function service(): Promise<number> {
  const server = createServer((_request, response) => response.end('from the service'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** The response to a visitor of `url` who trusts only the user's local CA. */
async function visit({ home }: Person, url: string): Promise<string> {
  const ca = await readFile(join(home, 'ca/ca.pem'));
  const { hostname: servername, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const headers = { host: servername };
    get({ host: '127.0.0.1', port, servername, headers, ca, agent: false }, (response) => {
      text(response).then(resolve, reject);
    }).once('error', reject);
  });
}

/** The URL at which a running agent has published `web`. */
async function urlOf(agent: Running): Promise<string> {
  const { services } = await agent.event('ready');
  return (services as { web: { urls: [string] } }).web.urls[0];
}

describe('the package', () => {
  it('installs the seven packages that Portal is built on, and inlines all others', async () => {
    const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    expect(Object.keys(dependencies).toSorted()).toEqual([
      '@noble/secp256k1',
      'ajv',
      'chokidar',
      'listr2',
      'p-retry',
      'ws',
      'yaml',
    ]);
  });

  it('is small: packages and bytes', async () => {
    const { packages, bytes } = await contents(modules());
    expect(packages).toContain('portal-up');
    expect(packages.length).toBeLessThanOrEqual(MOST.packages);
    expect(bytes).toBeLessThanOrEqual(MOST.bytes);
  });

  it('has no tests and no sources', async () => {
    const files = await readdir(join(modules(), 'portal-up'), { recursive: true });
    const [own] = [files.filter((path) => !path.startsWith('node_modules'))];
    expect(
      own.filter(
        (path) =>
          !path.startsWith('examples/') &&
          /\.test\.|\.ts$|\.map$|^(src|test|bench|chaos|scripts)\//.test(path),
      ),
      // The types of the interface for programs.
    ).toEqual(['dist/portal/library.d.ts']);
    expect(own).toEqual(
      expect.arrayContaining(['schema/portal.schema.json', 'dist/portal/THIRD_PARTY_LICENSES.txt']),
    );
  });

  it('has every file and folder that its pages link to', async () => {
    const folder = join(modules(), 'portal-up');
    const files = new Set(await readdir(folder, { recursive: true }));
    const dead: string[] = [];
    for (const page of files) {
      if (!page.endsWith('.md') || page.includes('node_modules')) continue;
      const markdown = (await readFile(join(folder, page), 'utf8')).replaceAll(
        /^```[\s\S]*?^```|`[^`\n]*`/gm,
        '',
      );
      for (const [, link] of markdown.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)) {
        if (!files.has(normalize(join(dirname(page), link!)).replace(/\/$/, '')))
          dead.push(`${page}: ${link}`);
      }
    }
    expect(dead).toEqual([]);
  });

  it('names every package that it contains, with its license', async () => {
    const path = join(modules(), 'portal-up/dist/portal/THIRD_PARTY_LICENSES.txt');
    const licenses = await readFile(path, 'utf8');
    for (const name of ['yaml', 'ws', 'commander', 'preact'])
      expect(licenses).toMatch(new RegExp(`^${name} \\d[^\\n]*\\(\\w`, 'm'));
  });

  it('prints its version with the command that npm links', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    const PATH = `${join(process.execPath, '..')}:${process.env['PATH']}`;
    const { stdout, stderr } = await npm(program(), ['--version'], { env: { ...process.env, PATH } });
    expect({ stdout, stderr }).toEqual({ stdout: `${version}\n`, stderr: '' });
  });
});

const RELAY = ['relay', '--listen', '127.0.0.1:0', '--json', '--log-level', 'error'];

describe('a user of the package', () => {
  it('exposes a port, and a visitor gets a response', async () => {
    const person = await user();
    const running = person.start(['expose', String(await service()), '--name', 'web', '--json']);
    expect(await visit(person, await urlOf(running))).toBe('from the service');
    expect(running.stderr).toBe('');
    running.kill('SIGTERM');
    expect(await running.finished).toMatchObject({ code: 0 });
  });

  it('runs portal.yaml, shows its status, and stops it', async () => {
    const person = await user();
    const port = await service();
    await writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\nservices:\n  web: ${port}\n  api: { mode: http, target: ${port} }\n`,
    );
    expect(await person.run(['validate'])).toMatchObject({ code: 0 });
    const running = person.start(['up', '--json']);
    expect(await visit(person, await urlOf(running))).toBe('from the service');
    expect((await person.run(['status'])).stdout).toContain('web.localhost');
    expect(running.stderr).toBe('');
    expect(await person.run(['down'])).toMatchObject({ code: 0 });
    expect(await running.finished).toMatchObject({ code: 0 });
  });

  it('reports every mistake of portal.yaml, from the schema in the package', async () => {
    const person = await user();
    await writeFile(join(person.folder, 'portal.yaml'), 'version: 1\nservices:\n  web: { targets: 1 }\n');
    const { code, stderr } = await person.run(['validate']);
    expect(code).toBe(2);
    expect(stderr).toContain('Did you mean `target`?');
  });

  it('learns what a relay needs on a Node without SQLite', async (ctx) => {
    if (nodeSqlite()) ctx.skip(`Node ${process.versions.node} has node:sqlite`);
    const { code, stdout } = await (await user()).run(RELAY);
    expect(code).toBe(1);
    expect(stdout).toContain('"code":"sqlite_missing"');
    expect(stdout).toContain(`npm install --global --prefix ${shellQuote(prefix)} @photostructure/sqlite`);
  });

  it('runs a relay, and publishes on it', async () => {
    if (!nodeSqlite()) {
      // The place where `npm install --global @photostructure/sqlite` puts it, next to the package.
      const path = join(modules(), '@photostructure/sqlite');
      await mkdir(dirname(path), { recursive: true });
      await symlink(join(root, 'node_modules/@photostructure/sqlite'), path);
      onTestFinished(() => rm(path, { force: true }));
    }
    const person = await user();
    const relay = person.start(RELAY);
    const { url } = await relay.event('listening');
    const ca = join(person.home, 'ca/ca.pem');
    const common = ['--name', 'web', '--relay', String(url), '--ca', ca, '--json'];
    const agent = person.start(['expose', String(await service()), ...common]);
    expect(await visit(person, await urlOf(agent))).toBe('from the service');
    for (const running of [agent, relay]) {
      expect(running.stderr).toBe('');
      running.kill('SIGTERM');
      expect(await running.finished).toMatchObject({ code: 0 });
    }
  });
});

describe('a program with the package', () => {
  let project: string;
  beforeAll(async () => {
    if (unavailable !== undefined) return;
    project = await mkdtemp(join(tmpdir(), 'portal-project-'));
    await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }');
    await npm('npm', ['install', ...FLAGS, tarball], { cwd: project, timeout: INSTALL_MS });
    for (const name of ['typescript', '@types'])
      await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name));
  }, INSTALL_MS);
  afterAll(() => rm(project, { recursive: true, force: true }));

  const run = (file: string): Promise<{ stdout: string; stderr: string }> =>
    npm(process.execPath, [file], {
      cwd: project,
      env: { ...process.env, PORTAL_HOME: join(project, 'home') },
      timeout: 100_000,
    });

  it('imports up and expose, and publishes services offline', async () => {
    await writeFile(
      join(project, 'program.mjs'),
      `import { expose, up } from 'portal-up';
const portal = await up({ relays: { embedded: { port: 0 } }, services: { web: ${await service()} } });
const response = await portal.services.web.fetch('/');
console.log(await response.text(), typeof expose);
await portal.close();
`,
    );
    expect(await run('program.mjs')).toEqual({ stdout: 'from the service function\n', stderr: '' });
  });

  it('can require the package where Node loads ES modules', async (ctx) => {
    if (!process.features.require_module) ctx.skip(`Node ${process.versions.node} cannot require ES modules`);
    await writeFile(
      join(project, 'program.cjs'),
      `console.log(Object.keys(require('portal-up')).sort().join());`,
    );
    expect((await run('program.cjs')).stdout).toBe('PortalError,expose,up\n');
  });

  it.each([
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler' },
  ])('has types with $moduleResolution, and for await using', async (resolution) => {
    await writeFile(
      join(project, 'typed.ts'),
      `import { expose, PortalError, up, type TimedEvent } from 'portal-up';
await using tunnel = await expose(3000, { name: 'shop', inspect: true });
const body: unknown = (await tunnel.waitForRequest({ method: 'POST' }, { timeoutMs: 1 })).body.json();
await using portal = await up({ services: { web: 3000, api: { target: 3001, mode: 'http' } } });
const urls: string[] = [tunnel.url, portal.services.web.url, portal.services.api.url];
portal.events.on('lease', ({ service, phase }: TimedEvent<'lease'>) => void [service, phase]);
const lines = (error: unknown) => (error instanceof PortalError ? error.problems?.map(({ line }) => line) : []);
// @ts-expect-error no such service
void portal.services.nope;
// @ts-expect-error no such setting
await up({ services: { web: { tagret: 3000 } } });
// @ts-expect-error no such event
portal.events.on('nope', () => undefined);
export { body, lines, urls };
`,
    );
    const compilerOptions = {
      ...resolution,
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      types: ['node'],
      strict: true,
      noEmit: true,
      skipLibCheck: false,
    };
    await writeFile(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, include: ['typed.ts'] }),
    );
    const compiled = npm(process.execPath, ['node_modules/typescript/bin/tsc'], { cwd: project });
    expect(
      await compiled.then(
        () => '',
        ({ stdout }: { stdout: string }) => stdout,
      ),
    ).toBe('');
  });
});
