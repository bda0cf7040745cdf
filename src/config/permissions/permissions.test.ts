import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { confine, readConfined, relayCaKey, unconfine } from '../../lib/confined.js';
import { isSecretName } from '../checks/sent.js';
import { loadConfig } from '../load.js';
import { describePermission } from './permissions.js';

let top: string;
let dir: string;

beforeEach(async () => {
  top = await realpath(await mkdtemp(join(tmpdir(), 'portal-permissions-')));
  onTestFinished(() => rm(top, { recursive: true, force: true }));
  dir = join(top, 'project');
  await mkdir(dir);
});

async function load(text: string, { dotenv, env = {} }: { dotenv?: string; env?: NodeJS.ProcessEnv } = {}) {
  await writeFile(join(dir, 'portal.yaml'), `version: 1\n${text}`);
  if (dotenv !== undefined) await writeFile(join(dir, '.env'), dotenv);
  return loadConfig({ cwd: dir, env, userName: 'zoe' });
}

async function asked(text: string, options?: Parameters<typeof load>[1]): Promise<string[]> {
  const result = await load(text, options);
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'));
  return result.permissions.map(describePermission);
}

/** What the default `tls: auto` asks for at a public relay. */
const CERTIFICATES = "get certificates from Let's Encrypt, agreeing to this CA's terms of service";

/** The permissions of a file with these relays. */
async function keys(relays: string): Promise<string[]> {
  const result = await load(`${relays}services: { web: 3000 }`);
  return result.ok ? result.permissions.map(({ key }) => key) : [];
}

/** Loads a file whose relay has the CA `own.pem`, as `portal up` does after the user allowed it. */
async function allowOwnCa(): Promise<void> {
  const result = await load(
    'relays: { urls: [{ url: "https://relay.example.com", ca: ./own.pem }] }\nservices: { web: 3000 }',
  );
  if (!result.ok) throw new Error('expected a configuration');
  confine(result.confined);
}

async function refused(text: string, options?: Parameters<typeof load>[1]): Promise<string[]> {
  const result = await load(text, options);
  if (result.ok) throw new Error('expected problems');
  return result.problems.map(({ line, message }) => `${line}: ${message}`);
}

/** The permissions of a file whose commands need the only ones. */
async function commandKeys(text: string, dotenv?: string): Promise<string[]> {
  const result = await load(text, dotenv === undefined ? {} : { dotenv });
  return result.ok ? result.permissions.map(({ key }) => key) : [];
}

/** Two services whose command comes from one anchor. */
const anchored = (command: string): string =>
  `services:\n  one: &one { command: "${command}" }\n  two: { <<: *one, name: two }\n`;

const RELAY = 'relays: { urls: [https://relay.example.com] }\n';

