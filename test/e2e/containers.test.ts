import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { shellQuote } from '../../src/lib/shell-quote.js';
import { programFor } from '../support/debian.js';
import { asOtherUser, OTHER_UID } from '../support/other-user.js';
import { freePort } from '../support/ports.js';
import { jsonLines, Person, type Running } from './cli-support.js';

/** Properties of containers: a user id without an account, PID 1, a read-only root, a volume that root owns. */

const WITHOUT_HOME = ['env', '-u', 'HOME', '-u', 'XDG_RUNTIME_DIR', '-u', 'USER', '-u', 'USERNAME'];
/** Unmounts nothing of the host: the mounts end with the namespace. */
const READ_ONLY = `mount --make-rprivate / && mount --bind "$PORTAL_HOME" "$PORTAL_HOME" || exit 90
  mount -o remount,bind,ro / || exit 90
  touch "$0" 2>/dev/null && exit 90
  exec "$@"`;

/** A folder that every user can read, with a configuration and a volume. */
async function container(context: TestContext) {
  const user = await asOtherUser(context);
  const person = await Person.create();
  await chmod(person.folder, 0o755);
  await writeFile(
    join(person.folder, 'portal.yaml'),
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: { name: "web-${user}", target: 3000 } }\n',
  );
  await mkdir(person.home);
  return { person, within: [...user, ...WITHOUT_HOME] };
}

const ready = (person: Person, within: readonly string[] = []): Running =>
  person.start(['status', '--wait-ready', '--timeout', '60s', '--json'], { within });

describe('a user id without an account and without HOME', () => {
  it('publishes, responds to status and stops', async (context) => {
    const { person, within } = await container(context);
    await chown(person.home, OTHER_UID, OTHER_UID);
    const up = person.start(['up', '--json'], { within });
    const { code, stdout } = await ready(person, within).finished;
    expect([code, jsonLines(stdout)[0]!['services']]).toEqual([
      0,
      {
        web: {
          urls: [expect.stringMatching(/^https:\/\/web-user-[0-9a-f]{4}\.localhost:/)],
          tcp: [],
          udp: [],
          servedAs: expect.any(String),
        },
      },
    ]);
    up.kill('SIGTERM');
    expect((await up.finished).code).toBe(0);
  });

  it('keeps its sockets elsewhere if the path of the volume is too long', async (context) => {
    const { person, within } = await container(context);
    const long = join(person.home, 'x'.repeat(100));
    await mkdir(long);
    await chown(long, OTHER_UID, OTHER_UID);
    const temporary = join(person.folder, 'tmp');
    await mkdir(temporary, { mode: 0o1777 });
    await chmod(temporary, 0o1777);
    const there = [...within, `PORTAL_HOME=${long}`, `TMPDIR=${temporary}`];
    const up = person.start(['up', '--json'], { within: there });
    expect((await ready(person, there).finished).code).toBe(0);
    expect(await readdir(temporary)).toContain(`portal-${OTHER_UID}`);
    up.kill('SIGTERM');
    expect((await up.finished).code).toBe(0);
  });

  it('gets an error that names the volume’s owner and the fix', async (context) => {
    const { person, within } = await container(context);
    const { code, stderr } = await person.start(['up'], { within }).finished;
    expect(code).toBe(1);
    expect(stderr).toContain(`${person.home} belongs to user 0, and Portal runs as user ${OTHER_UID}`);
    expect(stderr).toContain(`chown -R ${OTHER_UID} ${shellQuote(person.home)}`);
  });

  it.for([
    ['up', ['up']],
    ['up --detach', ['up', '--detach']],
    ['expose', ['expose', '3000']],
    ['trust', ['trust']],
  ] as const)('gets an error that it has no home, by %s', async ([, args], context) => {
    const { person, within } = await container(context);
    const { code, stderr } = await person.start(args, { within: [...within, '-u', 'PORTAL_HOME'] }).finished;
    expect(code).toBe(1);
    expect(stderr).toContain(`HOME is not set and user ${OTHER_UID} has no home folder`);
    expect(stderr).toContain('Set PORTAL_HOME to a folder this user can write');
    expect(stderr).not.toContain('chown');
  });

  it.for([
    ['the folder of homes', 'HOME=/home', 'home'],
    ['/', 'HOME=/', ''],
    ['a folder of the system', 'HOME=/etc', 'etc'],
    ['an XDG folder of root', 'XDG_CONFIG_HOME=/etc', 'etc'],
    ['a PORTAL_HOME that does not exist yet', 'PORTAL_HOME=/etc/portal-none', 'etc'],
  ] as const)(
    'does not suggest to take over a folder of another program: %s',
    async ([, setting, folder], context) => {
      const { person, within } = await container(context);
      const there = [...within, '-u', 'PORTAL_HOME', 'HOME=/root', setting];
      const { code, stderr } = await person.start(['up'], { within: there }).finished;
      expect(code).toBe(1);
      expect(stderr).toContain(`User ${OTHER_UID} cannot write to /${folder}.`);
      expect(stderr).toContain('PORTAL_HOME to a folder this user can write');
      expect(stderr).not.toContain('chown');
    },
  );

  it('gets an error about an identity of another user', async (context) => {
    const { person, within } = await container(context);
    await writeFile(join(person.home, 'identity.json'), '{}', { mode: 0o600 });
    const { code, stderr } = await person.start(['up'], { within }).finished;
    expect(code).toBe(2);
    expect(stderr).toContain(`user ${OTHER_UID} cannot read ${join(person.home, 'identity.json')}`);
    expect(stderr).toContain("PORTAL_HOME to this user's own folder");
  });

  it('gets an error about a data folder of root, from a relay', async (context) => {
    const { person, within } = await container(context);
    const folder = join(person.folder, 'data');
    await mkdir(folder);
    await mkdir(join(person.folder, 'ca'));
    await chown(join(person.folder, 'ca'), OTHER_UID, OTHER_UID);
    const there = [...within, `PORTAL_HOME=${join(person.folder, 'ca')}`];
    const relay = person.start(['relay', '--listen', '0', '--data-dir', folder], { within: there });
    const { code, stderr } = await relay.finished;
    expect(code).toBe(1);
    const run = `chown -R ${OTHER_UID} ${shellQuote(folder)}`;
    expect(stderr).toContain(`Run: ${run}, or choose another folder with --data-dir`);
  });

  it('validates without a folder', async (context) => {
    const { person, within } = await container(context);
    const there = [...within, '-u', 'PORTAL_HOME'];
    expect((await person.start(['validate'], { within: there }).finished).code).toBe(0);
  });
});

