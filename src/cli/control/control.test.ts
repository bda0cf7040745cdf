import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import type { AgentStatus } from '../../reconcile/events.js';
import { plan } from '../../reconcile/plan.js';
import { controlPlace } from './address.js';
import { ControlClient } from './client.js';
import { historyLogger } from './history-logger.js';
import { History, type Entry } from './history.js';
import { startControl, type ControlHandlers } from './server.js';

const STATUS: AgentStatus = {
  pid: 1,
  file: null,
  identity: '0x0',
  startedAt: '2026-01-01T00:00:00.000Z',
  revision: 1,
  rejected: [],
  relays: [],
  leases: [],
};
const DESIRED: Desired = { file: undefined, identityFile: undefined, relays: [], services: [] };

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'portal-control-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function handlers(overrides: Partial<ControlHandlers> = {}): ControlHandlers {
  return {
    relays: async () => ({ relays: [] }),
    status: () => Promise.resolve(STATUS),
    readiness: () => ({ ready: true, services: {}, waiting: [] }),
    plan: (desired) => plan(desired, []),
    prove: () => Promise.resolve(STATUS),
    replay: () => Promise.reject(new PortalError('request_unknown', 'not recorded')),
    flush: (identity) => Promise.resolve({ isRecording: identity === '0x1' }),
    wipe: () => Promise.resolve({ isWiped: false }),
    share: () => Promise.reject(new PortalError('usage', 'no such service')),
    reloadShares: (identity) => Promise.resolve({ isReloaded: identity === '0x1' }),
    stop: () => undefined,
    history: new History(),
    access: new History(),
    ...overrides,
  };
}

async function start(path: string, overrides: Partial<ControlHandlers> = {}) {
  const control = await startControl(path, handlers(overrides));
  if (control) onTestFinished(() => control.close());
  return control;
}

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof PortalError ? error.code : String(error)),
  );

