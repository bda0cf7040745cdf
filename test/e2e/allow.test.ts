import { mkdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import { sha256Of } from '../../src/lib/confined.js';
import { caFolder } from '../support/ca-pool.js';
import { eventually } from '../support/eventually.js';
import { handedOver, httpService, relay } from '../support/world.js';
import { Person, PROCESSES } from './cli-support.js';

/** What a portal.yaml from elsewhere may do: only what its user allowed. */

const ASKED = { PORTAL_ALLOW: '' };

async function cloned(text: (url: string, ca: string) => string, program?: readonly string[]) {
  const person = await Person.create(program);
  const at = await relay();
  const write = (more = ''): Promise<void> =>
    writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\n${text(at.url, at.ca.certificateFile)}${more}`,
    );
  await write();
  const run = (...args: string[]) => person.run(args, { env: ASKED });
  return { person, at, write, run };
}

const onRelay =
  (port: number) =>
  (url: string, ca: string): string =>
    `relays: { urls: [{ url: "${url}", ca: "${ca}" }] }\nservices:\n  web: ${port}\n`;

/** How `portal allow` names the content of a CA file. */
const shown = ({ certificatePem }: LocalCa) =>
  `(SHA-256 ${sha256Of(Buffer.from(certificatePem)).slice(0, 16)}…)`;

describe('a portal.yaml that was never allowed', () => {
  it.each([
    ['up', ['up']],
    ['up --detach', ['up', '--detach']],
    ['up --wait', ['up', '--wait']],
  ])('publishes nothing by `%s` without a terminal', async (_name, args) => {
    const { at, run } = await cloned(onRelay(1));
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(`portal.yaml is not allowed yet to\n  publish at ${at.url}`);
    expect(stderr).toContain('portal allow');
    expect(at.counts().sessions).toBe(0);
    expect(at.stats().sessionsOpened).toBe(0);
  });

  it('is shown by plan and validate, which ask nothing', async () => {
    const { at, run } = await cloned(onRelay(1));
    const validated = await run('validate');
    expect(validated).toMatchObject({ code: 0 });
    expect(validated.stderr).toContain(`not allowed yet (portal allow):\n  publish at ${at.url}`);
    expect((await run('plan')).stderr).toContain(`publish at ${at.url}`);
    const [line] = (await run('validate', '--json')).stdout.split('\n');
    expect(JSON.parse(line!)).toMatchObject({
      notAllowed: [`publish at ${at.url}, trusting the CA ${at.ca.certificateFile}`],
    });
  });

  it('signs in at no relay by `portal agents`', async () => {
    const { at, person, run } = await cloned(onRelay(1));
    await person.run(['identity', 'new']);
    const { code, stderr } = await run('agents');
    expect(code).toBe(2);
    expect(stderr).toContain(`not allowed yet to\n  publish at ${at.url}`);
  });

  it('gives no CA, identity or key to a command that names its relay, shows the identity or exports it', async () => {
    const { at, person, write, run } = await cloned(onRelay(1));
    await person.run(['identity', 'new']);
    await write('identity: ../elsewhere.json\n');
    for (const args of [
      ['agents', '--relay', at.url],
      ['agents', 'page', '--relay', at.url],
      ['identity', 'show'],
      ['identity', 'export', '--yes'],
      ['requests'],
    ]) {
      const { code, stderr, stdout } = await run(...args);
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
      expect(stderr).toContain('portal.yaml is not allowed yet to');
    }
    expect((await run('doctor')).stdout).not.toContain('elsewhere.json, ');
  });

  it('reaches no relay, name or target by `portal list` and `portal doctor`', async () => {
    let connections = 0;
    const listener = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void listener.close());
    const { port } = listener.address() as AddressInfo;
    const person = await Person.create();
    await writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\nrelays: { urls: ["https://localhost:${port}"] }\nservices: { web: ${port} }\n`,
    );
    const listed = await person.run(['list'], { env: ASKED });
    expect(listed.code).toBe(2);
    expect(listed.stderr).toContain(`not allowed yet to\n  publish at https://localhost:${port}`);
    const checked = await person.run(['doctor'], { env: ASKED });
    const skipped = '\n  – not checked: run `portal allow` first\n';
    expect(checked.stdout).toContain(`relay https://localhost:${port}${skipped}`);
    expect(checked.stdout).toContain(`service web${skipped}`);
    expect(checked.stdout).toMatch(
      /\n0 problems, 2 warnings, 2 checks skipped\nA skipped check may hide a problem/,
    );
    expect(connections).toBe(0);
    await person.run(['allow'], { env: ASKED });
    await person.run(['doctor'], { env: ASKED });
    expect(connections).toBeGreaterThan(0);
  });

  it('is not installed as a service', async () => {
    const { run } = await cloned(onRelay(1));
    const { code, stderr } = await run('service', 'install');
    expect(code).toBe(2);
    expect(stderr).toContain('not allowed yet');
  });

  it('runs with --yes, and with PORTAL_ALLOW=1', async () => {
    const { port } = await httpService((_request, response) => response.end('hi'));
    const { person } = await cloned(onRelay(port));
    for (const [args, env] of [
      [['--yes'], ASKED],
      [[], { PORTAL_ALLOW: '1' }],
    ] as const) {
      const agent = person.start(['up', '--json', ...args], { env });
      await agent.event('ready');
      agent.kill('SIGTERM');
      expect((await agent.finished).code).toBe(0);
    }
  });

  it('is also rejected from standard input, with the fix', async () => {
    const { person, at } = await cloned(onRelay(1));
    const stdin = `version: 1\nrelays: { urls: ["${at.url}"] }\nservices: { web: 1 }\n`;
    const { code, stderr } = await person.run(['up', '-f', '-'], { stdin, env: ASKED });
    expect(code).toBe(2);
    expect(stderr).toContain('--yes');
  });
});

