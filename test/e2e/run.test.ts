/** `portal env` and `portal run`: the variables of services for other programs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { jsonLines, Person, PROCESSES } from './cli-support.js';

const ASKED = { PORTAL_ALLOW: '' };

async function project(services: string, port = 8443) {
  const person = await Person.create(PROCESSES);
  await writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nrelays: { embedded: { port: ${port} } }\nservices:\n${services}\n`,
  );
  return person;
}

/** Arguments that run JavaScript. */
const script = (text: string): string[] => ['--', process.execPath, '-e', text];

const PRINT = script(
  'for (const [name, value] of Object.entries(process.env)) if (/^(PORT|__VITE)|^GREETING/.test(name)) console.log(`${name}=${value}`)',
);

describe('portal env', () => {
  it('prints the URL of every service before anything runs, and more for one of them', async () => {
    const person = await project(
      '  web: 3000\n  my-api: { target: 3001, name: "${user}-api" }\n  db: { mode: tcp, target: 5432 }',
    );
    const env = { PORTAL_USER: 'zoe' };
    const all = await person.run(['env'], { env });
    expect(all).toMatchObject({
      code: 0,
      stdout: 'PORTAL_URL_WEB=https://web.localhost:8443\nPORTAL_URL_MY_API=https://zoe-api.localhost:8443\n',
    });
    const web = await person.run(['env', 'web', '--json'], { env });
    expect(jsonLines(web.stdout)).toMatchObject([
      {
        event: 'env',
        variables: {
          PORTAL_URL: 'https://web.localhost:8443',
          PORTAL_URL_MY_API: 'https://zoe-api.localhost:8443',
          PORT: '3000',
          __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: 'web.localhost',
        },
      },
    ]);
    expect(await person.run(['env', 'wbe'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('the configuration has no service "wbe"') as string,
    });
  });

  it('knows the ports of the running agent', async () => {
    const person = await project(
      `  web: { command: 'exec "${process.execPath}" -e "require(\\"http\\").createServer().listen(process.env.PORT)"' }`,
      0,
    );
    expect((await person.run(['env'])).stdout).toBe('');
    const agent = person.start(['up', '--json']);
    const ready = await agent.event('ready');
    const [url] = (ready['services'] as { web: { urls: string[] } }).web.urls;
    const { stdout } = await person.run(['env', 'web']);
    expect(stdout).toContain(`PORTAL_URL=${url}\n`);
    expect(stdout).toMatch(/^PORT=\d+$/m);
    agent.kill('SIGTERM');
    await agent.finished;
  });

  it('prints the variables of a command only after it was allowed', async () => {
    const person = await project('  web: { command: x, env: { GREETING: "it\'s me" } }');
    const asked = await person.run(['env', 'web'], { env: ASKED });
    expect(asked).toMatchObject({ code: 2, stdout: '' });
    expect(asked.stderr).toContain('not allowed yet to\n  run x (web, with GREETING)');
    expect((await person.run(['run', '-s', 'web', ...PRINT], { env: ASKED })).stdout).toBe('');
    await person.run(['allow'], { env: ASKED });
    expect((await person.run(['env', 'web'], { env: ASKED })).stdout).toContain("GREETING='it'\\''s me'\n");
  });
});

describe('portal run', () => {
  it('runs a program with the variables, its input and its output', async () => {
    const person = await project('  web: 3000');
    const { stdout, code } = await person.run(['run', '--service', 'web', ...PRINT]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(['PORTAL_URL=https://web.localhost:8443', 'PORT=3000']),
    );
    const echo = await person.run(['run', ...script('process.stdin.pipe(process.stdout)')], {
      stdin: 'typed',
    });
    expect(echo).toMatchObject({ code: 0, stdout: 'typed', stderr: '' });
  });

  it.each([0, 1, 42, 255])('exits with the code of the program: %i', async (code) => {
    const person = await project('  web: 3000');
    expect(await person.run(['run', ...script(`process.exit(${code})`)])).toMatchObject({ code });
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('passes %s to the program, and exits with %i if it ends it', async (signal, code) => {
    const person = await project('  web: 3000');
    const wait = 'console.log("up"); setInterval(() => {}, 1000);';
    const ended = person.start(['run', ...script(wait)]);
    await started(ended);
    ended.kill(signal);
    expect(await ended.finished).toMatchObject({ code, signal: null });
    const handled = person.start([
      'run',
      ...script(`process.on("${signal}", () => { console.log("got it"); process.exit(5) }); ${wait}`),
    ]);
    await started(handled);
    handled.kill(signal);
    expect(await handled.finished).toMatchObject({ code: 5, stdout: 'up\ngot it\n' });
  });

  it('explains a program that does not exist', async () => {
    const person = await project('  web: 3000');
    expect(await person.run(['run', '--', 'no-such-program'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot run "no-such-program": it is not on the PATH') as string,
    });
    expect(await person.run(['run', 'ls', '-l'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Write -- before the program: portal run -- npm test') as string,
    });
    expect(await person.run(['run'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('<program> is missing') as string,
    });
  });
});

/** Resolves once the program has printed something. */
async function started(running: { readonly stdout: string }): Promise<void> {
  await expect.poll(() => running.stdout).toContain('up');
}
