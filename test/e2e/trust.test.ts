import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, type TestContext } from 'vitest';
import { browserPage } from '../support/browser.js';
import { programFor, type Program } from '../support/debian.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person } from './cli-support.js';

/** `portal trust` with real stores: a browser's in a separate HOME, the system's in a mount namespace. */

const run = promisify(execFile);
const PAGE = '<title>site</title>';

interface Store {
  readonly store: string;
  readonly path: string;
  readonly trusted: boolean | null;
  readonly action?: string;
}

async function needs(context: TestContext, ...programs: Program[]): Promise<void> {
  for (const program of programs) await programFor(context, program);
}

/** `portal trust --json` with a separate HOME. */
async function trustIn(person: Person, name: string) {
  const home = join(person.folder, name);
  await mkdir(home);
  const env = { HOME: home, XDG_DATA_HOME: '', XDG_CONFIG_HOME: '' };
  return {
    home,
    /** The findings of `portal doctor` about the stores of browsers: level and path. */
    doctor: async (): Promise<string[]> => {
      const { stdout } = await person.run(['doctor', '--json'], { env });
      return jsonLines(stdout)
        .filter(({ check, message }) => check === 'localCa.trusted' && String(message).includes(home))
        .map(
          ({ level, message }) =>
            `${String(level)}: ${/\((.*)\)/.exec(String(message))![1]!.slice(home.length + 1)}`,
        );
    },
    trust: async (...args: string[]): Promise<{ code: number | null; stores: Store[] }> => {
      const done = await person.run(['trust', '--json', '--store', 'chromium,firefox', ...args], { env });
      return { code: done.code, stores: jsonLines(done.stdout)[0]!['stores'] as Store[] };
    },
  };
}

async function database(folder: string, ...password: string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run('certutil', [
    '-N',
    '-d',
    `sql:${folder}`,
    ...(password.length > 0 ? password : ['--empty-password']),
  ]);
}

/** The page that a new browser shows, or the name of its error. */
async function open(context: TestContext, url: string, home: string): Promise<string> {
  const { XDG_DATA_HOME: _, XDG_CONFIG_HOME: __, ...rest } = process.env;
  const env = { ...rest, HOME: home } as Record<string, string>;
  const page = await browserPage(context, { ignoreHTTPSErrors: false, env });
  return page.goto(url).then(
    () => page.title(),
    (error: Error) => /net::(\w+)/.exec(error.message)?.[1] ?? error.message,
  );
}

const DISTRUSTED = 'ERR_CERT_AUTHORITY_INVALID';

it('makes Chromium trust the local CA, and distrust it again', { timeout: 240_000 }, async (context) => {
  await needs(context, 'certutil', 'chromium');
  const person = await Person.create();
  const { port } = await httpService((_, response) =>
    response.setHeader('content-type', 'text/html').end(PAGE),
  );
  const yaml = `version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: ${port} }\n`;
  await writeFile(join(person.folder, 'portal.yaml'), yaml);
  const { services } = await person.start(['up', '--json']).event('ready');
  const url = (services as { web: { urls: string[] } }).web.urls[0]!;

  for (const [name, existing] of [
    ['no database', []],
    ['XDG', ['.local/share/pki/nssdb']],
    ['both', ['.local/share/pki/nssdb', '.pki/nssdb']],
  ] as const) {
    const { home, trust, doctor } = await trustIn(person, name);
    for (const path of existing) await database(join(home, path));
    const each = (action: string): string[] =>
      existing.length === 0 ? [action] : existing.map(() => action);

    const installed = await trust('--install');
    expect([name, installed.code, installed.stores.map(({ action }) => action)]).toEqual([
      name,
      0,
      each('installed'),
    ]);
    expect([name, await open(context, url, home)]).toEqual([name, 'site']);
    expect((await trust('--install')).stores.map(({ action }) => action)).toEqual(each('unchanged'));

    expect(await doctor()).toEqual(installed.stores.map(({ path }) => `ok: ${path.slice(home.length + 1)}`));

    const removed = await trust('--uninstall');
    expect([name, removed.code, removed.stores.map(({ action }) => action)]).toEqual([
      name,
      0,
      each('removed'),
    ]);
    expect([name, await open(context, url, home)]).toEqual([name, DISTRUSTED]);
    expect(await doctor()).toEqual(
      installed.stores.map(({ path }) => `warning: ${path.slice(home.length + 1)}`),
    );
    expect((await trust('--uninstall')).stores.map(({ action }) => action)).toEqual(each('unchanged'));
  }
});