describe('what needs a permission', () => {
  it.each([
    [
      'local ports at the relay in this process',
      'services: { web: 3000, api: "127.0.0.1:80", b: "http://[::1]:1" }',
    ],
    ['variables that stay on this machine', 'services: { web: { target: "${PORT:-1}", name: "w-${user}" } }'],
    ['paths in the project', 'identity: ./id.json\nservices: { web: "unix:./run/app.sock", site: ./public }'],
  ])('does not include: %s', async (_what, text) => {
    expect(await asked(text)).toEqual([]);
  });

  it('includes every command, also at the relay in this process', async () => {
    const text = `services:
  web: { command: npm run dev }
  app: { routes: { /: { command: "vite --port $PORT", cwd: ./web }, /api: { target: 1, command: x, env: { B: "1", A: "2" } } } }
  out: { command: x, cwd: .. }`;
    expect(await asked(text)).toEqual([
      'run npm run dev (web)',
      'run vite --port $PORT (app, in web)',
      'run x (app/api, with A, B)',
      `run x (out, in ${top})`,
    ]);
  });

  it.each<[string, { text?: string; local?: string }]>([
    ['another command', { text: 'command: npm run evil' }],
    ['another folder', { text: 'command: npm run dev\n    cwd: ./evil' }],
    ['another variable', { text: 'command: npm run dev\n    env: { NODE_OPTIONS: "--require ./evil.cjs" }' }],
    ['a command that an overlay replaces', { local: 'services: { web: { command: npm run evil } }' }],
    ['a variable that an overlay adds', { local: 'services: { web: { env: { PATH: ./evil } } }' }],
  ])('has another key for %s', async (_what, { text = 'command: npm run dev', local = '' }) => {
    const before = await commandKeys(`services:\n  web:\n    command: npm run dev\n`);
    expect(before).toHaveLength(1);
    if (local !== '') await writeFile(join(dir, 'portal.local.yaml'), `${local}\n`);
    const after = await commandKeys(`services:\n  web:\n    ${text}\n`);
    expect(after).toHaveLength(1);
    expect(after).not.toEqual(before);
  });

  it('has another key for a variable of a command that a .env or an anchor changes', async () => {
    const text = 'services: { web: { command: x, env: { NODE_OPTIONS: "${OPTIONS:-}" } } }';
    expect(await commandKeys(text, 'OPTIONS=--require=./evil.cjs')).not.toEqual(await commandKeys(text, ''));
    expect(await commandKeys(anchored('x'))).toEqual([expect.stringMatching(/^run [0-9a-f]{64}$/)]);
    expect(await commandKeys(anchored('y'))).not.toEqual(await commandKeys(anchored('x')));
  });

  it('keeps the text of a command as it is, and shows no value of its variables', async () => {
    const text = 'services: { web: { command: "echo ${SECRET} $$ $PORT", env: { TOKEN: "${SECRET}" } } }';
    const result = await load(text, { env: { SECRET: 's3cret-value' } });
    expect(result).toMatchObject({ ok: true, warnings: [] });
    if (!result.ok) return;
    expect(result.permissions.map(describePermission)).toEqual([
      'run echo ${SECRET} $$ $PORT (web, with TOKEN)',
    ]);
    expect(JSON.stringify([result.permissions, result.effective])).not.toContain('s3cret-value');
    expect(result.desired.services[0]!.command).toMatchObject({ env: { TOKEN: 's3cret-value' } });
  });

  it('includes other identities that may see this agent at a remote relay', async () => {
    const address = '0x371531b8ED16256DE8a3f97A99BA7206788143e0';
    const team = `team: ["${address}"]\nservices: { web: 3000 }`;
    expect(await asked(team)).toEqual([]);
    expect(await asked(RELAY + team)).toEqual([
      'publish at https://relay.example.com',
      CERTIFICATES,
      `show this agent to ${address}`,
    ]);
  });

  it('includes relays, wherever they are named, each once', async () => {
    const text = `relays: { urls: [https://a.example, { url: "https://b.example:8443", ca: ca.pem }] }
chains: { far: [https://a.example, https://c.example] }
services: { web: 3000, other: { target: 1, relays: [https://d.example] } }`;
    expect(await asked(text)).toEqual([
      'publish at https://a.example',
      'publish at https://b.example:8443, trusting the CA ca.pem (no such file)',
      'publish at https://c.example',
      'publish at https://d.example',
      CERTIFICATES,
    ]);
  });

  it('includes the CA of a relay: another file, or changed content of a file in the project', async () => {
    const own = 'relays: { urls: [{ url: "https://relay.example.com", ca: ./own.pem }] }\n';
    await writeFile(join(dir, 'own.pem'), 'one');
    const [plain, first] = [await keys(RELAY), await keys(own)];
    expect(first).not.toEqual(plain);
    await writeFile(join(dir, 'other.pem'), 'one');
    expect(await keys(own.replace('own', 'other'))).toEqual(first);
    await writeFile(join(dir, 'own.pem'), 'two');
    expect(await keys(own)).not.toEqual(first);
    const services = 'services: { web: 3000 }';
    expect(await asked(own + services)).toEqual([
      'publish at https://relay.example.com, trusting the CA own.pem (SHA-256 3fc4ccfe745870e2…)',
      CERTIFICATES,
    ]);
    await writeFile(join(top, 'far.pem'), 'one');
    const far = own.replace('./own.pem', '../far.pem');
    expect(await asked(far + services)).toEqual([
      `publish at https://relay.example.com, trusting the CA ${top}/far.pem`,
      CERTIFICATES,
    ]);
    const before = await keys(far);
    await writeFile(join(top, 'far.pem'), 'two');
    expect(await keys(far)).toEqual(before);
  });

  it('rejects a CA that appears in the project in place of a missing or linked file', async () => {
    onTestFinished(unconfine);
    const file = join(dir, 'own.pem');
    await allowOwnCa();
    await writeFile(file, 'planted');
    await expect(readConfined(file, relayCaKey(file))).rejects.toMatchObject({ code: 'config_not_allowed' });
    await rm(file);
    await writeFile(join(top, 'far.pem'), 'far');
    await symlink(join(top, 'far.pem'), file);
    await allowOwnCa();
    expect(await readConfined(file, relayCaKey(file))).toBe('far');
    await rm(file);
    await writeFile(file, 'planted');
    await expect(readConfined(file, relayCaKey(file))).rejects.toMatchObject({ code: 'config_not_allowed' });
  });

  it('keeps the limits of a CA when a later save names its path for another purpose', async () => {
    onTestFinished(unconfine);
    const file = join(dir, 'own.pem');
    await writeFile(file, 'one');
    await allowOwnCa();
    const later = await load(
      'services: { web: { target: "https://localhost:1", targetTls: { ca: own.pem } } }',
    );
    if (!later.ok) throw new Error('expected a configuration');
    confine(later.confined);
    await writeFile(file, 'planted');
    expect(await readConfined(file)).toBe('planted');
    await expect(readConfined(file, relayCaKey(file))).rejects.toMatchObject({ code: 'config_not_allowed' });
  });

  it('includes the CA of a relay wherever it is named, even in a chain', async () => {
    await writeFile(join(dir, 'own.pem'), 'one');
    const text = `chains: { far: [https://a.example, { url: "https://b.example", ca: own.pem }] }
services: { web: { target: 1, via: far } }`;
    expect(await asked(text)).toEqual([
      'publish at https://a.example',
      'publish at https://b.example, trusting the CA own.pem (SHA-256 7692c3ad3540bb80…)',
      CERTIFICATES,
    ]);
  });

  it('includes certificates from a public CA, and the names that are looked up', async () => {
    const text = 'services: { web: { target: 1, hostname: shop.example.com, tls: acme } }';
    expect(await asked(text)).toEqual([
      "get certificates from Let's Encrypt, agreeing to this CA's terms of service",
      'look up shop.example.com in DNS',
    ]);
    const own = `acme: { directory: "https://ca.example/dir" }\n${text}`;
    expect((await asked(own))[0]).toBe(
      "get certificates from https://ca.example/dir, agreeing to this CA's terms of service",
    );
    expect((await asked(RELAY + text)).slice(1)).toEqual([
      "get certificates from Let's Encrypt, agreeing to this CA's terms of service",
    ]);
  });

  it('includes an overlay and a .env that lead out of the project', async () => {
    await writeFile(join(top, 'far.yaml'), '');
    await writeFile(join(top, 'far.env'), '');
    await symlink(join(top, 'far.yaml'), join(dir, 'portal.local.yaml'));
    await symlink(join(top, 'far.env'), join(dir, '.env'));
    expect(await asked('services: { web: 3000 }')).toEqual([
      `use ${top}/far.yaml (portal.local.yaml)`,
      `use ${top}/far.env (.env)`,
    ]);
  });

  it('includes lists of relays, and relays that announce others', async () => {
    const services = 'services: { web: 3000 }';
    expect(await asked(`relays: { registry: "https://x.example/list?t=1" }\n${services}`)).toEqual([
      'publish at relays of https://x.example/list?****',
      CERTIFICATES,
    ]);
    expect(await asked(`relays: { urls: [https://a.example], maxActive: 2 }\n${services}`)).toEqual([
      'publish at https://a.example',
      'publish at relays that its relays name',
      CERTIFICATES,
    ]);
  });

  it('includes hosts other than this machine', async () => {
    const text = `services:
  db: { mode: tcp, target: db.internal:5432 }
  meta: { mode: http, routes: { /: "http://169.254.169.254", /own: 3000, /six: "[::ffff:10.0.0.1]:80" } }`;
    expect(await asked(text)).toEqual([
      'reach db.internal:5432 (db)',
      'reach 169.254.169.254:80 (meta)',
      'reach [::ffff:10.0.0.1]:80 (meta)',
    ]);
  });

  it('includes the provider of access.oidc, and variables that it gets', async () => {
    const env = { OIDC_CLIENT: 'a' };
    const oidc = 'clientId: "${OIDC_CLIENT}", allow: { emails: [a@b.c] }';
    const at = (issuer: string): string =>
      `services: { a: { target: 1, access: { oidc: { issuer: "${issuer}", ${oidc} } } } }`;
    expect(await asked(at('https://login.example.com/a'), { env })).toEqual([
      'reach login.example.com:443 (a)',
      'send ${OIDC_CLIENT} to login.example.com:443',
    ]);
    expect(await asked(at('http://localhost:8080'), { env })).toEqual([]);
  });

  it('includes files and sockets outside the project, even behind links or not yet existing', async () => {
    await symlink(top, join(dir, 'up'));
    await symlink(join(top, 'later.sock'), join(dir, 'app.sock'));
    await writeFile(join(top, 'id.json'), '');
    const text = `identity: up/id.json
services:
  docker: "unix:../docker.sock"
  later: "unix:app.sock"
  files: { target: 1, hostname: a.example.com, tls: { cert: cert.pem, key: ../key.pem } }`;
    expect(await asked(text)).toEqual([
      'look up a.example.com in DNS',
      `use ${top}/id.json (identity)`,
      `use ${top}/docker.sock (docker)`,
      `use ${top}/later.sock (later)`,
      `use ${top}/key.pem (tls of files)`,
    ]);
  });

  it('includes a portal.lock that leads out of the project', async () => {
    await symlink(join(top, 'elsewhere.lock'), join(dir, 'portal.lock'));
    expect(await asked('services: { web: 3000 }')).toEqual([`use ${top}/elsewhere.lock (portal.lock)`]);
  });

  it('includes variables that relays read, by the variables they use', async () => {
    const text = `${RELAY}machine: "m-\${HOSTTYPE:-x}"
services:
  web: { target: "\${PORT:-1}", name: "w-\${user}", metadata: { a: &a "\${MADE}" } }
  pin: { target: 2, access: { pin: "\${OPEN_SESAME}" }, hostname: "\${LANG}.example.com", mode: http }`;
    const options = { dotenv: 'MADE="x-$HOME"\n', env: { HOME: '/h', LANG: 'c', OPEN_SESAME: '123456' } };
    expect(await asked(text, options)).toEqual([
      'publish at https://relay.example.com',
      CERTIFICATES,
      'send ${HOSTTYPE} to https://relay.example.com',
      'send ${user} (your user name) to https://relay.example.com',
      'send ${MADE} to https://relay.example.com',
      'send ${HOME} to https://relay.example.com',
      'send ${LANG} to https://relay.example.com',
    ]);
  });

  it('includes variables in a hostname that the embedded relay looks up', async () => {
    const text = 'services: { web: { target: 1, hostname: "${LANG:-x}.example.com" } }';
    expect(await asked(text)).toEqual(['look up x.example.com in DNS', 'send ${LANG} to DNS servers']);
  });

  it('includes variables that other hosts or visitors read', async () => {
    const text = `${RELAY}services:
  web:
    mode: http
    routes:
      /: { target: "http://\${HOST:-x}.example.org", headers: { A: "\${API_TOKEN:-}" } }
      /own: { target: 1, headers: { B: "\${LOCAL:-}" }, responseHeaders: { C: "\${SHOWN:-}" } }`;
    expect((await asked(text)).slice(3)).toEqual([
      'send ${SHOWN} to visitors',
      'send ${HOST} to x.example.org:80',
      'send ${API_TOKEN} to x.example.org:80',
    ]);
  });
});