test('status, plan and stop', async () => {
  const path = join(await folder(), 'a.sock');
  let stopped = 0;
  await start(path, { stop: () => (stopped += 1) });
  const client = new ControlClient(path);
  expect(await client.status()).toEqual(STATUS);
  expect(await client.plan(DESIRED)).toEqual([]);
  expect(await client.flush('0x1')).toEqual({ isRecording: true });
  expect(await client.reloadShares('0x1')).toEqual({ isReloaded: true });
  expect(await client.stop()).toEqual({ pid: process.pid });
  expect(stopped).toBe(1);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('errors of the agent keep their code, and an invalid configuration is rejected', async () => {
  const path = join(await folder(), 'a.sock');
  await start(path, {
    status: () => Promise.reject(new PortalError('timeout', 'too slow', { hint: 'wait' })),
  });
  const client = new ControlClient(path);
  await expect(client.status()).rejects.toMatchObject({ code: 'timeout', message: 'too slow', hint: 'wait' });
  expect(await code(client.plan({} as Desired))).toBe('usage');
});

test('logs: recent entries, then new ones until the end', async () => {
  const path = join(await folder(), 'a.sock');
  const history = new History();
  const control = (await startControl(path, handlers({ history })))!;
  historyLogger(history, { service: 'web' }).warn({ error: new Error('boom') }, 'careful');
  const client = new ControlClient(path);
  const recent: Entry[] = [];
  for await (const entry of client.logs({ follow: false })) recent.push(entry);
  expect(recent).toMatchObject([
    { event: 'log', level: 'warn', message: 'careful', fields: { service: 'web', error: 'boom' } },
  ]);

  const followed: Entry[] = [];
  for await (const entry of client.logs({ follow: true })) {
    followed.push(entry);
    if (followed.length > 1) continue;
    history.add({ time: 'now', event: 'stopped', reason: 'down' });
    void control.close();
  }
  expect(followed.map(({ event }) => event)).toEqual(['log', 'stopped']);
});

test('the log history has a limit', () => {
  const history = new History();
  for (let count = 0; count < 1_500; count += 1)
    history.add({ time: '', event: 'stopped', reason: String(count) });
  expect(history.recent()).toHaveLength(1_000);
  expect(history.recent()[0]).toMatchObject({ reason: '500' });
});

test('without an agent reports not_running, without a response a timeout', async () => {
  const path = join(await folder(), 'a.sock');
  expect(await code(new ControlClient(path).status())).toBe('not_running');
  const mute = createServer(() => undefined);
  await listen(mute, path);
  expect(await code(new ControlClient(path, { timeoutMs: 50 }).status())).toBe('timeout');
});

test('a timeout names the process id of the agent', async () => {
  const directory = await folder();
  const path = join(directory, 'a.sock');
  const control = await start(path, { status: () => new Promise(() => undefined) });
  await expect(new ControlClient(path, { timeoutMs: 50 }).status()).rejects.toMatchObject({
    code: 'timeout',
    hint: expect.stringContaining(`kill -KILL ${process.pid}`) as string,
  });
  await control!.close();
  expect(await readdir(directory)).toEqual([]);
});

test('replaces the socket of a killed agent, but not of a running one', async () => {
  const path = join(await folder(), 'a.sock');
  await leaveSocketOfDeadProcess(path);
  expect(await code(new ControlClient(path).status())).toBe('not_running');
  expect(await start(path)).toBeDefined();
  expect(await start(path)).toBeUndefined();
  expect(await new ControlClient(path).status()).toEqual(STATUS);
});

test.each([
  ['nothing there', false],
  ['the socket of a killed agent there', true],
])('only one of many agents that start together runs: %s', async (_, stale) => {
  const directory = await folder();
  const path = join(directory, 'a.sock');
  if (stale) await leaveSocketOfDeadProcess(path);
  const started = await Promise.all(Array.from({ length: 12 }, () => start(path)));
  expect(started.filter(Boolean)).toHaveLength(1);
  expect(await new ControlClient(path).status()).toEqual(STATUS);
  expect((await readdir(directory)).toSorted()).toEqual(['a.sock', 'a.sock.pid']);
});

test('removes a lock whose owner was killed', async () => {
  const path = join(await folder(), 'a.sock');
  await mkdir(`${path}.lock`);
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(`${path}.lock`, longAgo, longAgo);
  expect(await start(path)).toBeDefined();
});

test('says why the folder of sockets cannot be written', async () => {
  const file = join(await folder(), 'file');
  await writeFile(file, '');
  await expect(start(join(file, 'a.sock'))).rejects.toMatchObject({
    code: 'state_unwritable',
    message: `${join(file, 'a.sock.lock')} cannot be created (ENOTDIR)`,
  });
});

test('sockets are in a private folder, with a short name for each file', async () => {
  const runDir = join(await folder(), 'run');
  const place = controlPlace(runDir);
  await place.prepare();
  expect((await stat(runDir)).mode & 0o777).toBe(0o700);
  const address = place.address({ file: '/a/portal.yaml' });
  expect(address).toMatch(/run\/[0-9a-f]{16}\.sock$/);
  expect(place.address({ file: '/b/portal.yaml' })).not.toBe(address);
  expect(place.address({ pid: 7 })).not.toBe(place.address({ pid: 8 }));
  await start(address);
  expect(await place.list()).toEqual([address]);
});

test('a path too long for a socket falls back to a private temporary folder', async () => {
  const runDir = join(await folder(), 'long'.repeat(30));
  const place = controlPlace(runDir);
  await place.prepare();
  const address = place.address({ pid: 1 });
  onTestFinished(async () => {
    await rm(join(address, '..'), { recursive: true, force: true });
    // All agents of this user share the folder, and another agent may be using it.
    await rmdir(join(address, '../..')).catch(() => undefined);
  });
  expect(Buffer.byteLength(address)).toBeLessThanOrEqual(100);
  expect((await stat(join(address, '..'))).mode & 0o777).toBe(0o700);
  expect(await start(address)).toBeDefined();
  // Another PORTAL_HOME has its own agents.
  expect(controlPlace(`${runDir}2`).address({ pid: 1 })).not.toBe(address);
});

test('rejects a folder that others can open', async () => {
  const runDir = await folder();
  await chmod(runDir, 0o755);
  expect(await code(controlPlace(runDir).prepare())).toBe('state_unwritable');
});

async function listen(server: Server, path: string): Promise<void> {
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
}

/** A killed process leaves a socket file without a listener. */
async function leaveSocketOfDeadProcess(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(process.argv[1], () => console.log('listening'))`;
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
}
