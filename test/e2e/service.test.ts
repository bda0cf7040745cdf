import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { programFor } from '../support/debian.js';
import { asOtherUser, OTHER_UID } from '../support/other-user.js';
import { jsonLines, Person } from './cli-support.js';

const MANAGER = fileURLToPath(new URL('../support/user-manager.sh', import.meta.url));
/** Characters with a meaning for systemd, a shell or a URL. */
const NAME = `we ird %h $HOME "q' \\n`;
/** Variables that services take from the shell. */
const WITHOUT_PROXY = Object.fromEntries(
  ['HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [
    [name, ''],
    [name.toLowerCase(), ''],
  ]),
);
const YAML = 'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: 3000 }\n';

it(
  'keeps the agent running across a boot, and uninstalls all its files',
  { timeout: 120_000 },
  async (context) => {
    await asOtherUser(context);
    for (const name of ['systemd-analyze', 'unshare'] as const) await programFor(context, name);
    const person = await Person.create();
    await chmod(person.folder, 0o755);
    const folder = join(person.folder, NAME);
    await mkdir(folder);
    await writeFile(join(folder, 'portal.yaml'), YAML);
    await writeFile(join(person.folder, 'program'), '');
    // $0 is the folder of the configuration, "$@" is `portal`.
    const script = `
    configuration=$1; shift
    cd "$configuration"
    "$@" service install --json
    boot
    "$@" service status --json
    "$@" service install --json
    "$@" status --wait-ready --timeout 60s --json
    "$@" service status --json
    "$@" service install --json
    NO_PROXY=example.com "$@" service install --json
    systemd-analyze verify --user --man=no "$HOME/.config/systemd/user/portal-we-ird-h-home-q-n.service" 2>&1 | sed 's/.*/{"event":"complaint"}/'
    shut_down
    boot
    "$@" status --wait-ready --timeout 60s --json
    "$@" down --json
    "$@" service status --json
    "$@" service uninstall --json
    "$@" service uninstall --json
    find "$HOME/.config/systemd" -name 'portal*' | sed 's/.*/{"event":"left"}/'
    "$@" service status --json
    shut_down`;
    const env = { ...WITHOUT_PROXY, NODE_EXTRA_CA_CERTS: '', PORTAL_HOME: join(person.folder, 'h %h $x "q') };
    const within = [
      'unshare',
      '-m',
      '-p',
      '-f',
      '--mount-proc',
      '-C',
      'sh',
      MANAGER,
      String(OTHER_UID),
      person.folder,
      script,
      folder,
    ];
    const done = await person.start([], { within, env }).finished;
    if (done.code === 90) context.skip(`systemd does not run here: ${done.stderr.trim()}`);
    const unit = 'portal-we-ird-h-home-q-n';
    const path = join(person.folder, `.config/systemd/user/${unit}.service`);
    expect(jsonLines(done.stdout)).toMatchObject([
      { event: 'error', code: 'service_manager_missing' },
      { event: 'service', unit, installed: false, active: false },
      {
        event: 'service',
        unit,
        path,
        file: join(folder, 'portal.yaml'),
        action: 'installed',
        env: ['PORTAL_HOME'],
        boot: expect.stringContaining('enable-linger') as string,
      },
      { event: 'ready' },
      { event: 'service', installed: true, active: true, enabled: true, missing: [] },
      { event: 'service', action: 'unchanged' },
      { event: 'service', action: 'updated', env: ['PORTAL_HOME', 'NO_PROXY'] },
      { event: 'ready' },
      { event: 'stopped', reason: 'down' },
      { event: 'service', installed: true, active: false, enabled: true },
      { event: 'service', action: 'removed' },
      { event: 'service', action: 'unchanged' },
      { event: 'service', installed: false, active: false },
    ]);
  },
);

it('prints the unit, and keeps files that Portal did not write', async () => {
  const person = await Person.create();
  const env = { HOME: person.folder, XDG_CONFIG_HOME: join(person.folder, 'config') };
  await writeFile(join(person.folder, 'portal.yaml'), YAML);
  const printed = await person.run(['service', 'install', '--print', '--name', 'x'], { env });
  expect(printed.stdout).toContain(`"up" "--file" "${join(person.folder, 'portal.yaml')}"\n`);
  const units = join(person.folder, 'config/systemd/user');
  await mkdir(units, { recursive: true });
  await writeFile(join(units, 'portal-x.service'), '[Unit]\nDescription=mine\n');
  for (const command of ['install', 'uninstall', 'status']) {
    const { code, stderr } = await person.run(['service', command, '--name', 'x'], { env });
    expect([command, code, stderr]).toEqual([
      command,
      2,
      expect.stringContaining('was not written by Portal'),
    ]);
  }
  await writeFile(join(units, 'portal-x.service'), printed.stdout.replaceAll(person.folder, '/elsewhere'));
  const other = await person.run(['service', 'install', '--name', 'x'], { env });
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('runs /elsewhere/portal.yaml')]);
  expect(await readFile(join(units, 'portal-x.service'), 'utf8')).toContain('/elsewhere');
});

it('rejects a configuration that needs variables of this shell', async () => {
  const person = await Person.create();
  await writeFile(join(person.folder, 'portal.yaml'), `${YAML}machine: '\${DEVICE}'\n`);
  const env = { DEVICE: 'sensor-1', HOME: person.folder };
  const refused = await person.run(['service', 'install', '--print'], { env });
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('Put them into .env')]);
  await writeFile(join(person.folder, '.env'), 'DEVICE=sensor-1\n');
  expect((await person.run(['service', 'install', '--print'], { env })).code).toBe(0);
});
