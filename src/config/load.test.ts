import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig, type LoadOptions, type LoadResult } from './load.js';

let dir: string;

beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'portal-load-')));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function files(texts: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(texts)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}

function load(options: Partial<LoadOptions> = {}): Promise<LoadResult> {
  return loadConfig({ cwd: dir, env: {}, userName: 'Zoë K', ...options });
}

async function loaded(options: Partial<LoadOptions> = {}) {
  const result = await load(options);
  if (!result.ok) throw new Error(result.problems.map((problem) => problem.message).join('\n'));
  return result;
}

async function problems(options: Partial<LoadOptions> = {}) {
  const result = await load(options);
  if (result.ok) throw new Error('expected problems');
  return result.problems;
}

const MINIMAL = 'version: 1\nservices:\n  web: 3000\n';

describe('the size of a file', () => {
  const large = `${MINIMAL}# ${'x'.repeat(1024 * 1024)}`;

  it.each(['portal.yaml', 'portal.local.yaml', '.env'])('rejects %s above 1 MiB', async (name) => {
    await files({ 'portal.yaml': MINIMAL, [name]: large });
    const [problem] = await problems();
    expect(problem).toMatchObject({ code: 'config_unreadable' });
    expect(problem?.message).toContain(`${name} is larger than 1 MiB`);
  });

  it('reports one long line that has a problem in every word', async () => {
    await files({ 'portal.yaml': `version: 1\n${'!!str '.repeat(60_000)}x: 1\n` });
    expect((await problems())[0]).toMatchObject({ line: 2, column: 7 });
  });

  it('stops reading a link to an endless file', async (context) => {
    if (process.platform === 'win32') context.skip('Windows has no /dev/zero');
    await symlink('/dev/zero', join(dir, 'portal.yaml'));
    expect((await problems())[0]?.message).toBe('portal.yaml is larger than 1 MiB');
  });
});

it('admits the identities of a list and of `team`, in one spelling and order', async () => {
  const [a, b] = ['0x371531b8ED16256DE8a3f97A99BA7206788143e0', '0x1111111111111111111111111111111111111111'];
  const text = `version: 1\nteam: ["${a}"]\nservices:\n  db: { target: 1, access: { identities: [team, "${a.toLowerCase()}", "${b}"] } }\n  own: { target: 1, access: { identities: [] } }\n`;
  await files({ 'portal.yaml': text });
  const { desired } = await loaded();
  expect(desired.services.map(({ access }) => access)).toEqual([{ identities: [b, a] }, { identities: [] }]);
});

describe('finding the file', () => {
  it('finds portal.yaml or portal.yml here, or in the nearest parent', async () => {
    await files({ 'portal.yml': MINIMAL, 'a/portal.yaml': MINIMAL, 'a/b/c/x': '', 'z/x': '' });
    expect((await loaded({ cwd: join(dir, 'a/b/c') })).file).toBe(join(dir, 'a/portal.yaml'));
    expect((await loaded({ cwd: join(dir, 'z') })).file).toBe(join(dir, 'portal.yml'));
  });

  it('prefers -f to PORTAL_FILE, and PORTAL_FILE to a search', async () => {
    await files({ 'portal.yaml': MINIMAL, 'one.yaml': MINIMAL, 'two.yaml': MINIMAL });
    const env = { PORTAL_FILE: 'two.yaml' };
    expect((await loaded({ file: 'one.yaml', env })).file).toBe(join(dir, 'one.yaml'));
    expect((await loaded({ env })).file).toBe(join(dir, 'two.yaml'));
    expect((await loaded({ env: { PORTAL_FILE: '' } })).file).toBe(join(dir, 'portal.yaml'));
  });

  it('reads standard input for -', async () => {
    await files({ '.env': 'PORT=3001' });
    const result = await loaded({ file: '-', stdin: async () => 'version: 1\nservices: { web: "${PORT}" }' });
    expect(result).toMatchObject({ file: '<stdin>', inputs: [join(dir, '.env')] });
    expect(result.desired).toMatchObject({ file: undefined, services: [{ target: { port: 3001 } }] });
  });

  it('reports a missing file with the fix', async () => {
    expect(await problems({ file: 'nope.yaml' })).toMatchObject([
      { code: 'config_not_found', file: 'nope.yaml' },
    ]);
    const [problem] = await problems({ cwd: '/' });
    expect(problem).toMatchObject({ code: 'config_not_found' });
    expect(problem?.hint).toContain('portal init');
  });

  it('reports a file that cannot be read', async () => {
    expect(await problems({ file: '.' })).toMatchObject([{ code: 'config_unreadable' }]);
  });
});

