import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changeStore, inspectStore, type Change } from './change.js';
import type { Machine } from './machine.js';
import { commandText, type CommandLine, type ProgramResult } from '../programs.js';
import { certutilPackage } from './nss.js';
import type { TrustStore } from './store.js';
import { trustStores } from './stores.js';

const PEM = '-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n';
const NAME = 'Portal local CA 1a2b3c4d';

let folder: string;
let ran: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portal-trust-'));
  ran = [];
});
afterEach(() => rm(folder, { recursive: true }));

const at = (path: string): string => join(folder, path);
const home = (path: string): string => at(join('home', path));

async function write(path: string, text = ''): Promise<void> {
  await mkdir(dirname(at(path)), { recursive: true });
  await writeFile(at(path), text);
}

type Answer = (command: CommandLine) => Partial<ProgramResult> | undefined | Promise<undefined>;

/** A machine whose files are all in `folder`. `answer` replaces its programs. */
function machine(
  options: Partial<Machine> & { programs?: readonly string[]; answer?: Answer } = {},
): Machine {
  const { programs = ['certutil'], answer = () => undefined, ...own } = options;
  return {
    platform: 'linux',
    home: at('home'),
    configHome: home('.config'),
    dataHome: home('.local/share'),
    uid: process.getuid!(),
    root: folder,
    which: (program) => (programs.includes(program) ? `/usr/bin/${program}` : undefined),
    run: async (command) => {
      ran.push(commandText(command));
      return { ok: true, stdout: '', why: '', ...(await answer(command)) };
    },
    ...own,
  };
}

const stores = (on: Machine): TrustStore[] =>
  trustStores(on, { file: at('ca.pem'), pem: PEM, name: NAME, thumbprint: 'AB12' });
const paths = (on: Machine): string[] => stores(on).map(({ path }) => path.slice(folder.length + 1));
const only = (on: Machine): TrustStore => {
  const [store, ...others] = stores(on);
  expect(others).toEqual([]);
  return store!;
};
const commands = (store: TrustStore, change: Change): string[] =>
  store.commands[change].map(([program, ...rest]) =>
    commandText([program, ...rest.map((word) => word.replaceAll(`${folder}/`, '/'))]),
  );

