/**
 * Runs a command in an unusual environment: `node scripts/elsewhere.mjs npm test`. Home, language, time zone and umask
 * differ, proxies do not respond, Portal's own variables are set, and the temporary folder has a space in its name. For
 * root, mount namespaces that end with the command also add a hosts file with both addresses of localhost, and a path
 * with a space for this checkout.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PROXY = 'http://127.0.0.1:9';

const command = process.argv.slice(2);
if (command.length === 0) {
  process.stderr.write('usage: node scripts/elsewhere.mjs COMMAND [ARGUMENT…]\n');
  process.exit(2);
}

const base = mkdtempSync(join(tmpdir(), 'portal elsewhere '));
const [home, temporary, checkout] = ['home', 'tmp', 'check out'].map((name) => {
  mkdirSync(join(base, name));
  return join(base, name);
});
// Tests that switch to another user access this checkout through this folder.
chmodSync(base, 0o755);
const hosts = join(home, 'hosts');
const others = readFileSync('/etc/hosts', 'utf8')
  .split('\n')
  .filter((line) => !/\blocalhost\b/.test(line));
writeFileSync(hosts, ['127.0.0.1 localhost', '::1 localhost', ...others].join('\n'));

const env = {
  ...process.env,
  HOME: home,
  TMPDIR: temporary,
  LANG: 'de_DE.UTF-8',
  TZ: 'Asia/Kolkata',
  NO_PROXY: 'example.org',
  PORTAL_HOME: '/nonexistent/portal home',
  PORTAL_FILE: '/nonexistent/portal.yaml',
  XDG_CONFIG_HOME: join(home, 'config'),
  NODE_OPTIONS: '--no-deprecation',
  FORCE_COLOR: '1',
  // npm keeps its registry and cache, and does not use the proxies above.
  npm_config_userconfig: process.env.npm_config_userconfig ?? join(homedir(), '.npmrc'),
  npm_config_cache: process.env.npm_config_cache ?? join(homedir(), '.npm'),
};
for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']) env[name] = env[name.toLowerCase()] = PROXY;
for (const name of Object.keys(env)) if (name.startsWith('LC_')) delete env[name];

const mounts = 'mount --bind "$1" /etc/hosts && mount --bind "$2" "$3" && cd "$3" && shift 3';
const inNamespace = ['unshare', '--mount', 'sh', '-c', `${mounts} && umask 002 && exec "$@"`, 'sh'];
const within = mayMount()
  ? [...inNamespace, hosts, root, checkout]
  : ['sh', '-c', 'umask 002 && exec "$@"', 'sh'];

const child = spawn(within[0], [...within.slice(1), ...command], { env, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('error', (error) => end(1, error.message));
child.once('close', (code, signal) => end(code ?? 1, signal));

/** Whether mount namespaces can be created. Prints the reason if not. */
function mayMount() {
  const [file, ...rest] = [...inNamespace, hosts, root, checkout, 'true'];
  const { status, stderr, error } = spawnSync(file, rest, { encoding: 'utf8' });
  if (process.getuid?.() === 0 && status === 0) return true;
  const why =
    process.getuid?.() === 0 ? (error?.message ?? stderr.trim()) : 'only root can create mount namespaces';
  process.stderr.write(`elsewhere: the hosts file and the path of this checkout stay as usual: ${why}\n`);
  return false;
}

function end(code, why) {
  if (why) process.stderr.write(`elsewhere: ${command[0]} ended: ${why}\n`);
  for (const folder of [home, temporary]) rmSync(folder, { recursive: true, force: true });
  // Never deletes the folder's contents: if the mount were visible here, they would be this checkout.
  for (const folder of [checkout, base]) rmdirSync(folder);
  process.exitCode = code;
}
