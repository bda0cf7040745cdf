/** `portal up` and the commands that talk to it, as separate processes, on free ports. */
import { exec } from 'node:child_process';
import { readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { firstOfRun } from '../../src/agent/inspect/history/ids.js';
import { deferred } from '../../src/lib/wait.js';
import { programFor } from '../support/debian.js';
import { freePort } from '../support/ports.js';
import { httpsGet } from '../support/visitor.js';
import { jsonLines, Person, type Line, type Running } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

const write = (name: string, text: string): Promise<void> => writeFile(join(person.folder, name), text);

/** A configuration with an embedded relay on a free port. */
function config(services: Readonly<Record<string, number>>, extra = ''): string {
  return `version: 1\nrelays: { embedded: { port: 0 } }\n${extra}services: ${JSON.stringify(services)}\n`;
}

/** A local service that responds with `text`. Returns its port. */
async function service(text: string): Promise<number> {
  const server = createHttpServer((_, response) => response.end(text));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const urlOf = (ready: Line, name: string): string =>
  (ready['services'] as Record<string, { urls: string[] }>)[name]!.urls[0]!;

test('up: prints a URL that responds, the exact events, and stops cleanly', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  const up = person.start(['up', '--json']);
  const started = await up.event('started');
  expect(started).toMatchObject({ pid: up.pid, file: join(person.folder, 'portal.yaml') });
  const ready = await up.event('ready');
  expect(await httpsGet(urlOf(ready, 'web'), String(started['ca']))).toBe('hello');
  // A visitor whose connection is still closing would appear in the events.
  const visitors = async (): Promise<unknown> => {
    const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
    return status!['leases'];
  };
  await expect.poll(visitors).toMatchObject([{ visitors: 0 }]);
  up.kill('SIGTERM');
  const { code, stdout, stderr } = await up.finished;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const events = jsonLines(stdout);
  expect(events[0]!.event).toBe('started');
  expect(events.at(-1)).toMatchObject({ event: 'stopped', reason: 'SIGTERM' });
  for (const line of events) expect(Object.keys(line).slice(0, 2)).toEqual(['time', 'event']);
  expect(events.find(({ event }) => event === 'applied')).toMatchObject({
    revision: 1,
    opened: ['web'],
    closed: [],
  });
  expect(await readdir(join(person.home, 'run'))).toEqual([]);
});

test('up without --json: prints addresses on stdout and messages for people on stderr, each once', async () => {
  await write('portal.yaml', config({ web: await service('hello'), dead: 1 }));
  const up = person.start(['up']);
  await up.line(/^try: curl --cacert /);
  up.kill('SIGINT');
  const { code, stdout, stderr } = await up.finished;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^web https:\/\/web\.localhost:\d+\ndead https:\/\/dead\.localhost:\d+\n$/);
  expect(stderr).toContain('dead: unreachable: nothing listens on port 1 (tried 127.0.0.1');
  expect(stderr).toContain('all services are published, target down: dead\n');
  expect(stderr).not.toMatch(/connecting|opening|draining|closed/);
  expect(stderr).not.toContain('\u001b');
  expect(stderr).toMatch(/\nstopped: SIGINT\n$/);
});

test('up -q prints addresses and problems, -v each step; they exclude each other', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  const quiet = person.start(['-q', 'up']);
  await expect.poll(() => quiet.stdout, { timeout: 30_000 }).toMatch(/^web https:.*\n/);
  quiet.kill('SIGINT');
  expect(await quiet.finished).toMatchObject({ code: 0, stderr: '' });
  const verbose = person.start(['up', '-v']);
  await verbose.line(/^try: curl/);
  verbose.kill('SIGINT');
  expect((await verbose.finished).stderr).toMatch(/web: opening[^]*web: ready at[^]*web: closed/);
  expect(await person.run(['up', '-q', '-v'])).toMatchObject({ code: 2 });
});