it('as PID 1 on a read-only root stops on SIGTERM, and leaves no zombies', async (context) => {
  await programFor(context, 'unshare');
  const { person, within: user } = await container(context);
  await chown(person.home, OTHER_UID, OTHER_UID);
  const script = join(person.folder, 'script');
  await writeFile(script, '');
  const within = ['unshare', '-m', '-p', '-f', '--mount-proc', 'sh', '-c', READ_ONLY, script, ...user];
  const up = person.start(['up', '--json'], { within });
  const started = await Promise.race([up.event('started'), up.finished]);
  if (!('event' in started)) {
    if (started.code === 90 || /unshare|mount/.test(started.stderr))
      context.skip(`no namespaces: ${started.stderr}`);
    throw new Error(started.stderr);
  }
  expect(started['pid']).toBe(1);
  const inside = await children(up.pid);
  expect(inside).toHaveLength(1);
  // A health check of the container runs inside it.
  const enter = ['nsenter', '-t', String(inside[0]), '-m', '-p', ...user];
  for (let check = 0; check < 3; check++) expect((await ready(person, enter).finished).code).toBe(0);
  expect(await children(inside[0]!)).toEqual([]);
  process.kill(inside[0]!, 'SIGTERM');
  const { code, stdout } = await up.finished;
  expect([code, jsonLines(stdout).at(-1)]).toMatchObject([0, { event: 'stopped', reason: 'SIGTERM' }]);
});

async function children(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

describe('portal status --wait-ready', () => {
  it('waits for an agent that starts, and for its services', async () => {
    const person = await Person.create();
    await writeFile(
      join(person.folder, 'portal.yaml'),
      'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: 3000, api: 3001 }\n',
    );
    const none = await person.run(['status', '--wait-ready', '--timeout', '0', '--json']);
    expect([none.code, jsonLines(none.stdout)[0]]).toMatchObject([
      1,
      { event: 'error', code: 'not_running' },
    ]);
    const waiting = ready(person);
    const up = person.start(['up', '--json']);
    const { code, stdout } = await waiting.finished;
    expect([code, jsonLines(stdout)[0]]).toMatchObject([0, { event: 'ready' }]);
    expect(Object.keys(jsonLines(stdout)[0]!['services'] as object)).toEqual(['web', 'api']);
    const text = await person.run(['status', '--wait-ready', '--timeout', '0']);
    expect(text.stdout).toMatch(/^web +https:\/\/web\.localhost:\d+\napi +https:\/\/api\.localhost:\d+\n$/);
    up.kill('SIGTERM');
    await up.finished;
  });

  it('with --targets, waits for the target of each service', async () => {
    const person = await Person.create();
    const port = await freePort();
    await writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: ${port} }\n`,
    );
    const up = person.start(['up', '--json']);
    await up.event('ready');
    const wait = ['status', '--wait-ready', '--timeout'];
    expect(await person.run([...wait, '0'])).toMatchObject({ code: 0 });
    const down = await person.run([...wait, '0', '--targets']);
    expect(down).toMatchObject({ code: 1 });
    expect(down.stderr).toContain(`target down: web (nothing listens on port ${port}`);
    const waiting = person.start([...wait, '30s', '--targets']);
    const server = createServer((_request, response) => response.end('hello'));
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    expect(await waiting.finished).toMatchObject({ code: 0 });
    up.kill('SIGTERM');
    await up.finished;
  });

  it('names the services that are not ready in time, and why', async () => {
    const person = await Person.create();
    await writeFile(
      join(person.folder, 'portal.yaml'),
      'version: 1\nrelays: { urls: ["https://127.0.0.1:1"] }\nservices: { web: 3000 }\n',
    );
    const up = person.start(['up', '--json']);
    await up.event('lease', ({ phase }) => phase === 'retrying');
    await up.event('applied');
    const { code, stdout } = await person.run(['status', '--wait-ready', '--timeout', '1s', '--json']);
    expect([code, jsonLines(stdout)[0]]).toMatchObject([1, { event: 'error', code: 'timeout' }]);
    expect(jsonLines(stdout)[0]!['message']).toMatch(/^not ready: web \(retrying: .*\), after 1 s$/);
  });
});