it('runs after `portal allow`; --list shows it, and --revoke undoes it', async () => {
  const { port } = await httpService((_request, response) => response.end('hi'));
  const { person, at, run } = await cloned(onRelay(port), PROCESSES);
  expect(await run('allow')).toMatchObject({ code: 0, stderr: expect.stringContaining(at.url) as string });
  expect((await run('allow', '--list')).stdout).toContain(`  publish at ${at.url}`);
  const agent = person.start(['up', '--json'], { env: ASKED });
  await agent.event('ready');
  agent.kill('SIGTERM');
  await agent.finished;
  expect(await run('allow', '--revoke')).toMatchObject({ code: 0 });
  expect((await run('allow', '--list')).stdout).toBe('');
  expect((await run('up')).code).toBe(2);
});

it('--list shows the current CA of a relay first, and one that was allowed earlier after it', async () => {
  const person = await Person.create();
  const [first, second] = await Promise.all([openLocalCa(await caFolder()), openLocalCa(await caFolder())]);
  const ca = join(person.folder, 'ca.pem');
  await writeFile(
    join(person.folder, 'portal.yaml'),
    'version: 1\nrelays: { urls: [{ url: https://relay.example.com, ca: ./ca.pem }] }\nservices: { web: { target: 3000, tls: local } }\n',
  );
  for (const { certificatePem } of [first, second]) {
    await writeFile(ca, certificatePem);
    expect((await person.run(['allow'])).code).toBe(0);
  }
  const listed = async () => (await person.run(['allow', '--list'])).stdout.trimEnd().split('\n').slice(1);
  expect(await listed()).toEqual([
    `  publish at https://relay.example.com, trusting the CA ca.pem ${shown(second)}`,
    `  publish at https://relay.example.com, trusting the CA ca.pem ${shown(first)} (allowed earlier)`,
  ]);
});