describe('the loaded configuration', () => {
  it('fills in every default', async () => {
    await files({ 'portal.yaml': MINIMAL });
    const { desired, effective, inputs, warnings } = await loaded();
    const embedded = { kind: 'embedded', port: 8443, orAnyPort: true };
    expect(desired).toEqual({
      file: join(dir, 'portal.yaml'),
      identityFile: undefined,
      relays: [embedded],
      services: [
        {
          service: 'web',
          name: 'web',
          mode: 'auto',
          target: { kind: 'tcp', host: 'localhost', port: 3000, tls: false },
          routes: [],
          alpn: 'auto',
          hostname: undefined,
          port: undefined,
          proxyProtocol: false,
          targetTls: {},
          carrier: 'raw',
          tls: { source: 'local' },
          metadata: {},
          expires: undefined,
          access: {},
          relays: [embedded],
        },
      ],
    });
    expect(effective).toEqual({ version: 1, services: { web: 3000 } });
    expect(inputs).toEqual(['portal.yaml', 'portal.local.yaml', '.env'].map((name) => join(dir, name)));
    expect(warnings).toEqual([]);
  });

  it.each([
    ['{ target: 1 }', 'auto'],
    ['{ target: 1, mode: stream }', 'stream'],
    ['{ target: 1, inspect: true, forwarded: false, access: { pin: "1234" }, alpn: [h2] }', 'auto'],
    ['{ routes: { /: 1 } }', 'http'],
    ['{ mode: auto, routes: { /: 1 } }', 'http'],
    ['{ target: 1, proxyProtocol: v2 }', 'stream'],
    ['{ target: 1, alpn: [postgresql] }', 'stream'],
    ['{ target: 1, alpn: [h2, x-own] }', 'stream'],
  ])('derives the default mode from the settings of a service: %s', async (service, mode) => {
    await files({ 'portal.yaml': `version: 1\nservices: { a: ${service} }` });
    expect((await loaded()).desired.services).toMatchObject([{ mode }]);
  });

  it.each([
    ['30m', { afterMs: 1_800_000 }],
    ['7d', { afterMs: 604_800_000 }],
    ['2027-01-31T18:00:00+01:00', { at: Date.UTC(2027, 0, 31, 17) }],
  ])('reads the expiry of a service: %s', async (text, expires) => {
    await files({ 'portal.yaml': `version: 1\nservices: { a: { target: 1, expires: ${text} } }` });
    expect((await loaded()).desired.services).toMatchObject([{ expires }]);
  });

  it('reads how long a service and a route hold requests', async () => {
    const routes = '{ /: 1, /hooks: { target: 2, hold: 90s } }';
    await files({ 'portal.yaml': `version: 1\nservices: { a: { hold: 10m, routes: ${routes} } }` });
    expect((await loaded()).desired.services).toMatchObject([
      { hold: { forMs: 600_000 }, routes: [{ prefix: '/' }, { prefix: '/hooks', hold: { forMs: 90_000 } }] },
    ]);
  });

  it('makes every path absolute, from the directory of the file', async () => {
    await files({
      'app/portal.yaml': `version: 1
identity: ./id.json
relays: { urls: [{ url: "https://R.example.com:443/", ca: ../ca.pem }, https://two.example.com], embedded: { port: 0 } }
services:
  one: unix:./app.sock
  two: { target: 3000, relays: [https://r.example.com] }
  three: { target: 3000, relays: [{ url: https://three.example.com, ca: /abs/ca.pem }] }
`,
    });
    const { desired } = await loaded({ file: 'app/portal.yaml' });
    const first = { kind: 'url', url: 'https://r.example.com', caFile: join(dir, 'ca.pem') };
    const pool = [first, { kind: 'url', url: 'https://two.example.com' }, { kind: 'embedded', port: 0 }];
    expect(desired.identityFile).toBe(join(dir, 'app/id.json'));
    expect(desired.relays).toEqual(pool);
    expect(desired.services.map(({ relays }) => relays)).toEqual([
      pool,
      [first], // the CA is known from the pool
      [{ kind: 'url', url: 'https://three.example.com', caFile: '/abs/ca.pem' }],
    ]);
    expect(desired.services[0]?.target).toEqual({ kind: 'unix', path: join(dir, 'app/app.sock') });
  });

  it('falls back to the embedded relay when the overlay removes the others', async () => {
    await files({
      'portal.yaml': `${MINIMAL}relays: { urls: [https://r.example.com] }\n`,
      'portal.local.yaml': 'relays: { urls: null }\n',
    });
    expect((await loaded()).desired.relays).toEqual([{ kind: 'embedded', port: 8443, orAnyPort: true }]);
  });
});

