/** Programs that `portal up` starts for its services: their life, and that none runs without permission. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { httpsGet } from '../support/visitor.js';
import { jsonLines, Person, PROCESSES, type Line, type Running } from './cli-support.js';
import { isAlive } from '../../src/lib/is-alive.js';

/** Nothing is allowed by the environment. */
const ASKED = { PORTAL_ALLOW: '' };

/** Serves its process id and environment on `$PORT`, and writes a file where `MARK` names one. */
const SERVER = `
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
const { PORT, MARK } = process.env;
if (MARK) appendFileSync(MARK, 'ran ');
const server = createServer((request, response) => {
  if (request.url === '/exit') process.exit(7);
  response.end(JSON.stringify({ pid: process.pid, ...process.env }));
});
server.listen(PORT, 'localhost', () => console.log('listening on ' + PORT));
`;

const COMMAND = `'"${process.execPath}" server.mjs'`;

async function project(services: string, program?: readonly string[]) {
  const person = await Person.create(program);
  await writeFile(join(person.folder, 'server.mjs'), SERVER);
  const write = (text: string): Promise<void> =>
    writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n${text}\n`,
    );
  await write(services);
  return { person, write, file: (name: string) => join(person.folder, name) };
}

interface Served {
  readonly pid: number;
  readonly [variable: string]: unknown;
}

/** Starts the agent, and resolves once every service is ready. */
async function up(person: Person, env: NodeJS.ProcessEnv = {}, args: readonly string[] = []) {
  const agent = person.start(['up', '--json', ...args], { env });
  const { ca } = await agent.event('started');
  const ready = await agent.event('ready');
  const urls = (service: string): string =>
    (ready['services'] as Record<string, { urls: string[] }>)[service]!.urls[0]!;
  const get = async (service: string): Promise<Served> =>
    JSON.parse(await httpsGet(urls(service), String(ca))) as Served;
  return { agent, ready, urls, get, ca: String(ca) };
}

const started = (agent: Running, name: string): number =>
  jsonLines(agent.stdout).filter(
    (line) => line.event === 'command' && line['name'] === name && line['state'] === 'running',
  ).length;

const isStart =
  (name: string) =>
  (line: Line): boolean =>
    line['name'] === name && line['state'] === 'running';

describe('the command of a service', () => {
  it('is started on a free port, knows every URL, and answers on its public name', async () => {
    const { person } = await project(
      `  web: { command: ${COMMAND}, env: { GREETING: "\${HELLO}" } }\n  my-api: { command: ${COMMAND} }`,
    );
    const { agent, ready, urls, get } = await up(person, { HELLO: 'hi' });
    expect(ready['unreachable']).toBeUndefined();
    const web = await get('web');
    expect(web).toMatchObject({
      PORTAL_URL: urls('web'),
      PORTAL_URL_WEB: urls('web'),
      PORTAL_URL_MY_API: urls('my-api'),
      __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: 'web.localhost',
      GREETING: 'hi',
    });
    const api = await get('my-api');
    expect(api['PORT']).not.toBe(web['PORT']);
    expect(api).not.toHaveProperty('GREETING');
    expect(web).not.toHaveProperty('PORTAL_ALLOW');
    expect(await agent.event('output', ({ name }) => name === 'web')).toMatchObject({
      service: 'web',
      stream: 'stdout',
      text: `listening on ${String(web['PORT'])}`,
    });
    const status = await person.run(['status']);
    expect(status.stdout).toMatch(/COMMAND +STATE +PID +PORT +RESTARTS +RUNS\nweb +running/);
    agent.kill('SIGINT');
    expect((await agent.finished).code).toBe(0);
    expect([web.pid, api.pid].filter(isAlive)).toEqual([]);
  });

  it('gets a port of its own in each route', async () => {
    const { person } = await project(
      `  app:\n    routes:\n      /: { command: ${COMMAND} }\n      /api: { command: ${COMMAND}, env: { ROLE: api } }`,
    );
    const { agent, urls, ca } = await up(person);
    const page = JSON.parse(await httpsGet(urls('app'), ca)) as Served;
    const api = JSON.parse(await httpsGet(`${urls('app')}/api`, ca)) as Served;
    expect(api).toMatchObject({ ROLE: 'api', PORTAL_URL: urls('app') });
    const { stdout } = await person.run(['status', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      commands: [
        { name: 'app', state: 'running', port: Number(page['PORT']), restarts: 0 },
        { name: 'app/api', state: 'running', port: Number(api['PORT']) },
      ],
    });
    agent.kill('SIGTERM');
    await agent.finished;
    expect([page.pid, api.pid].filter(isAlive)).toEqual([]);
  });

  it('prints its output with a prefix', async () => {
    const { person } = await project(`  web: { command: ${COMMAND} }`);
    const agent = person.start(['up', '--plain']);
    await agent.line(/^web \| listening on \d+$/);
    expect((await person.run(['logs'])).stdout).toMatch(/web \| listening on \d+\n/);
    agent.kill('SIGTERM');
    await agent.finished;
  });

  it('is reported if it ignores PORT', async () => {
    const fixed = `'PORT=0 "${process.execPath}" -e "const s = require(\\"http\\").createServer().listen(0, () => console.log(\\"http://localhost:\\" + s.address().port + \\"/\\"))"'`;
    const { person } = await project(`  web: { command: ${fixed} }`);
    const agent = person.start(['up', '--json']);
    const notice = await agent.event('notice', ({ kind }) => kind === 'command_port');
    const { text } = await agent.event('output');
    expect(text).toBe(`http://localhost:${String(notice['port'])}/`);
    expect(notice['message']).toContain(`or write target: ${String(notice['port'])}`);
    agent.kill('SIGTERM');
    await agent.finished;
  });

  it('is started again when it exits', async () => {
    const { person } = await project(`  web: { command: ${COMMAND} }`);
    const { agent, urls, get, ca } = await up(person);
    const first = await get('web');
    await httpsGet(`${urls('web')}/exit`, ca).catch(() => undefined);
    expect(await agent.event('command', ({ state }) => state === 'exited')).toMatchObject({
      exit: { code: 7, signal: null },
      nextInMs: 500,
    });
    await eventually(async () => expect((await get('web')).pid).not.toBe(first.pid));
    expect((await get('web'))['PORT']).toBe(first['PORT']);
    agent.kill('SIGTERM');
    await agent.finished;
  });

  it('restarts when its text or variables change, and keeps running through other edits', async () => {
    const services = (env: string, more = ''): string =>
      `  web: { command: ${COMMAND}, env: { SAYS: ${env} }${more} }\n  api: { command: ${COMMAND} }`;
    const { person, write } = await project(services('one'));
    const { agent, get } = await up(person);
    const [web, api] = [await get('web'), await get('api')];
    await write(services('one', ', inspect: true'));
    await agent.event('applied', ({ revision }) => revision === 2);
    expect((await get('web')).pid).toBe(web.pid);
    await write(services('two'));
    await eventually(async () => expect(await get('web')).toMatchObject({ SAYS: 'two', PORT: web['PORT'] }));
    expect((await get('api')).pid).toBe(api.pid);
    expect([started(agent, 'web'), started(agent, 'api')]).toEqual([2, 1]);
    expect(isAlive(web.pid)).toBe(false);
    await write(`  api: { command: ${COMMAND} }`);
    await agent.event('command', ({ name, state }) => name === 'web' && state === 'stopped');
    await agent.event('applied', ({ closed }) => (closed as string[]).includes('web'));
    expect((await get('api')).pid).toBe(api.pid);
    agent.kill('SIGTERM');
    await agent.finished;
    expect(isAlive(api.pid)).toBe(false);
  });

  it('gets the variables of envFile, restarts when one changes, and `portal run` gives them too', async () => {
    const { person, file } = await project(`  web: { command: ${COMMAND}, env: { OWN: "\${ONE}" } }`);
    const text = await readFile(file('portal.yaml'), 'utf8');
    await writeFile(file('.env'), 'HIDDEN=1\n');
    await writeFile(file('dev.env'), 'ONE=1\nTWO=${ONE}2\nSHELL_WINS=file\nPORT=1\n');
    await writeFile(file('portal.yaml'), `envFile: dev.env\n${text}`);
    const { agent, get } = await up(person, { SHELL_WINS: 'shell' });
    const web = await get('web');
    expect(web).toMatchObject({ ONE: '1', TWO: '12', OWN: '1', SHELL_WINS: 'shell' });
    expect(web['PORT']).not.toBe('1');
    expect(web).not.toHaveProperty('HIDDEN');
    const run = await person.run([
      'run',
      '--service',
      'web',
      '--',
      process.execPath,
      '-p',
      'process.env.TWO',
    ]);
    expect(run.stdout).toBe('12\n');
    await writeFile(file('dev.env'), 'ONE=7\n');
    await eventually(async () => expect(await get('web')).toMatchObject({ ONE: '7', OWN: '7' }));
    expect(await get('web')).not.toHaveProperty('TWO');
    expect(isAlive(web.pid)).toBe(false);
    agent.kill('SIGTERM');
    await agent.finished;
  });

  it('ends with an agent that is killed, and on a second Ctrl-C', async () => {
    const { person } = await project(`  web: { command: ${COMMAND} }`);
    for (const signals of [['SIGKILL'], ['SIGINT', 'SIGINT']] as const) {
      const { agent, get } = await up(person);
      const { pid } = await get('web');
      for (const signal of signals) agent.kill(signal);
      await agent.finished;
      await eventually(() => expect(isAlive(pid)).toBe(false));
    }
  });

  it.each([
    ['SIGINT', 0],
    ['SIGKILL', null],
  ] as const)(
    'that ignores SIGTERM ends with its children and with an agent that gets %s',
    async (signal, code) => {
      const { person } = await project(
        `  web: { command: 'trap "" TERM; sleep 600 & echo pids $$ $!; exec "${process.execPath}" server.mjs' }`,
      );
      const { agent } = await up(person);
      const { text } = await agent.event('output', (line) => String(line['text']).startsWith('pids '));
      const pids = String(text).split(' ').slice(1).map(Number);
      expect(pids.filter(isAlive)).toEqual(pids);
      agent.kill(signal);
      expect((await agent.finished).code).toBe(code);
      await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
    },
  );

  it('ends with `portal down`', async () => {
    const { person } = await project(`  web: { command: ${COMMAND} }`);
    const { agent, get } = await up(person);
    const { pid } = await get('web');
    expect((await person.run(['down'])).code).toBe(0);
    expect(isAlive(pid)).toBe(false);
    await agent.finished;
  });
});