it('does not apply a save beyond the allowed until `portal allow`, while the rest keeps running', async () => {
  const { port } = await httpService((_request, response) => response.end('hi'));
  const { person, write, run } = await cloned(onRelay(port));
  expect((await run('allow')).stderr).not.toContain('running agent');
  const agent = person.start(['up', '--json'], { env: ASKED });
  await agent.event('ready');
  await write(`  two: ${port}\n`);
  await agent.event('applied', ({ opened }) => (opened as string[]).includes('two'));

  const socket = join(person.folder, '..', 'elsewhere.sock');
  await write(`  three: "unix:${socket}"\n`);
  const rejected = await agent.event('rejected');
  expect(rejected['errors']).toMatchObject([
    { code: 'config_not_allowed', line: 5, message: expect.stringContaining('elsewhere.sock') as string },
  ]);
  expect((await run('status')).stdout).toContain('asks for more than you allowed');
  expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({
    rejected: [{ code: 'config_not_allowed' }],
    leases: expect.arrayContaining([
      expect.objectContaining({ service: 'two', phase: 'ready' }),
    ]) as unknown[],
  });

  const { stderr } = await run('allow');
  expect(stderr).toContain('elsewhere.sock (three) (new)\n');
  expect(stderr).toContain('The running agent applies the file now.');
  await agent.event('applied', ({ opened }) => (opened as string[]).includes('three'));
  expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({ rejected: [] });
  agent.kill('SIGTERM');
  await agent.finished;
});

/** A service on a socket that records connections. */
async function listen(path: string, onSocket: () => void): Promise<void> {
  const server = createServer((socket) => {
    onSocket();
    socket.on('error', () => undefined).end('hi');
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}

it('a symbolic link that changes while it runs leads nowhere else until `portal allow`', async () => {
  let strangers = 0;
  const person = await Person.create();
  const project = join(await realpath(person.folder), 'project');
  await mkdir(project);
  const [inside, outside] = [join(project, 'real.sock'), join(project, '..', 'docker.sock')];
  await listen(inside, () => undefined);
  await listen(outside, () => strangers++);
  const link = join(project, 'app.sock');
  const swapFor = async (target: string): Promise<void> => {
    await symlink(target, `${link}.new`);
    await rename(`${link}.new`, link);
  };
  await swapFor('real.sock');
  const file = join(project, 'portal.yaml');
  const text =
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: { target: "unix:app.sock", mode: tcp } }\n';
  await writeFile(file, text);
  const run = (...args: string[]) => person.run([...args, '-f', file], { env: ASKED });
  const agent = person.start(['up', '--json', '-f', file], { env: ASKED });
  await agent.event('ready');
  const lease = async (): Promise<{ targetError?: string }> => {
    const { stdout } = await run('status', '--json');
    return (JSON.parse(stdout) as { leases: { targetError?: string }[] }).leases[0]!;
  };
  expect((await lease()).targetError).toBeUndefined();

  await swapFor('../docker.sock');
  expect((await lease()).targetError).toBe(
    `${link} leads to ${outside} now, which is not allowed yet (portal allow)`,
  );
  expect(strangers).toBe(0);

  expect((await run('allow')).stderr).toContain(`use ${outside} (web)`);
  await eventually(async () => expect((await lease()).targetError).toBeUndefined());
  expect(strangers).toBeGreaterThan(0);
  agent.kill('SIGTERM');
  await agent.finished;
});

it('needs no answer for the embedded relay and local ports', async () => {
  const { port } = await handedOver();
  const person = await Person.create();
  await writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n  web: ${port}\n`,
  );
  const agent = person.start(['up', '--json'], { env: ASKED });
  await agent.event('lease', ({ phase }) => phase === 'ready');
  agent.kill('SIGTERM');
  expect((await agent.finished).code).toBe(0);
  await rm(join(person.folder, 'portal.yaml'));
});

it('sends no variable that looks like a secret to a relay, allowed or not', async () => {
  const { person, at, write } = await cloned(onRelay(1));
  await write('machine: "${GITHUB_TOKEN:-}"\n');
  const env = { PORTAL_ALLOW: '1', GITHUB_TOKEN: 'ghp-abc123' };
  const { code, stderr, stdout } = await person.run(['up', '--yes'], { env });
  expect(code).toBe(2);
  expect(stderr).toContain('portal.yaml:5:10: the value of GITHUB_TOKEN would be sent to a relay');
  expect(stdout + stderr).not.toContain('ghp-abc123');
  expect(at.stats().sessionsOpened).toBe(0);
});