describe('variables', () => {
  it('come from the environment first, then from .env', async () => {
    await files({
      'portal.yaml': 'version: 1\nservices: { web: "${A}", api: "${B}" }',
      '.env': 'A=1\n# comment\nB="2"\n',
    });
    const { desired } = await loaded({ env: { A: '3' } });
    expect(desired.services.map(({ target }) => target)).toMatchObject([{ port: 3 }, { port: 2 }]);
  });

  it('give each user a different name', async () => {
    await files({ 'portal.yaml': 'version: 1\nservices: { web: { target: 1, name: "${user}-web" } }' });
    expect((await loaded()).desired.services[0]?.name).toBe('zoe-k-web');
  });

  it('become numbers if the schema requires it, unlike quoted literals', async () => {
    await files({
      'portal.yaml': `version: \${V}\nrelays: { embedded: { port: "\${P}" } }\n${MINIMAL.slice(11)}`,
    });
    const env = { V: '1', P: '9443' };
    expect((await loaded({ env })).desired.relays).toEqual([{ kind: 'embedded', port: 9443 }]);
    await files({
      'portal.yaml': `version: 1\nrelays: { embedded: { port: "9443" } }\n${MINIMAL.slice(11)}`,
    });
    expect(await problems()).toMatchObject([
      { message: '`port` must be a whole number', hint: 'Remove the quotes.' },
    ]);
  });

  it('stay text if the schema requires text', async () => {
    await files({ 'portal.yaml': 'version: 1\nservices: { web: { target: 1, metadata: { n: "${N}" } } }' });
    expect((await loaded({ env: { N: '042' } })).desired.services[0]?.metadata).toEqual({ n: '042' });
  });

  it('cannot inject YAML', async () => {
    await files({ 'portal.yaml': 'version: 1\nservices:\n  web: { target: 1, metadata: { n: "${N}" } }' });
    const N = 'x }\n  evil: 3000 # ${A}';
    expect((await loaded({ env: { N } })).desired.services).toMatchObject([{ metadata: { n: N } }]);
  });

  it('are needed only if the overlay keeps them', async () => {
    await files({
      'portal.yaml': 'version: 1\nservices:\n  web: ${NONE:?set NONE}\n',
      'portal.local.yaml': 'services: { web: 3000 }',
    });
    expect((await loaded()).desired.services).toHaveLength(1);
  });

  it('are reported with position and hint if missing', async () => {
    await files({ 'portal.yaml': 'version: 1\nservices:\n  web: localhost:${PORT}\n' });
    expect(await problems()).toMatchObject([
      { line: 3, column: 18, path: '/services/web', message: 'the variable PORT is not set' },
    ]);
  });

  it('without braces cause a warning, but stay unchanged', async () => {
    await files({ 'portal.yaml': 'version: 1\nservices: { web: { target: 1, metadata: { n: $HOME } } }' });
    const { warnings } = await loaded();
    expect(warnings).toMatchObject([
      { line: 2, column: 46, message: '$HOME stays as it is: a variable needs braces' },
    ]);
  });
});

describe('.env', () => {
  const text = 'version: 1\nservices: { web: "${A}" }';

  it('is ignored if it is a directory, such as a virtual environment of Python', async () => {
    await files({ 'portal.yaml': MINIMAL, '.env/pyvenv.cfg': '' });
    expect((await loaded()).desired.services).toHaveLength(1);
  });

  it('may begin with a byte order mark', async () => {
    await files({ 'portal.yaml': text, '.env': '\ufeffA=3001\n' });
    expect((await loaded()).desired.services[0]?.target).toMatchObject({ port: 3001 });
  });

  it('keeps a `#` inside a value', async () => {
    await files({
      'portal.yaml': 'version: 1\nservices: { web: { target: 1, access: { pin: "${PIN}" } } }',
      '.env': 'PIN=7752#harbour # of the old one\r\n',
    });
    const [web] = (await loaded()).desired.services;
    expect(web?.access.pin).toBe('7752#harbour');
  });

  it('reports each malformed line with its position, without secrets in the frame', async () => {
    await files({ 'portal.yaml': text, '.env': "A=3001\r\nhunter 2\r\nC='open\nhunter2" });
    const found = await problems();
    expect(found.map(({ file, line, column }) => `${file}:${line}:${column}`)).toEqual([
      '.env:2:7',
      '.env:3:3',
    ]);
    expect(found[0]?.frame).toContain('> 2 | ****');
    expect(JSON.stringify(found)).not.toContain('hunter');
  });

  it('is an error if portal.yaml uses a value with an unset variable, and only then', async () => {
    await files({ 'portal.yaml': text, '.env': 'A=30$port\nB=pa$word' });
    expect(await problems()).toMatchObject([
      { file: 'portal.yaml', line: 2, column: 19, message: '.env:1: the variable port is not set' },
    ]);
    await files({ '.env': 'A=3001\nB=pa$word' });
    expect((await loaded()).warnings).toEqual([]);
  });

  it('can refer to `${user}` and the environment', async () => {
    await files({
      'portal.yaml': 'version: 1\nservices: { web: { target: 1, name: "${NAME}" } }',
      '.env': 'NAME=${user}-$STAGE',
    });
    expect((await loaded({ env: { STAGE: 'dev' } })).desired.services[0]?.name).toBe('zoe-k-dev');
  });
});

