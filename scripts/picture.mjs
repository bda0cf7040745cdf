/**
 * `npm run picture`: runs `portal up` in a terminal and draws its screen as docs/assets/portal-up.svg. Needs Linux,
 * tmux, curl and unshare: namespaces give it free ports, and end every program with it.
 */
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { drawScreen } from './picture/draw.mjs';

const COLUMNS = 112;
const ROWS = 40;
const WAIT_MS = 60_000;
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const TARGET = at('docs/assets/portal-up.svg');

const FILE = `version: 1
services:
  web: 3000
  api: 3001
`;

if (process.argv[2] === 'inside') await take();
else {
  const asRoot = process.getuid() === 0 ? [] : ['--map-root-user'];
  const up = 'ip link set lo up && exec "$@"';
  const own = [...asRoot, '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', up, 'sh'];
  const args = [...own, process.execPath, fileURLToPath(import.meta.url), 'inside'];
  const { status, error } = spawnSync('unshare', args, { stdio: 'inherit' });
  if (error) throw error;
  process.exitCode = status;
}

async function take() {
  const home = mkdtempSync(join(tmpdir(), 'portal-picture-'));
  try {
    await sampleServices();
    const screen = await session(home);
    mkdirSync(at('docs/assets'), { recursive: true });
    writeFileSync(TARGET, drawScreen(screen.replaceAll(home, '~'), COLUMNS, 'portal up in a terminal'));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  process.exit();
}

/** The page on port 3000, the API on 3001, and a UDP echo. */
function sampleServices() {
  const services = fork(at('examples/services.mjs'), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let listening = 0;
  return new Promise((resolve) => services.on('message', () => ++listening === 3 && resolve()));
}

/** A person types `portal up`, visits a service, and saves a mistake. Returns the screen, including colours. */
async function session(home) {
  const bin = join(home, 'bin');
  mkdirSync(bin);
  symlinkSync(at('bin/portal.js'), join(bin, 'portal'));
  writeFileSync(join(home, 'portal.yaml'), FILE);
  const env = {
    HOME: home,
    PATH: `${bin}:${process.env.PATH}`,
    TERM: 'xterm-256color',
    LANG: 'C.UTF-8',
    PS1: '$ ',
  };
  const run = (command, ...args) => execFileSync(command, args, { cwd: home, env, encoding: 'utf8' });
  const tmux = (...args) => run('tmux', '-S', join(home, 'tmux'), '-f', '/dev/null', ...args);
  const type = (line) => tmux('send-keys', line, 'Enter');
  const shows = async (text) => {
    const deadline = Date.now() + WAIT_MS;
    while (!tmux('capture-pane', '-pJ').includes(text)) {
      if (Date.now() > deadline) throw new Error(`"${text}" did not appear:\n${tmux('capture-pane', '-p')}`);
      await setTimeout(100);
    }
  };
  // The first run reports the new identity and the new CA, so the picture shows a later run.
  run('portal', 'up', '--wait');
  run('portal', 'down');
  tmux('new-session', '-d', '-x', String(COLUMNS), '-y', String(ROWS), `PS1='$ ' bash --norc --noprofile`);
  await shows('$');
  type('cat portal.yaml');
  await shows('api: 3001');
  type('portal up');
  await shows('all services are ready');
  for (const path of ['/', '/docs', '/about'])
    run(
      'curl',
      '-s',
      '--cacert',
      join(home, '.local/share/portal/ca/ca.pem'),
      `https://web.localhost:8443${path}`,
    );
  writeFileSync(join(home, 'portal.yaml'), `${FILE}  admin: 99999\n`);
  await shows('has errors');
  await shows(' 200');
  const screen = tmux('capture-pane', '-peJ');
  tmux('kill-server');
  // The view is at the bottom of the pane: one empty row above it is enough.
  return screen.replace(/\n{3,}/g, '\n\n');
}
