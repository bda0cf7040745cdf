import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createServer } from 'vite';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { NameRejection } from '../../src/agent/lease/rejected-name.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/folder.js';
import { ask, edge, type Answer } from '../support/http-edge.js';
import { npmPackages, pythonPackages } from '../support/packages.js';
import { freePort } from '../support/ports.js';

/** Rows of docs/guides/frameworks.md: a server rejects an unknown name, and accepts it after either fix. */

const NAME = 'app.test';

/** All install in parallel, while the first test runs. */
const PACKAGES = {
  django: pythonPackages('django'),
  webpack: npmPackages('webpack', 'webpack-dev-server'),
  mcp: npmPackages('@modelcontextprotocol/sdk@1'),
};

/** Compilers are slow on a busy machine. */
const START_MS = 60_000;

interface Visit {
  readonly answer: Answer;
  /** The messages that people see. */
  readonly reported: readonly NameRejection[];
}

interface Asked {
  readonly host?: string;
  readonly path?: string;
  readonly post?: boolean;
  readonly headers?: Record<string, string>;
}

/** One visitor of the service at `port`, on its public name. */
async function visit(
  port: number,
  { host = 'visitor', path = '/', post = false, headers }: Asked = {},
): Promise<Visit> {
  const reported: NameRejection[] = [];
  const at = await edge(
    { '/': { to: port, host } },
    { name: NAME, onNameRejected: (rejection) => reported.push(rejection) },
  );
  const more = { origin: `https://${at.host}`, ...headers };
  const answer = await ask(
    at,
    path,
    post ? { method: 'POST', headers: more, body: 'a=b' } : { headers: more },
  );
  return { answer, reported };
}

/** Starts a server. Resolves once it responds under its own name. */
async function started(
  command: string,
  args: readonly string[],
  { cwd, env, port }: { cwd: string; env?: Record<string, string>; port: number },
): Promise<void> {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let isOver = false;
  void ended.then(() => (isOver = true));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await eventually(async () => {
    expect(isOver ? said : '').toBe('');
    await fetch(`http://127.0.0.1:${port}/`);
  }, START_MS);
}

const vite = async (allowedHosts: string[]): Promise<number> => {
  const root = await temporaryFolder();
  await writeFile(join(root, 'index.html'), '<!doctype html><p>hello</p>');
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'silent',
    cacheDir: join(root, '.vite'),
    server: { host: '127.0.0.1', port: 0, strictPort: false, watch: null, allowedHosts },
  });
  await server.listen();
  onTestFinished(() => server.close());
  const address = server.httpServer!.address();
  return typeof address === 'object' ? address!.port : 0;
};

describe('Vite', () => {
  it('rejects an unknown name, and says how to allow it', async () => {
    const { answer, reported } = await visit(await vite([]));
    expect(answer.status).toBe(403);
    expect(reported).toMatchObject([{ id: 'vite', name: NAME }]);
    expect(reported[0]!.hint).toContain(`"${NAME}" to server.allowedHosts`);
  });

  it('accepts it with server.allowedHosts, or with host: target', async () => {
    expect(await visit(await vite([NAME]))).toMatchObject({ answer: { status: 200 }, reported: [] });
    expect(await visit(await vite([]), { host: 'target' })).toMatchObject({
      answer: { status: 200 },
      reported: [],
    });
  });
});

const SETTINGS = `
import os
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie
DEBUG = True
SECRET_KEY = 'x'
ROOT_URLCONF = 'settings'
ALLOWED_HOSTS = os.environ.get('ALLOWED', '').split()
MIDDLEWARE = ['django.middleware.common.CommonMiddleware', 'django.middleware.csrf.CsrfViewMiddleware']
urlpatterns = [path('', lambda request: HttpResponse(get_token(request)))]
`;