describe('text that is not UTF-8', () => {
  it.each([
    ['portal.yaml', Buffer.from('version: 1 # caf\u00e9', 'latin1')],
    ['portal.yaml', Buffer.from(`\ufeff${MINIMAL}`, 'utf16le')],
    ['portal.yaml', Buffer.from(MINIMAL, 'utf16le')],
    ['portal.local.yaml', Buffer.from(MINIMAL, 'utf16le')],
    ['.env', Buffer.from('\ufeffA=1', 'utf16le')],
  ])('is reported for %s', async (name, bytes) => {
    await files({ 'portal.yaml': MINIMAL });
    await writeFile(join(dir, name), bytes);
    const told = await problems();
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ code: 'config_unreadable' });
    expect(told[0]?.message).toContain(`${name} is not UTF-8; save it as UTF-8`);
  });

  it('is reported for standard input', async () => {
    const text = Buffer.from(`\ufeff${MINIMAL}`, 'utf16le').toString();
    const stdin = async (): Promise<string> => text;
    expect(await problems({ file: '-', stdin })).toMatchObject([
      { message: '<stdin> is not UTF-8; save it as UTF-8' },
    ]);
  });
});

describe('the overlay', () => {
  it('extends a service in short form, and replaces only the target of a mapping', async () => {
    await files({
      'portal.yaml': 'version: 1\nservices:\n  web: 4000\n  api: { target: 1, name: x }\n  old: 1\n',
      'portal.local.yaml': 'services:\n  web: { carrier: tls }\n  api: 4001\n  old: null\n',
    });
    expect((await loaded()).desired.services).toMatchObject([
      { service: 'web', carrier: 'tls', target: { port: 4000 } },
      { service: 'api', name: 'x', target: { port: 4001 } },
    ]);
  });

  it('does the same for a route, and errors keep their positions', async () => {
    await files({
      'portal.yaml': 'version: 1\nservices:\n  web: 70000\n  api: { mode: http, routes: { /: 70001 } }\n',
      'portal.local.yaml':
        'services:\n  web: { carrier: tls }\n  api: { routes: { /: { stripPrefix: true } } }\n',
    });
    expect(await problems()).toMatchObject([
      { file: 'portal.yaml', line: 3, column: 8, path: '/services/web/target' },
      { file: 'portal.yaml', line: 4, column: 35, path: '/services/api/routes/~1/target' },
    ]);
  });

  it('is merged beside a file of any name, and errors point into the right file', async () => {
    await files({
      'dev.yaml': 'version: 1\nservices:\n  web: 3000\n  api: { target: 1, name: x }\n  old: 2\n',
      'dev.local.yaml': '# mine\nservices:\n  old: null\n  api: { name: NOPE }\n  web: 70000\n',
    });
    expect(await problems({ file: 'dev.yaml' })).toMatchObject([
      { file: 'dev.local.yaml', line: 4, column: 16, path: '/services/api/name' },
      { file: 'dev.local.yaml', line: 5, column: 8, path: '/services/web' },
    ]);
  });

  it('may be empty', async () => {
    await files({ 'portal.yaml': MINIMAL, 'portal.local.yaml': '# nothing yet\n' });
    expect((await loaded()).desired.services).toHaveLength(1);
  });

  it('that does not parse is reported together with the errors of the file', async () => {
    await files({ 'portal.yaml': 'a: [', 'portal.local.yaml': 'b: "' });
    expect((await problems()).map(({ file }) => file)).toEqual(['portal.yaml', 'portal.local.yaml']);
  });
});

it('reports all errors at once, in reading order', async () => {
  await files({
    'portal.yaml':
      'versoin: 1\nservices:\n  web: 0\n  api: { target: x, nme: a }\n  a b: 1\n  udp: { mode: udp, access: {} }\n',
  });
  expect((await problems()).map(({ line, path, code }) => `${line} ${path} ${code}`)).toEqual([
    '1 /versoin config_invalid',
    '3 /services/web config_invalid',
    '4 /services/api/target config_invalid',
    '4 /services/api/nme config_invalid',
    '5 /services/a b config_invalid',
    '6 /services/udp/target config_invalid',
  ]);
});

it('loads thousands of services', async () => {
  // Quadratic work would exceed this test's timeout.
  const services = Array.from(
    { length: 5_000 },
    (_, i) => `  s${i}: { target: localhost:${3000 + i}, alpn: [h2], metadata: { n: "${i}" } }`,
  );
  await files({ 'portal.yaml': `version: 1\nservices:\n${services.join('\n')}\n` });
  expect((await loaded()).desired.services).toHaveLength(5_000);
});