describe('the store of the system', () => {
  const distributions: [name: string, folder: string, bundle: string, refresh: string, removed: string][] = [
    ['Debian', 'usr/local/share/ca-certificates', 'etc/ssl/certs/ca-certificates.crt', 'update-ca-certificates', 'update-ca-certificates --fresh'],
    ['Fedora', 'etc/pki/ca-trust/source/anchors', 'etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', 'update-ca-trust', 'update-ca-trust'],
    ['Arch', 'etc/ca-certificates/trust-source/anchors', 'etc/ca-certificates/extracted/tls-ca-bundle.pem', 'update-ca-trust', 'update-ca-trust'],
    ['openSUSE', 'etc/pki/trust/anchors', 'var/lib/ca-certificates/ca-bundle.pem', 'update-ca-certificates', 'update-ca-certificates'],
  ]; // prettier-ignore

  test.each(distributions)(
    'of %s is changed by root, and verified in the bundle',
    async (_, anchors, bundle, refresh, removed) => {
      await mkdir(at(anchors), { recursive: true });
      await write('ca.pem', PEM);
      // Puts every anchor into the bundle, as these programs do.
      const update = async (): Promise<undefined> => {
        const names = await readdir(at(anchors));
        const text = await Promise.all(names.map((name) => readFile(join(at(anchors), name), 'utf8')));
        await write(bundle, `another\n${text.join('')}`);
      };
      const on = machine({ uid: 0, answer: update });
      const store = only(on);
      expect(await inspectStore(store)).toMatchObject({ state: { trusted: false, present: false } });
      expect(await changeStore(store, 'install')).toMatchObject({ outcome: 'installed' });
      expect(await changeStore(store, 'install')).toMatchObject({ outcome: 'unchanged' });
      expect(await changeStore(store, 'uninstall')).toMatchObject({
        outcome: 'removed',
        state: { trusted: false },
      });
      expect(await changeStore(store, 'uninstall')).toMatchObject({ outcome: 'unchanged' });
      expect(ran).toEqual([refresh, removed]);
      expect(commands(store, 'install')).toEqual([
        `install -m 644 /ca.pem /${anchors}/portal-local-ca-1a2b3c4d.crt`,
        refresh,
      ]);
    },
  );

  test('is skipped without root, and the commands to run are shown', async () => {
    await mkdir(at('usr/local/share/ca-certificates'), { recursive: true });
    const store = only(machine({ uid: 1000 }));
    expect(await changeStore(store, 'install')).toMatchObject({
      outcome: 'skipped',
      message: 'it needs root',
    });
    expect(ran).toEqual([]);
    expect(commands(store, 'install')).toEqual([
      'sudo install -m 644 /ca.pem /usr/local/share/ca-certificates/portal-local-ca-1a2b3c4d.crt',
      'sudo update-ca-certificates',
    ]);
    expect(commands(store, 'uninstall')).toEqual([
      'sudo rm -f /usr/local/share/ca-certificates/portal-local-ca-1a2b3c4d.crt',
      'sudo update-ca-certificates --fresh',
    ]);
  });

  test('counts as failed if the update leaves it without the CA', async () => {
    await mkdir(at('usr/local/share/ca-certificates'), { recursive: true });
    await write('ca.pem', PEM);
    const store = only(machine({ uid: 0 }));
    expect(await changeStore(store, 'install')).toMatchObject({
      outcome: 'failed',
      message: 'the store still does not trust it',
    });
    const broken = only(machine({ uid: 0, answer: () => ({ ok: false, why: 'no space left' }) }));
    expect(await changeStore(broken, 'install')).toMatchObject({
      outcome: 'failed',
      message: '"update-ca-certificates" failed: no space left',
    });
  });

  test('of macOS and Windows', async () => {
    const mac = only(machine({ platform: 'darwin' }));
    expect(commands(mac, 'install')[0]).toMatch(/^security add-trusted-cert .* \/ca\.pem$/);
    expect(commands(mac, 'uninstall').at(-1)).toContain('AB12');
    const windows = only(machine({ platform: 'win32' }));
    expect(commands(windows, 'install')).toEqual(['certutil -user -addstore Root /ca.pem']);
    expect(commands(windows, 'uninstall')).toEqual(['certutil -user -delstore Root AB12']);
  });
});

