/** Each folder of examples/, started as its README says: its service, then `portal up` with its file. */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { programFor } from '../support/debian.js';
import { httpsGet } from '../support/visitor.js';
import { Person, type Line } from './cli-support.js';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));
const USE_CASES = [
  'webhook',
  'webhook-test',
  'playwright',
  'client-demo',
  'multi-service',
  'game-server',
  'edge-device',
  'vite-app',
];

interface Started {
  readonly ca: string;
  /** The first public address of a service. */
  readonly address: (service: string) => string;
  /** Ends the example's own program. */
  readonly stop: () => Promise<void>;
}

/** A copy of the example, with its services and the embedded relay on free ports. */
async function start(
  example: string,
  program: string,
  variables: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Started> {
  const person = await Person.create();
  await cp(join(EXAMPLES, example), person.folder, { recursive: true });
  await writeFile(join(person.folder, 'portal.local.yaml'), 'relays: { embedded: { port: 0 } }\n');
  const free = Object.fromEntries(variables.map((name) => [name, '0']));
  const child = spawn(process.execPath, [program], {
    cwd: person.folder,
    env: { ...process.env, ...free, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  onTestFinished(stop);
  const ports = await listening(child.stdout);
  const up = person.start(['up', '--json'], {
    env: { ...Object.fromEntries(variables.map((name, index) => [name, ports[index]])), ...env },
  });
  const { ca } = await up.event('started');
  const ready = await up.event('ready');
  return { ca: String(ca), address: (service) => firstAddress(ready, service), stop };
}

/** The ports that a program says it listens on. */
async function listening(stdout: NodeJS.ReadableStream): Promise<string[]> {
  let said = '';
  while (!/listening on .*\n/.test(said)) {
    const [chunk] = (await once(stdout, 'data')) as [Buffer];
    said += chunk.toString();
  }
  stdout.resume();
  return said.match(/\d+/g) ?? [];
}

function firstAddress(ready: Line, service: string): string {
  const { urls, tcp, udp } = (
    ready['services'] as Record<string, { urls: string[]; tcp: string[]; udp: string[] }>
  )[service]!;
  return [...urls, ...tcp, ...udp][0]!;
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

test('webhook: accepts a signed one, rejects others', async () => {
  const { ca, address, stop } = await start('webhook', 'receiver.mjs', ['PORT'], {
    WEBHOOK_SECRET: 's3cret',
  });
  const { hostname, port } = new URL(address('hooks'));
  const trusted = await readFile(ca);
  const post = async (signature: string): Promise<number> => {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      servername: hostname,
      ca: trusted,
      method: 'POST',
      headers: { host: hostname, 'x-hub-signature-256': signature },
      agent: false,
    });
    outgoing.end('{"ref":"main"}');
    const [response] = (await once(outgoing, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    return response.statusCode;
  };
  const signature = createHmac('sha256', 's3cret').update('{"ref":"main"}').digest('hex');
  expect(await post(`sha256=${signature}`)).toBe(204);
  expect(await post('sha256=nonsense')).toBe(401);
  await stop();
  expect(await post(`sha256=${signature}`)).toBe(202);
});

test('client-demo: serves a page at a URL', async () => {
  const { ca, address } = await start('client-demo', 'site.mjs', ['PORT']);
  expect(address('preview')).toMatch(/^https:\/\/preview\.localhost/);
  expect(await httpsGet(address('preview'), ca)).toContain('<h1>Preview</h1>');
});

test('multi-service: serves two services under one URL', async () => {
  const { ca, address } = await start('multi-service', 'app.mjs', ['WEB_PORT', 'API_PORT']);
  expect(await httpsGet(address('app'), ca)).toContain('<h1>Items</h1>');
  expect(await httpsGet(`${address('app')}/api/items`, ca)).toBe('["one","two"]');
});

test('game-server: serves a lobby over TCP and a world over UDP', async () => {
  const { address } = await start('game-server', 'server.mjs', ['TCP_PORT', 'UDP_PORT']);
  const lobby = connect(portOf(address('lobby')), '127.0.0.1');
  onTestFinished(() => void lobby.destroy());
  const [greeting] = (await once(lobby, 'data')) as [Buffer];
  expect(greeting.toString()).toBe('welcome\n');
  const world = createSocket('udp4');
  onTestFinished(() => void world.close());
  world.send('north', portOf(address('world')), '127.0.0.1');
  const [moved] = (await once(world, 'message')) as [Buffer];
  expect(moved.toString()).toBe('moved north');
});

test('edge-device: serves a Unix socket over a WebSocket, with a separate identity', async () => {
  const { ca, address } = await start('edge-device', 'sensor.mjs', []);
  expect(address('sensor')).toMatch(/^https:\/\/sensor-1\.localhost/);
  expect(JSON.parse(await httpsGet(address('sensor'), ca))).toMatchObject({
    celsius: expect.any(Number) as number,
  });
});

/** A project whose only dependency is installed. */
async function installVite(folder: string): Promise<void> {
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '.bin'), { recursive: true });
  const own = fileURLToPath(new URL('../../node_modules/vite', import.meta.url));
  await symlink(own, join(modules, 'vite'));
  await symlink('../vite/bin/vite.js', join(modules, '.bin', 'vite'));
}

/** The client that Vite puts into a page: resolves with the paths of the next update. */
async function nextUpdate(url: string, ca: string, change: () => Promise<void>): Promise<string[]> {
  const { hostname, port, host, origin } = new URL(url);
  const client = await httpsGet(`${url}/@vite/client`, ca);
  const token = /wsToken = "([^"]+)"/.exec(client)?.[1];
  // Passed to Node's TLS, but missing in the types of `ws`.
  const name: object = { servername: hostname };
  const socket = new WebSocket(`wss://127.0.0.1:${port}/?token=${token}`, 'vite-hmr', {
    ca: await readFile(ca),
    ...name,
    headers: { host, origin },
  });
  onTestFinished(() => socket.terminate());
  const updated = new Promise<string[]>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', (data: Buffer) => {
      const { type, updates = [] } = JSON.parse(data.toString()) as {
        type: string;
        updates?: { path: string }[];
      };
      if (type === 'connected') change().catch(reject);
      if (type === 'update') resolve(updates.map(({ path }) => path));
    });
  });
  return updated;
}