test('applies a save, and reports an invalid one without any change', async () => {
  const port = await service('hello');
  await write('portal.yaml', config({ web: port }));
  const up = person.start(['up', '--json']);
  await up.event('ready');
  await write('portal.yaml', config({ web: port, api: port }));
  await up.event('applied', ({ revision }) => revision === 2);

  await write('portal.yaml', 'version: 1\nservices: { web: nonsense }\n');
  expect(await up.event('rejected')).toMatchObject({
    errors: [{ file: 'portal.yaml', line: 2, path: '/services/web' }],
  });
  const status = await person.run(['status']);
  expect(status.stdout).toContain('the file on disk has errors');
  expect(status.stdout).toMatch(/web +ready/);
  expect((await person.run(['plan'])).code).toBe(2);

  await write('portal.yaml', config({ web: port, api: port }, 'identity: ./other.json\n'));
  await up.event('rejected', ({ errors }) => (errors as { code: string }[])[0]!.code === 'restart_required');
  const plan = await person.run(['plan', '--json']);
  expect(plan.code).toBe(2);
  expect(jsonLines(plan.stdout)).toMatchObject([{ event: 'error', code: 'restart_required' }]);

  await rm(join(person.folder, 'portal.yaml'));
  await up.event(
    'rejected',
    ({ errors }) => (errors as { message: string }[])[0]!.message === 'the file was deleted or moved',
  );
  expect((await person.run(['status'])).stdout).toContain('the file was deleted; the agent runs');
});

test('plan asks the agent; SERVICE arguments apply to every reload', async () => {
  const port = await service('hello');
  await write('portal.yaml', config({ web: port, api: port }));
  const up = person.start(['up', 'web', '--json', '--no-watch']);
  const ready = await up.event('ready');
  expect(Object.keys(ready['services'] as object)).toEqual(['web']);
  expect(await person.run(['plan'])).toMatchObject({ code: 0, stdout: '' });
  await write('portal.yaml', config({ web: port + 1, api: port, more: port }));
  const { code, stdout } = await person.run(['plan', '--json']);
  expect(code).toBe(3);
  expect(jsonLines(stdout)).toMatchObject([
    { actions: [{ kind: 'update', service: 'web', changes: ['target'] }] },
  ]);
  expect((await person.run(['plan'])).stdout).toMatch(/^~ +web +update .* target\n$/);
});