describe('the databases of browsers', () => {
  test('are found in the folders of the system, snap and flatpak', async () => {
    await mkdir(home('.pki/nssdb'), { recursive: true });
    await mkdir(home('.local/share/pki/nssdb'), { recursive: true });
    await mkdir(home('snap/chromium/12/.pki/nssdb'), { recursive: true });
    await symlink('12', home('snap/chromium/current'));
    await mkdir(home('.var/app/org.chromium.Chromium/data/pki/nssdb'), { recursive: true });
    await write(
      'home/.mozilla/firefox/profiles.ini',
      `[Profile0]\nPath=a.default\n[Profile1]\nPath=${at('else where')}\r\n`,
    );
    for (const profile of [
      'home/.mozilla/firefox/a.default',
      'else where',
      'home/.config/mozilla/firefox/b.default',
      'home/snap/firefox/common/.mozilla/firefox/c.default',
      'home/.var/app/org.mozilla.firefox/.mozilla/firefox/d.default',
      'home/.var/app/org.mozilla.firefox/config/mozilla/firefox/e.default',
    ])
      await write(`${profile}/cert9.db`);
    await write('home/.mozilla/firefox/Crash Reports/log');
    expect(paths(machine())).toEqual([
      'home/.pki/nssdb',
      'home/.local/share/pki/nssdb',
      'home/snap/chromium/current/.pki/nssdb',
      'home/.var/app/org.chromium.Chromium/data/pki/nssdb',
      'home/.mozilla/firefox/a.default',
      'else where',
      'home/.config/mozilla/firefox/b.default',
      'home/snap/firefox/common/.mozilla/firefox/c.default',
      'home/.var/app/org.mozilla.firefox/.mozilla/firefox/d.default',
      'home/.var/app/org.mozilla.firefox/config/mozilla/firefox/e.default',
    ]);
    expect(paths(machine({ dataHome: at('data') }))).not.toContain('home/.local/share/pki/nssdb');
  });

  test('are created for a Chromium that has none', async () => {
    await mkdir(home('snap/chromium/current'), { recursive: true });
    const missing = stores(machine({ programs: ['certutil', 'google-chrome'] }));
    expect(missing.map(({ path, exists }) => [path, exists])).toEqual([
      [home('.pki/nssdb'), false],
      [home('snap/chromium/current/.pki/nssdb'), false],
    ]);
    expect(paths(machine())).toEqual(['home/snap/chromium/current/.pki/nssdb']);
    // A second folder would hide the first from newer versions.
    await mkdir(home('.local/share/pki/nssdb'), { recursive: true });
    expect(paths(machine({ programs: ['chromium'] }))[0]).toBe('home/.local/share/pki/nssdb');
  });

  test('of another user are left unchanged', async () => {
    await write('home/.pki/nssdb/cert9.db');
    const store = only(machine({ uid: process.getuid!() + 1 }));
    expect(await changeStore(store, 'install')).toMatchObject({
      outcome: 'skipped',
      message: 'it belongs to another user',
    });
    expect(ran.filter((line) => / -[AD] /.test(line))).toEqual([]);
  });

  test.each([
    ['debian', 'ID=debian', 'sudo apt install libnss3-tools'],
    ['a relative of it', 'ID=linuxmint\nID_LIKE="ubuntu debian"', 'sudo apt install libnss3-tools'],
    ['Fedora', 'ID=fedora', 'sudo dnf install nss-tools'],
    ['Rocky', "ID='rocky'\nID_LIKE='rhel centos fedora'", 'sudo dnf install nss-tools'],
    [
      'openSUSE',
      'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"',
      'sudo zypper install mozilla-nss-tools',
    ],
    ['Arch', 'ID=arch', 'sudo pacman -S nss'],
    ['another', 'ID=plan9', 'the package is libnss3-tools, nss-tools, mozilla-nss-tools or nss'],
  ])('without certutil name its package on %s', async (_, release, install) => {
    await write('etc/os-release', `NAME=x\n${release}\n`);
    await write('home/.pki/nssdb/cert9.db');
    const on = machine({ programs: [], uid: 1000 });
    expect(certutilPackage(on)).toBe(install);
    const store = only(on);
    const missing = { message: 'certutil is not installed', hint: expect.stringContaining(install) };
    expect(await inspectStore(store)).toMatchObject({ state: { trusted: undefined }, ...missing });
    expect(await changeStore(store, 'install')).toMatchObject({ outcome: 'failed', ...missing });
    expect(await changeStore(store, 'uninstall')).toMatchObject({ outcome: 'failed', ...missing });
  });

  test('that do not exist yet are skipped without certutil', async () => {
    const [store] = stores(machine({ programs: ['chromium'] }));
    expect(await changeStore(store!, 'install')).toMatchObject({
      outcome: 'skipped',
      message: 'certutil is not installed',
    });
    expect(await changeStore(store!, 'uninstall')).toMatchObject({ outcome: 'unchanged' });
  });

  test('need no sudo for root', async () => {
    await write('etc/os-release', 'ID=debian\n');
    expect(certutilPackage(machine({ uid: 0 }))).toBe('apt install libnss3-tools');
  });

  test('trust a certificate under the browser’s name for it, and only with the CA flag', async () => {
    await write('home/.pki/nssdb/cert9.db');
    const listed = (flags: string, pem = PEM) =>
      machine({
        answer: (command) =>
          command.includes('-a')
            ? { stdout: pem }
            : { stdout: `Certificate Nickname\n\nAnother CA  CT,C,C\n${NAME} - Portal   ${flags}\n` },
      });
    expect(await only(listed('C,,')).inspect()).toMatchObject({ trusted: true, present: true });
    expect(await only(listed('CT,C,')).inspect()).toMatchObject({ trusted: true });
    expect(await only(listed(',,')).inspect()).toMatchObject({ trusted: false, present: true });
    expect(await only(listed('C,,', PEM.replace('QUJD', 'WFla'))).inspect()).toMatchObject({
      trusted: false,
      present: true,
    });
    await only(listed('C,,')).uninstall();
    expect(ran.at(-1)).toContain(`-D -n '${NAME} - Portal'`);
  });
});
