import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { isBuilt, modulesOf } from './lib/built.mjs';
import { output, stopEverything } from './lib/children.mjs';
import { round } from './lib/figures.mjs';
import { lossTool } from './lib/link.mjs';
import { nginxMissing, nginxVersion } from './lib/nginx.mjs';
import { peerMissing, PEERS, peerVersion } from './lib/peers.mjs';
import { apply } from './suites/apply.mjs';
import { burst } from './suites/burst.mjs';
import { carriers } from './suites/carriers.mjs';
import { chain } from './suites/chain.mjs';
import { connections, resumptions } from './suites/connections.mjs';
import { directory } from './suites/directory.mjs';
import { exec } from './suites/exec.mjs';
import { floods } from './suites/floods.mjs';
import { load, services } from './suites/load.mjs';
import { memory } from './suites/memory.mjs';
import { nodes } from './suites/nodes.mjs';
import { paced } from './suites/paced.mjs';
import { pool } from './suites/pool.mjs';
import { reconnect } from './suites/reconnect.mjs';
import { http, http2, inspect, requests } from './suites/requests.mjs';
import { start } from './suites/start.mjs';
import { download, tcp, upload } from './suites/transfer.mjs';
import { loss, udp } from './suites/udp.mjs';
import { websocket } from './suites/websocket.mjs';
import { workers } from './suites/workers.mjs';

/**
 * `npm run bench`: writes one JSON document to standard output, and progress to standard error. See
 * docs/explanation/performance.md.
 */

const SUITES = {
  download,
  upload,
  requests,
  http,
  http2,
  inspect,
  paced,
  websocket,
  tcp,
  udp,
  loss,
  carriers,
  chain,
  connections,
  resumptions,
  workers,
  directory,
  nodes,
  burst,
  memory,
  services,
  load,
  reconnect,
  floods,
  pool,
  apply,
  start,
  exec,
};
const USAGE = `usage: npm run bench -- [options]
  --only NAME       one of ${Object.keys(SUITES).join(', ')} (repeatable)
  --quick           one short round of each: does it run, not how fast
  --seconds N       length of one measurement (default 2)
  --rounds N        how often each is repeated; medians are reported (default 3)
  --against FOLDER  a second built checkout, measured in turns with this one
  --peers           also measure other tunnels, whose programs FRPS and FRPC, RATHOLE name
  --profile FOLDER  write CPU profiles of relay and agent there
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    against: { type: 'string' },
    peers: { type: 'boolean', default: false },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const unknown = values.only.filter((name) => !(name in SUITES));
if (unknown.length > 0) fail(`unknown benchmark: ${unknown.join(', ')}\n${USAGE}`);
if (process.platform !== 'linux') fail('the benchmarks read /proc and run on Linux only');
const root = fileURLToPath(new URL('..', import.meta.url));
const against = values.against && resolve(values.against);
for (const folder of [root, against]) {
  if (folder && !isBuilt(folder)) fail(`${folder} is not built. Run npm run build there and try again`);
}

const temporary = mkdtempSync(join(tmpdir(), 'portal-bench-'));
let folders = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => void finish().then(() => process.exit(1)));

const noNginx = nginxMissing();
const skipped = noNginx ? { nginx: noNginx } : {};
const peers = [];
for (const [name, peer] of values.peers ? Object.entries(PEERS) : []) {
  const reason = peerMissing(peer);
  if (reason === undefined) peers.push(name);
  else skipped[name] = reason;
}
const world = {
  root,
  against,
  quick: values.quick,
  seconds: Number(values.seconds ?? (values.quick ? 1 : 2)),
  rounds: Number(values.rounds ?? (values.quick ? 1 : 3)),
  edits: values.quick ? 3 : 15,
  starts: values.quick ? 5 : 20,
  profile: values.profile && resolve(values.profile),
  loss: lossTool(),
  wrk: installed('wrk'),
  hey: installed('hey'),
  contenders: [
    'direct',
    'floor',
    ...(noNginx ? [] : ['nginx']),
    ...peers,
    ...(against ? ['against'] : []),
    'portal',
  ],
  progress: (text) => process.stderr.write(`${text}\n`),
  /** Records a failure in the current suite. */
  failed: (error) => {
    world.progress(`  failed: ${error.message}`);
    failures.push({ name: suiteName, error: error.message });
  },
  describe: (figures, cpu) => JSON.stringify(roundAll({ ...figures, cpu })),
  /** A new folder, removed at the end of the run. */
  folder(name) {
    const folder = join(temporary, `${name}-${++folders}`);
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  },
  /** A certificate from the same source as the agent's, so that handshakes cost the same. */
  async certificate(folder, hostnames) {
    const { openLocalCa } = await import(pathToFileURL(join(modulesOf(root), 'certificates/local-ca.js')));
    const ca = await openLocalCa(join(folder, 'ca'));
    const issued = await ca.issue(hostnames);
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem'), ca: ca.certificateFile };
    writeFileSync(files.cert, issued.cert);
    writeFileSync(files.key, issued.key, { mode: 0o600 });
    return files;
  },
};
if (!world.wrk)
  skipped.wrk = 'wrk is not installed (Debian: apt-get install wrk); using a client in Node instead';
if (!world.hey)
  skipped.hey = 'hey is not installed (Debian: apt-get install hey); using a client in Node instead';

if (world.loss.missing) skipped.loss = world.loss.missing;

const startedAt = new Date();
const results = [];
const failures = [];
let suiteName;
for (const [name, suite] of Object.entries(SUITES)) {
  if (values.only.length > 0 && !values.only.includes(name)) continue;
  suiteName = name;
  world.progress(name);
  try {
    results.push(...(await suite(world)));
  } catch (error) {
    world.failed(error);
    await stopEverything();
  }
}
await finish();
process.stdout.write(
  `${print({
    benchmark: 'portal',
    note: 'Only ratios within one run compare: other machines, and the same one an hour later, differ. 1 GB is 10^9 bytes. Figures are medians.',
    time: startedAt.toISOString(),
    durationSeconds: Math.round((Date.now() - startedAt) / 1000),
    machine: await machine(),
    settings: { seconds: world.seconds, rounds: world.rounds, quick: world.quick },
    skipped,
    failures,
    results,
  })}\n`,
);
process.exit(failures.length > 0 ? 1 : 0);

async function machine() {
  return {
    node: process.version,
    openssl: process.versions.openssl,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    memoryGB: round(totalmem() / 1e9, 3),
    kernel: (await output('uname', ['-r'])).trim(),
    ...(noNginx ? {} : { nginx: nginxVersion() }),
    ...Object.fromEntries(peers.map((name) => [name, peerVersion(name)])),
  };
}

/** Readable JSON: the figures of a run on one line. */
function print(document) {
  return JSON.stringify(document, null, 2).replace(/\[[\s\d.,-]+\]/g, (array) => array.replace(/\s+/g, ' '));
}

function installed(command) {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function roundAll(value) {
  if (typeof value === 'number') return round(value, 3);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, roundAll(item)]));
}

async function finish() {
  await stopEverything();
  rmSync(temporary, { recursive: true, force: true });
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}