test('status, logs and down of a running agent', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  const up = person.start(['up', '--json']);
  await up.event('ready');

  const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
  expect(status).toMatchObject({
    event: 'status',
    pid: up.pid,
    leases: [{ service: 'web', phase: 'ready' }],
  });
  const table = await person.run(['status']);
  expect(table.code).toBe(0);
  expect(table.stdout).toMatch(/^web +ready +\d+s +https:\/\/web\.localhost:\d+ +localhost:\d+/m);

  const logs = person.start(['logs', '-f', '--json']);
  await logs.event('ready');
  expect(await person.run(['logs', '-f', 'other'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('the agent has no service "other" [usage]\n  Services: web.') as string,
  });
  expect(await person.run(['logs', '-f', './portal.yaml'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Use: portal logs -f -F ./portal.yaml.') as string,
  });
  const ofWeb = jsonLines((await person.run(['logs', 'web', '--json'])).stdout);
  expect(new Set(ofWeb.map(({ event }) => event))).toContain('lease');
  expect(ofWeb.some(({ event }) => event === 'started')).toBe(false);
  const down = await person.run(['down', '--json']);
  expect(down.code).toBe(0);
  expect(jsonLines(down.stdout)).toMatchObject([{ event: 'stopped', pid: up.pid }]);
  expect((await up.finished).code).toBe(0);
  const followed = await logs.finished;
  expect(followed.code).toBe(0);
  expect(jsonLines(followed.stdout).at(-1)).toMatchObject({ event: 'stopped', reason: 'down' });
  expect((await person.run(['down'])).code).toBe(1);
});

test('status and logs of chosen services, and of the latest events', async () => {
  const port = await service('hello');
  await write('portal.yaml', config({ web: port, api: port }));
  const up = person.start(['up', '--json']);
  await up.event('ready');

  const [status] = jsonLines((await person.run(['status', 'web', '--json'])).stdout);
  expect(status).toMatchObject({ leases: [{ service: 'web' }], relays: [{ state: 'connected' }] });
  const table = (await person.run(['status', 'web'])).stdout;
  expect(table).toMatch(/^web +ready/m);
  expect(table).not.toMatch(/^api /m);
  for (const [args, message] of [
    [['webb'], 'the agent has no service "webb" [usage]\n  Did you mean `web`?'],
    [
      ['./portal.yaml'],
      '"./portal.yaml" is a file, not a service [usage]\n  Use: portal status -f ./portal.yaml.',
    ],
    [['web', '--wait-ready'], '--wait-ready waits for every service'],
  ] as const) {
    const { code, stderr } = await person.run(['status', ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  }

  const logged = async (...args: string[]) =>
    jsonLines((await person.run(['logs', '--json', ...args])).stdout).map(({ time }) => time);
  // The last events after a start: what each target speaks.
  await expect.poll(() => jsonLines(up.stdout).filter(({ event }) => event === 'served')).toHaveLength(2);
  const all = await logged();
  expect(all.length).toBeGreaterThan(3);
  expect(await logged('--tail', '2')).toEqual(all.slice(-2));
  expect(await logged('-n', '0')).toEqual([]);
  const since = all[2]!;
  expect(await logged('--since', since)).toEqual(all.filter((time) => time >= since));
  expect(await logged('--since', '1h')).toEqual(all);
  expect(await logged('--since', '2100-01-01')).toEqual([]);
  expect(await logged('web', '--tail', '1')).toHaveLength(1);

  const followed = person.start(['logs', '-f', '--tail', '1', '--json']);
  await followed.event(jsonLines((await person.run(['logs', '--json', '--tail', '1'])).stdout)[0]!.event);
  expect((await person.run(['down'])).code).toBe(0);
  const { stdout } = await followed.finished;
  const events = jsonLines(stdout);
  expect(events[0]!.time).toBe(all.at(-1));
  expect(events.at(-1)).toMatchObject({ event: 'stopped', reason: 'down' });
});

test('one agent per file, also through a symbolic link that changes', async () => {
  const port = await service('hello');
  await write('one.yaml', config({ web: port }));
  await write('two.yaml', config({ web: port, api: port }));
  await symlink('one.yaml', join(person.folder, 'portal.yaml'));
  const up = person.start(['up', '--json']);
  await up.event('ready');
  const second = await person.run(['up', '--json']);
  expect(second.code).toBe(1);
  expect(jsonLines(second.stdout)).toMatchObject([{ event: 'error', code: 'already_running' }]);
  await symlink('two.yaml', join(person.folder, 'next'));
  await rename(join(person.folder, 'next'), join(person.folder, 'portal.yaml'));
  await up.event('applied', ({ opened }) => (opened as string[]).includes('api'));
  expect((await person.run(['status'])).code).toBe(0);
});

test('an agent that was killed does not block the next one', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  const first = person.start(['up', '--json']);
  await first.event('started');
  first.kill('SIGKILL');
  await first.finished;
  expect((await person.run(['status'])).code).toBe(1);
  const second = person.start(['up', '--json']);
  await second.event('ready');
});

test('--wait: runs in the background, is ready, and releases its output', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  person.downAfterTest();
  const { code, stdout, stderr } = await person.run(['up', '--wait', '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const events = jsonLines(stdout);
  expect(events.at(-1)!.event).toBe('ready');
  const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
  expect(status!['pid']).toBe(events[0]!['pid']);
});

test('--detach: returns after the start', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  person.downAfterTest();
  const { code, stderr } = await person.run(['up', '--detach']);
  expect(code).toBe(0);
  expect(stderr).toContain('running in the background');
  const again = await person.run(['up', '--detach']);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain('[already_running]');
});

test('--wait forwards standard input', async () => {
  person.downAfterTest();
  const { code, stdout } = await person.run(['up', '--wait', '--json', '-f', '-'], {
    stdin: config({ web: await service('hello') }),
  });
  expect(code).toBe(0);
  expect(jsonLines(stdout)[0]).toMatchObject({ event: 'started', file: null });
  // No file is here, so the command selects the only running agent.
  expect((await person.run(['down'])).code).toBe(0);
});

/** A relay that accepts connections and sends nothing. Returns a configuration that waits for it forever. */
async function muteRelay(): Promise<string> {
  const mute = createServer((socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void mute.close());
  const { port } = mute.address() as AddressInfo;
  return `version: 1\nrelays: { urls: ['https://localhost:${port}'] }\nservices: { web: 3000 }\n`;
}

test('--wait times out, and leaves nothing behind', async () => {
  await write('portal.yaml', await muteRelay());
  const { code, stdout } = await person.run(['up', '--wait', '--timeout', '1', '--json']);
  expect(code).toBe(1);
  expect(jsonLines(stdout).at(-1)).toMatchObject({
    event: 'error',
    code: 'timeout',
    message: expect.stringContaining('web') as string,
  });
  expect((await person.run(['status'])).code).toBe(1);
});

test.each(['SIGINT', 'SIGKILL'] as const)('a start that %s ends also ends its agent', async (signal) => {
  await write('portal.yaml', await muteRelay());
  person.downAfterTest();
  const up = person.start(['up', '--wait', '--json']);
  await up.event('started');
  const logs = person.start(['logs', '-f', '--json']);
  await logs.event('started');
  up.kill(signal);
  const { code, stdout, stderr } = await up.finished;
  expect({ code, stderr }).toEqual({ code: signal === 'SIGINT' ? 130 : null, stderr: '' });
  expect(jsonLines(stdout).filter(({ event }) => event === 'error')).toEqual([]);
  expect(jsonLines((await logs.finished).stdout).at(-1)).toMatchObject({
    event: 'stopped',
    reason: 'starter exited',
  });
  expect((await person.run(['status'])).code).toBe(1);
});

test('all services failed: prints why, exits with 1', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  await write(
    'portal.yaml',
    `version: 1\nrelays: { embedded: { port: ${port} } }\nservices: { web: 3000, api: 3001 }\n`,
  );
  for (const flags of [[], ['--wait'], ['--detach']]) {
    const { code, stdout } = await person.run(['up', '--json', ...flags]);
    expect(code).toBe(1);
    const events = jsonLines(stdout);
    expect(events.at(-1)).toMatchObject({ event: 'error', code: 'all_failed' });
    const failed = events.find(({ event, phase }) => event === 'lease' && phase === 'failed')!;
    expect(failed['error']).toMatchObject({
      code: 'address_in_use',
      message: expect.stringContaining(String(port)) as string,
    });
  }
});

test('the agent exits silently when the reader of its output exits', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  const up = person.start(['up', '--json']);
  await up.event('started');
  up.closeStdout();
  const { code, signal, stderr } = await up.finished;
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  expect((await person.run(['status'])).code).toBe(1);
});

test('expose uses an embedded relay', async () => {
  const relay = person.start(['relay', '--listen', '127.0.0.1:0', '--json', '--log-level', 'error']);
  const listening = await relay.event('listening');
  expect(listening).toMatchObject({ domain: 'localhost', ca: join(person.home, 'ca', 'ca.pem') });

  const port = await service('hello');
  const expose = person.start(['expose', String(port), '--relay', String(listening['url']), '--json']);
  const ready = await expose.event('ready');
  const [name] = Object.keys(ready['services'] as object);
  expect(name).toMatch(/^[a-z]+-[a-z]+-[2-9a-z]{4}$/);
  expect(await httpsGet(urlOf(ready, name!), String(listening['ca']))).toBe('hello');
  // No file here and one agent, so the command selects it.
  expect((await person.run(['status'])).stdout).toContain(name);
  expect((await person.run(['down'])).code).toBe(0);
  expect((await expose.finished).code).toBe(0);

  const again = person.start(['expose', String(port), '--relay', String(listening['url']), '--json']);
  expect(Object.keys((await again.event('ready'))['services'] as object)).toEqual([name]);
  again.kill('SIGINT');
  await again.finished;

  const taken = await person.run([
    'relay',
    '--listen',
    `127.0.0.1:${new URL(String(listening['url'])).port}`,
    '--json',
  ]);
  expect(taken.code).toBe(1);
  expect(jsonLines(taken.stdout)).toMatchObject([{ event: 'error', code: 'address_in_use' }]);

  relay.kill('SIGTERM');
  expect((await relay.finished).code).toBe(0);
});

test('a save with a failing service does not end the running services', async () => {
  const port = await service('hello');
  const relay = person.start(['relay', '--listen', '127.0.0.1:0', '--json', '--log-level', 'error']);
  const listening = await relay.event('listening');
  const pool = `relays: { urls: [{ url: '${String(listening['url'])}', ca: '${String(listening['ca'])}' }] }`;
  const other = await Person.create();
  const holder = other.start(['up', '-f', '-', '--json'], {
    stdin: `version: 1\n${pool}\nservices: { held: ${port} }\n`,
  });
  await holder.event('ready');

  await write('portal.yaml', `version: 1\n${pool}\nservices: { web: ${port} }\n`);
  const up = person.start(['up', '--json']);
  const ready = await up.event('ready');
  await write('portal.yaml', `version: 1\n${pool}\nservices: { web: { target: ${port}, name: held } }\n`);
  const failed = await up.event('lease', ({ phase }) => phase === 'failed');
  expect(failed).toMatchObject({ service: 'web', error: { code: 'name_taken' } });
  expect(await up.event('applied', ({ revision }) => revision === 2)).toMatchObject({
    replaced: [],
    failed: ['web'],
  });
  expect(await httpsGet(urlOf(ready, 'web'), String(listening['ca']))).toBe('hello');
  expect((await person.run(['status'])).code).toBe(0);
});

test('--wait without services returns immediately', async () => {
  await write('portal.yaml', config({}));
  person.downAfterTest();
  const { code, stdout } = await person.run(['up', '--wait', '--json']);
  expect(code).toBe(0);
  expect(jsonLines(stdout)[0]!.event).toBe('started');
  expect(await person.run(['status'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('no services') as string,
  });
});

test('a second signal ends the agent immediately, and leaves no socket behind', async () => {
  const requested = deferred<void>();
  // Never responds, so its visitor delays the drain.
  const server = createHttpServer(() => requested.resolve());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await write('portal.yaml', config({ web: (server.address() as AddressInfo).port }));
  const up = person.start(['up', '--json']);
  const started = await up.event('started');
  httpsGet(urlOf(await up.event('ready'), 'web'), String(started['ca'])).catch(() => undefined);
  await requested.promise;
  up.kill('SIGINT');
  await up.event('lease', ({ phase }) => phase === 'draining');
  up.kill('SIGINT');
  const { code, stdout, stderr } = await up.finished;
  expect(code).toBe(130);
  expect(stderr).toContain('waiting up to 10 s for 1 visitor to finish; press Ctrl-C again to stop now');
  expect(stderr).toContain('disconnecting 1 visitor');
  expect(jsonLines(stdout).at(-1)).toMatchObject({ event: 'stopped', reason: 'SIGINT' });
  expect(await readdir(join(person.home, 'run'))).toEqual([]);
});

test('says how many visitors it disconnected because they did not finish', async () => {
  const requested = deferred<void>();
  // Never responds, so its visitor counts as idle during the drain.
  const server = createHttpServer(() => requested.resolve());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await write('portal.yaml', config({ web: (server.address() as AddressInfo).port }));
  const up = person.start(['up', '--json']);
  const started = await up.event('started');
  httpsGet(urlOf(await up.event('ready'), 'web'), String(started['ca'])).catch(() => undefined);
  await requested.promise;
  up.kill('SIGINT');
  const { code, stdout } = await up.finished;
  expect(code).toBe(0);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ event: 'stopped', reason: 'SIGINT', disconnected: 1 });
});