describe('dependsOn', () => {
  it('starts a command once the targets of the others respond, and starts them too if only it is named', async () => {
    const { person, file } = await project(
      `  web: { command: ${COMMAND}, dependsOn: [api] }
  api: { command: 'until [ -e go ]; do sleep 0.05; done; exec "${process.execPath}" server.mjs' }
  other: { command: ${COMMAND} }`,
    );
    const agent = person.start(['up', '--json', 'web']);
    expect(await agent.event('command', ({ state }) => state === 'waiting')).toMatchObject({
      name: 'web',
      waitsFor: ['api'],
    });
    expect(started(agent, 'web')).toBe(0);
    for (const name of ['web', 'api'])
      await agent.event('lease', ({ service, phase }) => service === name && phase === 'ready');
    const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
    expect(status).toMatchObject({
      leases: [{ starting: { waitsFor: ['api'] } }, { starting: { targets: [expect.any(String)] } }],
      commands: [{ name: 'web', state: 'waiting', waitsFor: ['api'] }, { name: 'api' }],
    });
    const { stdout } = await person.run(['status']);
    expect(stdout).toMatch(/^web +starting [^]*^ {2}waiting for api; visitors get a 503 page$/m);
    expect(stdout).toMatch(/^api +starting [^]*^ {2}its command starts; visitors get a 503 page$/m);
    expect(stdout).not.toContain('down');
    await writeFile(file('go'), '');
    await agent.event('command', isStart('web'));
    const lines = jsonLines(agent.stdout);
    const at = (match: (line: Line) => boolean): number => lines.findIndex(match);
    expect(at((line) => line.event === 'target' && line['service'] === 'api')).toBeLessThan(
      at((line) => line.event === 'command' && isStart('web')(line)),
    );
    const ready = await agent.event('ready');
    expect(Object.keys(ready['services'] as object)).toEqual(['web', 'api']);
    const [later] = jsonLines((await person.run(['status', '--json'])).stdout);
    expect(JSON.stringify(later)).not.toMatch(/starting|waitsFor/);
    agent.kill('SIGTERM');
    await agent.finished;
  });
});

