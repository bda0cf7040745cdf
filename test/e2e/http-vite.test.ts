import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer, type InlineConfig } from 'vite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { freePort } from '../support/ports.js';
import { HOSTS_FILE_NAMES, hostsNamed } from '../support/hosts.js';
import { hasIpv6, NO_IPV6 } from '../support/ipv6.js';
import { httpSpec, type Routes } from '../support/http-edge.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, relay } from '../support/world.js';
import { httpsGet } from '../support/visitor.js';

/** A real Vite dev server with hot module replacement, visited through relay and agent. */

interface Project {
  readonly port: number;
  readonly edit: (file: string, text: string) => Promise<void>;
}

/** The page of a project in a new folder. */
async function page(): Promise<{ root: string; edit: Project['edit'] }> {
  const root = await temporaryFolder();
  const edit = (file: string, text: string): Promise<void> => writeFile(join(root, file), text);
  await edit('index.html', '<!doctype html><script type="module" src="/main.js"></script>');
  await edit(
    'main.js',
    "import { colour } from './colour.js';\nif (import.meta.hot) import.meta.hot.accept('./colour.js', () => {});\nconsole.log(colour);\n",
  );
  await edit('colour.js', "export const colour = 'red';\n");
  return { root, edit };
}

const polling = { usePolling: true, interval: 50 };

async function project(over: InlineConfig = {}): Promise<Project> {
  const { root, edit } = await page();
  const { server: serverOver, ...rest } = over;
  const vite = await createServer({
    root,
    configFile: false,
    logLevel: 'silent',
    cacheDir: join(root, '.vite'),
    ...rest,
    server: { host: '127.0.0.1', port: 0, strictPort: false, watch: polling, ...serverOver },
  });
  await vite.listen();
  onTestFinished(() => vite.close());
  const address = vite.httpServer!.address();
  if (typeof address !== 'object' || !address) throw new Error('Vite does not listen');
  return { port: address.port, edit };
}

const VITE = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url));

/** Vite on its default host `localhost`, on a machine with this hosts file. */
async function programWithin(within: readonly string[]): Promise<Project> {
  const { root, edit } = await page();
  const port = await freePort();
  const config = { server: { port, strictPort: true, watch: polling }, cacheDir: join(root, '.vite') };
  await edit('vite.config.mjs', `export default ${JSON.stringify(config)};\n`);
  const [command, ...args] = [...within, process.execPath, VITE];
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      said += chunk.toString();
      if (said.includes(`:${port}/`)) resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then(() => reject(new Error(`vite ended: ${said}`)));
  });
  return { port, edit };
}

/** Passed to Node's TLS, but missing in the types of `ws`. */
const SNI: object = { servername: 'app.localhost' };

/** Acts as the page's client: loads the page and its modules, connects, and waits for the update. */
async function sees(
  routes: (port: number) => Routes,
  base: string,
  { port, edit }: Project,
): Promise<string> {
  const at = await relay();
  const one = await agent();
  await one.runner.apply(desired([at.spec], httpSpec('app', routes(port))));
  await one.event('ready');
  const origin = `https://app.localhost:${at.port}`;
  const get = (path: string): Promise<string> => httpsGet(`${origin}${path}`, one.ca.certificateFile);

  expect(await get(base)).toContain(`src="${base}@vite/client"`);
  const client = await get(`${base}@vite/client`);
  const token = /wsToken = "([^"]+)"/.exec(client)?.[1];
  expect(token).toBeDefined();
  expect(await get(`${base}main.js`)).toContain(`${base}colour.js`);
  expect(await get(`${base}colour.js`)).toContain('red');

  const socket = new WebSocket(`wss://127.0.0.1:${at.port}${base}?token=${token}`, 'vite-hmr', {
    ca: one.ca.certificatePem,
    ...SNI,
    headers: { host: `app.localhost:${at.port}`, origin },
  });
  onTestFinished(() => socket.terminate());
  const messages: { type: string; updates?: { path: string }[] }[] = [];
  socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString())));
  await expect.poll(() => messages.map(({ type }) => type)).toContain('connected');
  await edit('colour.js', "export const colour = 'blue';\n");
  await expect
    .poll(() => messages.find(({ type }) => type === 'update')?.updates?.map(({ path }) => path))
    .toEqual(['/main.js']);
  return get(`${base}colour.js`);
}

describe('a Vite dev server', () => {
  it('serves its page, and its updates arrive', async () => {
    expect(await sees((port) => ({ '/': port }), '/', await project())).toContain('blue');
  });

  it('does so below a prefix that it has as its base', async () => {
    expect(
      await sees(
        (port) => ({ '/shop': { to: port, stripPrefix: false } }),
        '/shop/',
        await project({ base: '/shop/' }),
      ),
    ).toContain('blue');
  });

  it('does so when it accepts only its own name', async () => {
    expect(
      await sees(
        (port) => ({ '/': { to: port, host: 'target' } }),
        '/',
        await project({ server: { allowedHosts: [] } }),
      ),
    ).toContain('blue');
  });

  // Without the name it does not start.
  it.for(HOSTS_FILE_NAMES.filter((name) => name !== 'localhost missing'))(
    'is found on its default address, with a hosts file that is %s',
    { timeout: 60_000 },
    async (name, context) => {
      const hosts = await hostsNamed(name);
      const within = 'skip' in hosts ? context.skip(hosts.skip) : hosts.within;
      if (name.startsWith('IPv6') && !hasIpv6) context.skip(NO_IPV6);
      const vite = await programWithin(within);
      expect(await sees((port) => ({ '/': port }), '/', vite)).toContain('blue');
    },
  );
});