it('rejects a file that asks for too many permissions to review', async () => {
  const services = Array.from({ length: 1_001 }, (_, index) => `  s${index}: host-${index}.internal:80\n`);
  expect(await refused(`services:\n${services.join('')}`)).toEqual([
    '1003: the file asks for more than 1000 permissions, which is too many to review',
  ]);
});

it('rejects a short file that asks for millions of leases', async () => {
  const urls = Array.from({ length: 300 }, (_, index) => `"https://r${index}.example"`);
  const services = Array.from({ length: 100 }, (_, index) => `  s${index}: 1\n`);
  expect(await refused(`relays: { urls: [${urls.join(',')}] }\nservices:\n${services.join('')}`)).toEqual([
    '3: 100 services need 30000 leases on the relays of the file; the maximum is 20000',
  ]);
});

describe('variables whose names look like secrets', () => {
  it.each([
    'GITHUB_TOKEN',
    'githubToken',
    'AWS_SECRET_ACCESS_KEY',
    'DB_PASSWORD',
    'db_pwd',
    'KEY',
    'SSH_KEY',
    'APIKEY',
    'DATABASE_URL',
    'NPM_AUTH',
    'GH_PAT',
    'WIFI_PSK',
    'REDIS_URL',
    'MONGODB_URI',
    'SLACK_WEBHOOK_URL',
  ])('%s', (name) => {
    expect(isSecretName(name)).toBe(true);
  });

  it.each(['user', 'PORT', 'PWD', 'KEYBOARD', 'HOSTNAME', 'AUTHOR', 'PASSENGER', 'PINE', 'PATH', 'BASE_URL'])(
    'not %s',
    (name) => {
      expect(isSecretName(name)).toBe(false);
    },
  );

  it('are an error at their line if a relay would read them, set or not', async () => {
    const text = `machine: "\${AWS_SECRET_ACCESS_KEY:-none}"
services:
  web:
    name: "x-\${GITHUB_TOKEN:-none}"
    target: 3000
    metadata: { a: "\${X:-\${DB_PASSWORD:-}}" }`;
    expect(await refused(text)).toEqual([
      '2: the value of AWS_SECRET_ACCESS_KEY would be sent to a relay',
      '5: the value of GITHUB_TOKEN would be sent to a relay',
      '7: the value of DB_PASSWORD would be sent to a relay',
    ]);
  });

  it('are found in the URL of a relay, behind an alias, and behind a variable of the .env', async () => {
    const text = `relays: { urls: ["https://\${MY_TOKEN:-x}.example.com"] }
services:
  web: { mode: http, routes: { /: 1 }, access: { pin: &p "\${SITE_PASSWORD:-12345678}" }, metadata: { a: *p, b: "\${PLAIN}" } }`;
    const found = await refused(text, {
      dotenv: 'FIRST=$CI_JOB_TOKEN\nPLAIN=${FIRST}\n',
      env: { CI_JOB_TOKEN: 'x' },
    });
    expect(found).toEqual([
      '2: the value of MY_TOKEN would be sent to a relay',
      '4: the value of SITE_PASSWORD would be sent to a relay',
      '4: the value of CI_JOB_TOKEN would be sent to a relay',
    ]);
  });
});