describe('Django', () => {
  it(
    'rejects an unknown name and origin, and accepts both after either fix',
    { timeout: 120_000 },
    async (context) => {
      const django = await PACKAGES.django;
      if ('skip' in django) {
        context.skip(django.skip);
        return;
      }
      const cwd = await temporaryFolder();
      await writeFile(join(cwd, 'settings.py'), SETTINGS);
      const server = async (env: Record<string, string> = {}): Promise<number> => {
        const port = await freePort();
        const args = ['-m', 'django', 'runserver', '--noreload', `127.0.0.1:${port}`];
        const common = { PYTHONPATH: `${django.folder}:${cwd}`, DJANGO_SETTINGS_MODULE: 'settings' };
        await started('python3', args, { cwd, env: { ...common, ...env }, port });
        return port;
      };
      /** A form, as a browser submits it. */
      const form = async (port: number, host?: string): Promise<Visit> => {
        const { answer: page } = await visit(port, { ...(host && { host }) });
        const token = page.body;
        const cookie = String(page.headers['set-cookie']?.[0]).split(';')[0]!;
        return visit(port, { post: true, headers: { cookie, 'x-csrftoken': token }, ...(host && { host }) });
      };
      const [bare, allowed] = await Promise.all([server(), server({ ALLOWED: NAME })]);
      expect(await visit(bare)).toMatchObject({
        answer: { status: 400 },
        reported: [{ id: 'django', name: NAME }],
      });
      expect(await visit(bare, { host: 'target' })).toMatchObject({ answer: { status: 200 }, reported: [] });
      expect(await form(bare, 'target')).toMatchObject({ answer: { status: 200 }, reported: [] });
      expect(await visit(allowed)).toMatchObject({ answer: { status: 200 }, reported: [] });
      expect(await form(allowed)).toMatchObject({
        answer: { status: 403 },
        reported: [{ id: 'django-csrf' }],
      });
    },
  );
});

/**
 * Ports of server.cjs in `cwd`, with the packages of `folder`: one with defaults, and one that allows the public name.
 */
function bareAndAllowed(cwd: string, folder: string): Promise<[number, number]> {
  const server = async (...allowed: string[]): Promise<number> => {
    const port = await freePort();
    const env = { NODE_PATH: join(folder, 'node_modules') };
    await started(process.execPath, ['server.cjs', String(port), ...allowed], { cwd, env, port });
    return port;
  };
  return Promise.all([server(), server(NAME)]);
}

const WEBPACK = `
const webpack = require('webpack'), Server = require('webpack-dev-server');
const [port, allowedHosts] = process.argv.slice(2);
const compiler = webpack({ mode: 'development', context: __dirname, entry: './entry.js' });
new Server({ host: '127.0.0.1', port, allowedHosts: allowedHosts ? [allowedHosts] : 'auto' }, compiler).start();
`;

describe('webpack-dev-server', () => {
  it('rejects an unknown name, and accepts it after either fix', { timeout: 120_000 }, async (context) => {
    const packages = await PACKAGES.webpack;
    if ('skip' in packages) {
      context.skip(packages.skip);
      return;
    }
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'server.cjs'), WEBPACK);
    await writeFile(join(cwd, 'entry.js'), '');
    const [bare, allowed] = await bareAndAllowed(cwd, packages.folder);
    const path = '/main.js';
    expect(await visit(bare, { path })).toMatchObject({
      answer: { status: 403 },
      reported: [{ id: 'webpack', name: NAME }],
    });
    expect(await visit(bare, { path, host: 'target' })).toMatchObject({
      answer: { status: 200 },
      reported: [],
    });
    expect(await visit(allowed, { path })).toMatchObject({ answer: { status: 200 }, reported: [] });
  });
});

const MCP = `
const { createMcpExpressApp } = require('@modelcontextprotocol/sdk/server/express.js');
const [port, allowed] = process.argv.slice(2);
const app = createMcpExpressApp(allowed ? { allowedHosts: ['localhost', '127.0.0.1', allowed] } : {});
app.all('/mcp', (request, response) => response.json({}));
app.listen(Number(port), '127.0.0.1');
`;

describe('an MCP server', () => {
  it('rejects an unknown name, and accepts it after either fix', { timeout: 120_000 }, async (context) => {
    const packages = await PACKAGES.mcp;
    if ('skip' in packages) {
      context.skip(packages.skip);
      return;
    }
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'server.cjs'), MCP);
    const [bare, allowed] = await bareAndAllowed(cwd, packages.folder);
    const path = '/mcp';
    expect(await visit(bare, { path })).toMatchObject({
      answer: { status: 403 },
      reported: [{ id: 'mcp', name: NAME }],
    });
    expect(await visit(bare, { path, host: 'target' })).toMatchObject({
      answer: { status: 200 },
      reported: [],
    });
    expect(await visit(allowed, { path })).toMatchObject({ answer: { status: 200 }, reported: [] });
  });
});