test('under nohup the agent survives a closed terminal', async () => {
  await write('portal.yaml', config({ web: await service('hello') }));
  const up = person.start(['up', '--json'], { env: { _: '/usr/bin/nohup' } });
  await up.event('ready');
  up.kill('SIGHUP');
  expect((await person.run(['status'])).code).toBe(0);
  up.kill('SIGTERM');
  const { code, stdout } = await up.finished;
  expect(code).toBe(0);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ event: 'stopped', reason: 'SIGTERM' });
});

test('expose --inspect prints the inspector’s URL, and status shows it again', async () => {
  const port = await service('hello');
  const expose = person.start(['expose', String(port), '--name', 'seen', '--inspect', '--json']);
  const { url } = await expose.event('inspector');
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#[\w-]{32}$/);
  const page = await fetch(String(url));
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('Portal inspector')]);

  const ready = await expose.event('ready');
  const ca = join(person.home, 'ca', 'ca.pem');
  expect(await httpsGet(urlOf(ready, 'seen'), ca)).toBe('hello');
  const headers = { Authorization: `Bearer ${new URL(String(url)).hash.slice(1)}` };
  const recorded = await fetch(new URL(`/api/requests/${firstOfRun(1) + 1}`, String(url)), { headers });
  expect(await recorded.json()).toMatchObject({ service: 'seen', method: 'GET', status: 200 });
  expect((await person.run(['status'])).stdout).toContain(String(url));
  expose.kill('SIGTERM');
  expect((await expose.finished).code).toBe(0);
});

