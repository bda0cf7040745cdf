/** Commands that need no agent: what a user runs, from bin/portal.js. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { PasswordWorker } from '../../src/lib/passwords/worker.js';
import { shellQuote } from '../../src/lib/shell-quote.js';
import { jsonLines, Person, PROCESSES } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create(PROCESSES);
});

const write = (name: string, text: string): Promise<void> => writeFile(join(person.folder, name), text);
const read = (name: string): Promise<string> => readFile(join(person.folder, name), 'utf8');

test('help is grouped, has examples, and lists every command', async () => {
  const { code, stdout, stderr } = await person.run(['--help']);
  expect(code).toBe(0);
  expect(stderr).toBe('');
  expect(stdout).toContain('Every day:');
  expect(stdout).toContain('$ portal expose 3000');
  const names = [
    'up',
    'plan',
    'validate',
    'status',
    'logs',
    'down',
    'expose',
    'init',
    'trust',
    'service',
    'identity',
    'relay',
  ];
  for (const name of [...names, 'schema', 'hash', 'completion'])
    expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  expect((await person.run([])).stdout).toBe(stdout);
  expect((await person.run(['help', 'up'])).stdout).toContain('--detach');
});

test.each([
  ['an unknown command', ['staus'], 'Did you mean `status`?'],
  ['an unknown option', ['up', '--detahc'], 'Did you mean `--detach`?'],
  ['an argument too many', ['down', 'web'], ''],
  ['an invalid value', ['up', '--timeout', 'soon'], '30s'],
  ['an unknown command of help', ['help', 'staus'], 'Did you mean `status`?'],
  ['an unknown command of a group of help', ['help', 'requests', 'sho'], 'Did you mean `show`?'],
  ['an unknown command that resembles no other', ['help', 'nosuch'], 'See portal --help.'],
  ['an unknown command of requests', ['requests', 'foo'], 'Commands: list, show, held, wipe.'],
  ['an unknown command of agents', ['agents', 'lst'], 'Did you mean `list`?'],
  ['an unknown command of identity', ['identity', 'foo'], 'Commands: show, new, export.'],
  ['an unknown command of service', ['service', 'foo'], 'Commands: install, uninstall, status.'],
  ['no target', ['expose'], 'Name your service, for example: portal expose 3000'],
  ['flags that exclude each other', ['expose', '--ca', 'x', '3000'], 'See portal expose --help.'],
  ['an unknown shell', ['completion', 'tcsh'], 'bash'],
])('%s is a usage error', async (_, args, hint) => {
  const { code, stdout, stderr } = await person.run(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('[usage]');
  expect(stderr).toContain(hint);
});

test('agents without a file names the option that replaces it', async () => {
  const { code, stderr } = await person.run(['agents']);
  expect(code).toBe(2);
  expect(stderr).toContain('Name a relay with --relay URL');
});

test.each([
  [['help', 'requests'], 'Usage: portal requests '],
  [['help', 'requests', 'show'], 'Usage: portal requests show '],
  [['requests', 'help'], 'Usage: portal requests '],
])('%j prints help', async (args, usage) => {
  const { code, stdout } = await person.run(args);
  expect(code).toBe(0);
  expect(stdout).toContain(usage);
});

test('with --json a usage error is one line on stdout', async () => {
  const { code, stdout, stderr } = await person.run(['--json', 'staus']);
  expect(code).toBe(2);
  expect(stderr).toBe('');
  expect(jsonLines(stdout)).toEqual([
    {
      time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      event: 'error',
      code: 'usage',
      message: "unknown command 'staus'",
      hint: 'Did you mean `status`?',
    },
  ]);
});

test('uses colour only if wanted', async () => {
  const plain = await person.run(['staus']);
  expect(plain.stderr).not.toContain('\u001b');
  const forced = await person.run(['staus'], { env: { FORCE_COLOR: '1' } });
  expect(forced.stderr).toContain('\u001b[31m');
  const refused = await person.run(['staus'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } });
  expect(refused.stderr).not.toContain('\u001b');
});

test('without a configuration: prints the fix, exits with 2', async () => {
  for (const command of ['up', 'validate', 'plan']) {
    const { code, stderr } = await person.run([command]);
    expect({ command, code }).toEqual({ command, code: 2 });
    expect(stderr).toContain('portal init');
  }
});

test('validate shows every error with its position, and prints the effective configuration', async () => {
  await write('portal.yaml', 'version: 1\nservices:\n  web: 70000\n  api: { taget: 3001 }\n');
  const bad = await person.run(['validate']);
  expect(bad.code).toBe(2);
  expect(bad.stdout).toBe('');
  expect(bad.stderr).toMatch(/portal\.yaml:3:\d+: /);
  expect(bad.stderr).toMatch(/portal\.yaml:4:\d+: /);
  expect(bad.stderr).toContain('> 3 |   web: 70000');
  expect(bad.stderr).toContain('in portal.yaml');

  const json = await person.run(['validate', '--json']);
  expect(json.code).toBe(2);
  const [rejected] = jsonLines(json.stdout);
  expect(rejected).toMatchObject({
    event: 'rejected',
    errors: [{ line: 3, code: 'config_invalid' }, { line: 4 }],
  });
  expect(JSON.stringify(rejected)).not.toContain('frame');

  await write('portal.yaml', 'version: 1\nservices:\n  web: ${PORT:-3000}\n');
  const good = await person.run(['validate', '--print'], { env: { PORT: '4000' } });
  expect(good.code).toBe(0);
  expect(good.stdout).toMatch(/^ {2}web: "?4000"?$/m);
  const valid = await person.run(['validate', '--json']);
  expect(jsonLines(valid.stdout)).toMatchObject([{ event: 'valid', services: ['web'] }]);
});

test('reads a configuration from standard input', async () => {
  const { code, stdout } = await person.run(['validate', '-f', '-', '--json'], {
    stdin: 'version: 1\nservices: { web: 3000 }\n',
  });
  expect(code).toBe(0);
  expect(jsonLines(stdout)).toMatchObject([{ file: '<stdin>', services: ['web'] }]);
});

test('plan --against compares with a commit of git, and prints Markdown', async () => {
  const git = (...args: string[]): unknown =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
      cwd: person.folder,
      stdio: 'ignore',
    });
  git('init');
  await write('portal.yaml', 'version: 1\nservices: { web: 3000, old: 3001, same: 3002 }\n');
  git('add', 'portal.yaml');
  git('commit', '-m', 'first');
  expect(await person.run(['plan', '--against', 'HEAD'])).toMatchObject({ code: 0, stdout: '' });
  await write('portal.yaml', 'version: 1\nservices: { web: 3009, new: 3001, same: 3002 }\n');
  const { code, stdout, stderr } = await person.run(['plan', '--against', 'HEAD']);
  expect(code).toBe(3);
  expect(stdout.split('\n').map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
    ['~', 'web', 'update'],
    ['+', 'new', 'open'],
    ['-', 'old', 'close'],
    [''],
  ]);
  expect(stderr).toBe('1 to open, 1 to update in place, 1 to close; 1 unchanged\n');
  const markdown = await person.run(['plan', '--against', 'HEAD', '--format', 'markdown']);
  expect(markdown.stdout).toMatch(/^\*\*Portal plan:\*\* 1 to open.*\n\n\| \| service \|/);
  for (const ref of ['nonsense', '--help']) {
    const refused = await person.run(['plan', `--against=${ref}`]);
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not a commit of this git repository'),
    });
  }
});

test('plan --against outside of a git repository reports that', async () => {
  await write('portal.yaml', 'version: 1\nservices: { web: 3000 }\n');
  const { code, stderr } = await person.run(['plan', '--against', 'HEAD']);
  expect(code).toBe(2);
  expect(stderr).toContain(`git does not open ${person.folder}: not a git repository`);
  expect(stderr).toContain('--against needs portal.yaml in a git repository.');
});

test('plan without an agent opens everything: exits with 3', async () => {
  await write(
    'portal.yaml',
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: 3000, api: 3001 }\n',
  );
  const { code, stdout, stderr } = await person.run(['plan']);
  expect(code).toBe(3);
  expect(stdout.split('\n').filter(Boolean)).toEqual([
    '+  web  open  https://web.localhost (any port)  -> localhost:3000',
    '+  api  open  https://api.localhost (any port)  -> localhost:3001',
  ]);
  expect(stderr).toBe('2 to open, 0 to update in place, 0 to close\n');
  const json = await person.run(['plan', '--json']);
  expect(json.code).toBe(3);
  expect(jsonLines(json.stdout)).toMatchObject([
    {
      event: 'plan',
      actions: [{ kind: 'open', service: 'web', relay: 'embedded:0', changes: [], exposes: true }, {}],
    },
  ]);
});

test('status, logs and down without an agent: not_running, exit code 1', async () => {
  for (const command of ['status', 'logs', 'down']) {
    const without = await person.run([command, '--json']);
    expect(without.code).toBe(1);
    expect(jsonLines(without.stdout)).toMatchObject([{ event: 'error', code: 'not_running' }]);
  }
  await write('portal.yaml', 'version: 1\nservices: { web: 3000 }\n');
  const { code, stderr } = await person.run(['status']);
  expect(code).toBe(1);
  expect(stderr).toContain('portal up');
});

test('up: an unknown service is a usage error, an invalid file exits with 2', async () => {
  await write('portal.yaml', 'version: 1\nservices: { web: 3000, api: 3001 }\n');
  const unknown = await person.run(['up', 'weeb']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('Did you mean `web`?');
  await write('portal.yaml', 'version: 1\nservices: { web: [ }\n');
  for (const flags of [[], ['--detach'], ['--wait']]) {
    const invalid = await person.run(['up', ...flags]);
    expect(invalid.code).toBe(2);
    expect(invalid.stderr).toContain('portal.yaml:2:');
    const json = await person.run(['up', '--json', ...flags]);
    expect(json.code).toBe(2);
    expect(jsonLines(json.stdout)).toMatchObject([{ event: 'rejected' }]);
  }
});

test('init writes a valid file, and never overwrites another', async () => {
  await write('package.json', JSON.stringify({ scripts: { dev: 'vite --port 4321' } }));
  const { code, stderr } = await person.run(['init']);
  expect(code).toBe(0);
  expect(stderr).toContain('port 4321');
  expect(stderr).toContain('portal.local.yaml');
  const text = await read('portal.yaml');
  expect(text).toMatch(/^# yaml-language-server: \$schema=\.\/portal\.schema\.json\n/);
  expect(await read('portal.schema.json')).toBe((await person.run(['schema'])).stdout);
  expect(stderr).toContain('portal schema > portal.schema.json');
  expect(text).not.toContain(person.folder);
  expect((await person.run(['validate'])).code).toBe(0);
  const again = await person.run(['init', '--port', '5000']);
  expect(again.code).toBe(2);
  expect(await read('portal.yaml')).toBe(text);
});

test('schema prints the schema', async () => {
  const { stdout } = await person.run(['schema']);
  const schema = JSON.parse(stdout) as { $schema: string };
  expect(schema.$schema).toContain('2020-12');
  expect(jsonLines((await person.run(['schema', '--json'])).stdout)).toMatchObject([
    { event: 'schema', schema },
  ]);
});

test('completion prints a script that bash accepts', async () => {
  const { stdout } = await person.run(['completion', 'bash']);
  expect(execFileSync('bash', ['-n'], { input: stdout, encoding: 'utf8' })).toBe('');
});

test('identity: created once, shown, replaced only with --force, exported only with --yes', async () => {
  const missing = await person.run(['identity']);
  expect(missing.code).toBe(2);

  const made = await person.run(['identity', 'new']);
  expect(made.code).toBe(0);
  const address = made.stdout.trim();
  expect(address).toMatch(/^0x[0-9a-fA-F]{40}$/);
  expect((await stat(join(person.home, 'identity.json'))).mode & 0o777).toBe(0o600);
  expect((await person.run(['identity'])).stdout.trim()).toBe(address);

  const refused = await person.run(['identity', 'new']);
  expect(refused.code).toBe(2);
  const forced = await person.run(['identity', 'new', '--force', '--json']);
  const replaced = jsonLines(forced.stdout)[0]!;
  expect(replaced['address']).not.toBe(address);
  expect(await readFile(String(replaced['backup']), 'utf8')).toContain(address);

  const unasked = await person.run(['identity', 'export']);
  expect(unasked).toMatchObject({ code: 2, stdout: '' });
  const exported = await person.run(['identity', 'export', '--yes']);
  expect(JSON.parse(exported.stdout)).toMatchObject({ version: 1, address: replaced['address'] });
});

test('identity: uses the one that the configuration names', async () => {
  await write('portal.yaml', 'version: 1\nidentity: ./.portal/me.json\nservices: { web: 3000 }\n');
  expect((await person.run(['identity', 'new'])).code).toBe(0);
  expect(await readdir(join(person.folder, '.portal'))).toEqual(['me.json']);
});

test('trust creates the local CA and shows what to run', async () => {
  const { code, stdout, stderr } = await person.run(['trust']);
  expect(code).toBe(0);
  expect(stdout).toBe(`${join(person.home, 'ca', 'ca.pem')}\n`);
  expect(await readFile(stdout.trim(), 'utf8')).toContain('BEGIN CERTIFICATE');
  expect(stderr).toMatch(/SHA-256 [0-9a-f]{64}/);
  const [json] = jsonLines((await person.run(['trust', '--json'])).stdout);
  expect(json).toMatchObject({ event: 'trust', ca: stdout.trim() });
  expect((await person.run(['trust', '--install', '--uninstall'])).code).toBe(2);
});

test('expose and relay check their arguments', async () => {
  for (const args of [
    ['expose'],
    ['expose', 'nonsense'],
    ['expose', '3000', '--name', 'Not A Label'],
    ['expose', '3000', '--relay', 'ftp://relay.example.com'],
    ['relay', '--listen', 'here'],
    ['relay', '--cert', 'a.pem'],
    ['relay', '--listen', '127.0.0.1:0', '--cert', 'a.pem', '--key', 'b.pem'],
    ['relay', '--domain', 'relay.example.com'],
    ['relay', '--domain', 'https://relay.test'],
    ['relay', '--domain', '127.0.0.1'],
  ]) {
    const { code, stdout } = await person.run(args);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
  }
});

test.each([
  ['expose', []],
  ['expose', ['nonsense']],
  ['expose', ['3000', '--port', '4000']],
  ['expose', ['3000', '--allow-ip', 'nonsense']],
  ['expose', ['3000', '--relay', 'https://localhost:8443', '--pin', 'x']],
  ['relay', ['--domain', 'relay.example.com']],
  ['relay', ['--cert', 'a.pem']],
])('an invalid portal %s %j creates no file', async (command, args) => {
  expect((await person.run([command, ...args])).code).toBe(2);
  // Node's compile cache does not count.
  const made = await readdir(person.home).catch(() => []);
  expect(made.filter((name) => name !== 'cache')).toEqual([]);
});

test('rejects a runtime folder that other users can access', async () => {
  await write('portal.yaml', 'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: 3000 }\n');
  const runDir = join(person.home, 'run');
  await mkdir(runDir, { recursive: true });
  await chmod(runDir, 0o755);
  const { code, stderr } = await person.run(['up']);
  expect(code).toBe(1);
  expect(stderr).toContain(`chmod 700 ${shellQuote(runDir)}`);
});

test('reports a folder that cannot be created, without retrying forever', async (context) => {
  if (process.platform !== 'linux') context.skip('only Linux has /proc, in which no folder can be made');
  await write('portal.yaml', 'version: 1\nidentity: ./me.json\nservices: { web: 3000 }\n');
  const env = { PORTAL_HOME: '/proc/portal' };
  const up = await person.run(['up', '--json'], { env });
  expect(up.code).toBe(1);
  expect(jsonLines(up.stdout)).toMatchObject([{ event: 'error', code: 'state_unwritable' }]);
  const relay = await person.run([
    'relay',
    '--listen',
    '127.0.0.1:0',
    '--data-dir',
    '/proc/portal/deep',
    '--json',
  ]);
  expect(relay.code).toBe(1);
  expect(jsonLines(relay.stdout)).toMatchObject([{ event: 'error', code: 'state_unwritable' }]);
});

test('hash prints the hash of a password from a pipe, without its line break', async () => {
  const { stdout, stderr } = await person.run(['hash', '--algorithm', 'bcrypt'], { stdin: 'horse\n' });
  expect(stderr).toBe('');
  expect(await new PasswordWorker().verify('horse', stdout.trim())).toBe(true);
  const json = await person.run(['hash', '--json'], { stdin: 'horse' });
  expect(jsonLines(json.stdout)).toMatchObject([
    {
      event: 'hash',
      algorithm: 'argon2id',
      hash: expect.stringMatching(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/) as string,
    },
  ]);
  for (const [stdin, message] of [
    ['', 'the password is empty'],
    ['one\ntwo\n', 'the password has a line break or another control character'],
    ['x'.repeat(73), 'the password has 73 bytes, and bcrypt uses only the first 72'],
    ['x'.repeat(2_000), 'the password has more than 1024 bytes'],
  ] as const)
    expect(await person.run(['hash', '--algorithm', 'bcrypt'], { stdin })).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(message) as string,
    });
});