const marked = (command = COMMAND, more = ''): string =>
  `  web: { command: ${command}, env: { MARK: ran.txt${more} } }`;

describe('profiles', () => {
  it('run a service only with one of its profiles', async () => {
    const { person } = await project(
      `  web: { command: ${COMMAND} }\n  mail: { command: ${COMMAND}, profiles: [debug] }`,
    );
    for (const [args, services] of [
      [[], ['web']],
      [
        ['--profile', 'debug'],
        ['web', 'mail'],
      ],
    ] as const) {
      const { agent, ready } = await up(person, {}, args);
      expect(Object.keys(ready['services'] as object)).toEqual(services);
      agent.kill('SIGTERM');
      await agent.finished;
    }
    expect(await person.run(['up', '--profile', 'debgu'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Profiles: debug.') as string,
    });
    expect((await person.run(['plan'])).stdout).not.toContain('mail');
    expect((await person.run(['plan'], { env: { PORTAL_PROFILES: 'debug' } })).stdout).toContain('mail');
  });
});

describe('a command that was not allowed', () => {
  it.each(['up', 'up --detach', 'up --wait', 'up --plain web'])(
    'does not run by `portal %s`, even on the embedded relay',
    async (args) => {
      const { person, file } = await project(marked(), PROCESSES);
      const { code, stderr } = await person.run(args.split(' '), { env: ASKED });
      expect(code).toBe(2);
      expect(stderr).toContain('is not allowed yet to\n  run "');
      expect(stderr).toContain('server.mjs (web, with MARK)');
      expect(existsSync(file('ran.txt'))).toBe(false);
    },
  );

  it('does not run from standard input', async () => {
    const { person, file } = await project(marked());
    const stdin = await readFile(file('portal.yaml'), 'utf8');
    expect((await person.run(['up', '-f', '-'], { stdin, env: ASKED })).code).toBe(2);
    expect(existsSync(file('ran.txt'))).toBe(false);
  });

  it.each<
    [string, (at: { write: (text: string) => Promise<void>; file: (name: string) => string }) => unknown]
  >([
    ['the file', ({ write }) => write(marked(`'touch stolen; "${process.execPath}" server.mjs'`))],
    ['its variables', ({ write }) => write(marked(COMMAND, ', NODE_OPTIONS: "--import ./evil.mjs"'))],
    [
      'the overlay',
      ({ file }) =>
        writeFile(file('portal.local.yaml'), "services: { web: { command: 'touch stolen; sleep 60' } }\n"),
    ],
    ['the .env', ({ file }) => writeFile(file('.env'), 'OPTIONS=--import ./evil.mjs\n')],
  ])(
    'does not run after %s changed: the allowed one keeps running until `portal allow`',
    async (_what, change) => {
      const at = await project(marked(COMMAND, ', NODE_OPTIONS: "${OPTIONS:-}"'));
      const { person, file } = at;
      await writeFile(
        file('evil.mjs'),
        "import { writeFileSync } from 'node:fs'; writeFileSync('stolen', '');",
      );
      expect((await person.run(['allow'], { env: ASKED })).code).toBe(0);
      const { agent, get } = await up(person, ASKED);
      const { pid } = await get('web');
      await change(at);
      const rejected = await agent.event('rejected');
      expect(rejected['errors']).toMatchObject([{ code: 'config_not_allowed' }]);
      expect((await get('web')).pid).toBe(pid);
      expect(existsSync(file('stolen'))).toBe(false);
      agent.kill('SIGTERM');
      await agent.finished;
      expect((await person.run(['up'], { env: ASKED })).code).toBe(2);
      expect(existsSync(file('stolen'))).toBe(false);
      expect((await person.run(['allow'], { env: ASKED })).code).toBe(0);
      const again = person.start(['up', '--json'], { env: ASKED });
      await eventually(() => expect(existsSync(file('stolen'))).toBe(true));
      again.kill('SIGTERM');
      await again.finished;
    },
  );
});