test('expose: prints how to reach the service once the target’s protocol is known', async (context) => {
  await programFor(context, 'openssl');
  const port = await freePort();
  const expose = person.start(['expose', String(port), '--name', 'late']);
  await expose.line(/^all services are published/);
  const server = createServer((socket) => socket.end('SSH-2.0-test\r\n'));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const hint = await expose.line(/^try: /);
  expect(hint).toMatch(/^try: openssl s_client .* -servername late\.localhost -connect localhost:\d+$/);
  const { stdout } = await promisify(exec)(hint.replace('try: ', ''), { timeout: 20_000 });
  expect(stdout).toContain('SSH-2.0-test');
  expose.kill('SIGTERM');
  const { code, stderr } = await expose.finished;
  expect([code, stderr.match(/^try: /gm)?.length]).toEqual([0, 1]);
});

test('expose --tcp: gets a port from a relay with a port range', async () => {
  const server = createServer((socket) => socket.end('raw'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const relay = person.start(['relay', '--listen', '127.0.0.1:0', '--tcp-ports', '20000-60000', '--json']);
  const { url } = await relay.event('listening');
  const expose = person.start(['expose', String(port), '--tcp', '--relay', String(url), '--json']);
  const ready = await expose.event('ready');
  const [published] = Object.values(ready['services'] as Record<string, { tcp: string[]; urls: string[] }>);
  expect(published).toMatchObject({ urls: [], tcp: [expect.stringMatching(/^localhost:\d+$/)] });
  const visitor = connect(Number(published!.tcp[0]!.split(':')[1]), '127.0.0.1');
  const [said] = (await once(visitor, 'data')) as [Buffer];
  expect(said.toString()).toBe('raw');
  expose.kill('SIGTERM');
  expect((await expose.finished).code).toBe(0);
});

test('a relay rejects an invalid range', async () => {
  for (const range of ['70000', '20-10', 'many', '0-5']) {
    const { code, stderr } = await person.run(['relay', '--tcp-ports', range]);
    expect({ code, says: stderr.includes('20000-20999') }).toEqual({ code: 2, says: true });
  }
});

const exposed = async (port: number): Promise<Running> => {
  const running = person.start(['expose', String(port), '--name', `x${port}`, '--json']);
  await running.event('ready');
  return running;
};

describe('with several agents', () => {
  test('status shows each, logs and down list them, and --pid selects one', async () => {
    const [first, second] = [await service('one'), await service('two')];
    const [one, two] = [await exposed(first), await exposed(second)];
    for (const command of ['logs', 'down']) {
      const { code, stderr } = await person.run([command]);
      expect(code).toBe(2);
      for (const [running, port] of [[one, first] as const, [two, second] as const])
        expect(stderr).toMatch(
          new RegExp(`${running.pid} +localhost:${port} +https://x${port}\\.localhost:`),
        );
    }
    const all = await person.run(['status']);
    expect(all).toMatchObject({ code: 0, stderr: '' });
    for (const [running, port] of [[one, first] as const, [two, second] as const])
      expect(all.stdout).toMatch(new RegExp(`pid ${running.pid} [^]* https://x${port}\\.localhost:`));
    const json = await person.run(['status', '--json']);
    expect(json.code).toBe(0);
    const pids = jsonLines(json.stdout).map(({ pid }) => pid);
    expect(new Set(pids)).toEqual(new Set([one.pid, two.pid]));
    expect(pids).toHaveLength(2);
    const chosen = ['--pid', String(two.pid)];
    expect((await person.run(['status', ...chosen])).stdout).toContain(`x${second}`);
    expect((await person.run(['status', '--wait-ready', ...chosen])).stdout).toContain(`x${second}`);
    expect((await person.run(['logs', ...chosen])).stdout).toContain(`x${second}`);
    expect((await person.run(['down', ...chosen])).code).toBe(0);
    expect((await two.finished).code).toBe(0);
    const gone = await person.run(['status', ...chosen]);
    expect(gone.code).toBe(1);
    expect(gone.stderr).toContain(`process ${two.pid} is not a portal agent`);
    expect(gone.stderr).toContain(String(one.pid));
  });

  test('a command lists running agents if none runs for the file', async () => {
    const port = await service('one');
    const running = await exposed(port);
    await write('portal.yaml', config({ web: port }));
    const { code, stderr } = await person.run(['status']);
    expect(code).toBe(1);
    expect(stderr).toContain('[not_running]');
    expect(stderr).toContain(`no agent is running for ${join(person.folder, 'portal.yaml')}`);
    expect(stderr).toContain('Start one with `portal up`. To use another agent, choose it with --pid PID:');
    expect(stderr).toMatch(new RegExp(`${running.pid} +localhost:${port} `));
    expect((await person.run(['status', '-f', 'portal.yaml', '--pid', '1'])).code).toBe(2);
  });
});