it('leaves a Firefox profile with a primary password unchanged, changes the others, and exits with 1', async (context) => {
  await needs(context, 'certutil');
  const person = await Person.create();
  const { home, trust } = await trustIn(person, 'me');
  const profiles = join(home, 'snap/firefox/common/.mozilla/firefox');
  await writeFile(join(home, 'password'), 'sesame\n');
  await database(join(profiles, 'locked'), '-f', join(home, 'password'));
  await database(join(profiles, 'open'));
  const { code, stores } = await trust('--install');
  expect(code).toBe(1);
  const firefox = stores.filter(({ store }) => store === 'firefox');
  expect(firefox).toEqual([
    expect.objectContaining({ path: join(profiles, 'locked'), action: 'failed', trusted: false }),
    expect.objectContaining({ path: join(profiles, 'open'), action: 'installed', trusted: true }),
  ]);
  const { stdout } = await run('certutil', ['-L', '-d', `sql:${join(profiles, 'locked')}`]);
  expect(stdout).not.toContain('Portal');
});

it('makes the system trust the local CA, and distrust it again', async (context) => {
  await needs(context, 'unshare', 'update-ca-certificates', 'openssl');
  if (process.getuid?.() !== 0) context.skip('only root can change the store of the system');
  const person = await Person.create();
  // Copies over the real folders: nothing outside the namespace changes.
  const script = `set -e
    mount --make-rprivate / && mkdir "$1/certs" "$1/anchors" "$1/hooks"
    cp -a /etc/ssl/certs/. "$1/certs" && mkdir -p /usr/local/share/ca-certificates /etc/ca-certificates/update.d
    mount --bind "$1/certs" /etc/ssl/certs
    mount --bind "$1/anchors" /usr/local/share/ca-certificates
    mount --bind "$1/hooks" /etc/ca-certificates/update.d
    shift; exec "$@"`;
  const outside = await readdir('/usr/local/share/ca-certificates').catch(() => []);
  const check = `openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt "$PORTAL_HOME/ca/ca.pem" >/dev/null 2>&1 && echo '{"ok":true}' || echo '{"ok":false}'`;
  const trust = '"$@" trust --json --store system';
  const [install, uninstall] = [`${trust} --install`, `${trust} --uninstall`];
  const steps = [trust, install, check, install, uninstall, check, uninstall];
  const done = await person.start([], {
    within: ['unshare', '-m', 'sh', '-c', script, 'sh', person.folder, 'sh', '-c', steps.join('\n'), 'sh'],
  }).finished;
  if (/unshare|mount: /.test(done.stderr)) context.skip(`no mount namespace: ${done.stderr.trim()}`);
  const lines = jsonLines(done.stdout) as unknown as { ok?: boolean; stores?: Store[] }[];
  expect(lines.map(({ ok, stores }) => ok ?? [stores![0]!.action, stores![0]!.trusted])).toEqual([
    [undefined, false],
    ['installed', true],
    true,
    ['unchanged', true],
    ['removed', false],
    false,
    ['unchanged', false],
  ]);
  expect(await readdir('/usr/local/share/ca-certificates').catch(() => [])).toEqual(outside);
});

it('advises no installation after a removal', async () => {
  const person = await Person.create();
  const env = { HOME: person.folder, XDG_DATA_HOME: '', XDG_CONFIG_HOME: '', PATH: '' };
  const removed = await person.run(['trust', '--uninstall', '--store', 'firefox'], { env });
  expect(removed.stderr).not.toContain('--install');
  expect(removed.stderr).not.toContain('NODE_EXTRA_CA_CERTS');
});

it.each([
  ['firefox', 'No Firefox profile found.'],
  ['chromium', 'No Chromium database found.'],
])('reports that there is no store of %s', async (store, note) => {
  const person = await Person.create();
  const env = { HOME: person.folder, XDG_DATA_HOME: '', XDG_CONFIG_HOME: '', PATH: '' };
  const { code, stderr } = await person.run(['trust', '--install', '--store', store], { env });
  expect(code).toBe(1);
  expect(stderr).toContain(note);
});

it('says once that it created the CA', async () => {
  const person = await Person.create();
  const first = await person.run(['trust', '--store', 'firefox']);
  expect(first.stderr).toMatch(/^created a local CA\n/);
  const second = await person.run(['trust', '--store', 'firefox']);
  expect([second.stdout, second.stderr.includes('created')]).toEqual([first.stdout, false]);
});