test('vite-app: starts Vite and an API with `portal up`, updates the page, and leaves no process', async () => {
  const person = await Person.create();
  await cp(join(EXAMPLES, 'vite-app'), person.folder, { recursive: true });
  await installVite(person.folder);
  await writeFile(join(person.folder, 'portal.local.yaml'), 'relays: { embedded: { port: 0 } }\n');
  // Many test machines watch more files than the system allows.
  const up = person.start(['up', '--json'], { env: { CHOKIDAR_USEPOLLING: '1', CHOKIDAR_INTERVAL: '50' } });
  const { ca } = await up.event('started');
  const ready = await up.event('ready');
  expect(ready['unreachable']).toBeUndefined();
  const url = firstAddress(ready, 'app');
  expect(await httpsGet(url, String(ca))).toContain('<h1>Items</h1>');
  expect(await httpsGet(`${url}/api/items`, String(ca))).toBe('["one","two"]');
  expect(await up.event('output', ({ text }) => text === `public at ${url}`)).toMatchObject({
    name: 'app/api',
  });
  // The page imports it before it can change.
  await httpsGet(`${url}/main.js`, String(ca));
  const file = join(person.folder, 'show.js');
  const changed = (await readFile(file, 'utf8')).replace("'li'", "'dt'");
  await httpsGet(`${url}/show.js`, String(ca));
  expect(await nextUpdate(url, String(ca), () => writeFile(file, changed))).toEqual(['/main.js']);
  expect(await httpsGet(`${url}/show.js`, String(ca))).toContain("'dt'");

  const { stdout } = await person.run(['status', '--json']);
  const { commands } = JSON.parse(stdout) as { commands: { pid: number }[] };
  expect(commands).toHaveLength(2);
  up.kill('SIGINT');
  expect((await up.finished).code).toBe(0);
  for (const { pid } of commands) expect(() => process.kill(-pid, 0)).toThrow('ESRCH');
});

/** A copy of an example for a test runner, with the package and the runner installed. */
async function installed(example: string, runner: string): Promise<Person> {
  const person = await Person.create();
  await cp(join(EXAMPLES, example), person.folder, { recursive: true });
  const root = join(EXAMPLES, '..');
  const modules = join(person.folder, 'node_modules');
  // A copy, as installed: test runners transform the files of a link, because they are not below node_modules.
  for (const path of ['package.json', 'schema', 'dist/portal'])
    await cp(join(root, path), join(modules, 'portal-up', path), { recursive: true });
  await mkdir(dirname(join(modules, runner)), { recursive: true });
  await symlink(join(root, 'node_modules', runner), join(modules, runner));
  return person;
}

/** What a test runner reports on its standard output, as JSON. */
async function reported({ folder, home }: Person, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, PORTAL_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return (await json(child.stdout)) as Record<string, unknown>;
}

test('webhook-test: its tests receive webhooks through a tunnel, with vitest', async () => {
  const person = await installed('webhook-test', 'vitest');
  // A busy machine is slow.
  const limits = ['--hookTimeout=60000', '--testTimeout=60000'];
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json', ...limits];
  const { numPassedTests, numTotalTests } = await reported(person, vitest);
  expect({ numPassedTests, numTotalTests }).toEqual({ numPassedTests: 2, numTotalTests: 2 });
});

test('playwright: its test visits a dev server at its public URL, in a browser', async (context) => {
  const browser = await programFor(context, 'chromium');
  const person = await installed('playwright', '@playwright/test');
  const playwright = ['node_modules/@playwright/test/cli.js', 'test', '--reporter=json', '--timeout=60000'];
  const { stats, errors } = await reported(person, playwright, { CHROMIUM: browser });
  expect({ stats, errors }).toMatchObject({ stats: { expected: 1, unexpected: 0, flaky: 0 }, errors: [] });
});

test('every use case has a folder with a README', async () => {
  const folders = (await readdir(EXAMPLES, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => name).toSorted()).toEqual(USE_CASES.toSorted());
  for (const { name } of folders)
    expect(await readFile(join(EXAMPLES, name, 'README.md'), 'utf8')).toMatch(/portal up|portal-up/);
});
