import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, script } from './children.mjs';
import { nginxMissing, oneVisit, startNginx } from './nginx.mjs';
import { freePort } from './wait.mjs';

/**
 * Other tunnels, as contenders. `--peers` measures those whose programs are named by environment variables: FRPS and FRPC
 * (frp), RATHOLE (rathole). Each peer has `needs`, the modes that it can serve, and `start(world, {mode, hostnames, port})`.
 */

const frp = (name, options) => ({
  needs: ['FRPS', 'FRPC'],
  modes: ['stream', 'http', 'tcp', 'udp'],
  start: (world, service) => startFrp(world, { name, ...options, ...service }),
});

export const PEERS = {
  /** As installed: TLS between frpc and frps, and one connection for all visitors. */
  frp: frp('frp', { mux: true, tls: true }),
  /** A visitor's own TLS only, as Portal's carrier `raw`. */
  'frp plain': frp('frp plain', { mux: false, tls: false }),
  /** An nginx behind its client ends TLS. */
  rathole: {
    needs: ['RATHOLE'],
    modes: ['stream', 'tcp', 'udp'],
    start: startRathole,
    missing: nginxMissing,
  },
};

/** Why a peer cannot be measured, or undefined. */
export function peerMissing({ needs, missing }) {
  const unset = needs.filter((name) => !process.env[name]);
  return unset.length > 0 ? `${unset.join(' and ')} must name its program` : missing?.();
}

/** The first line that a peer prints as its version. */
export function peerVersion(name) {
  const { needs } = PEERS[name];
  const printed = execFileSync(process.env[needs.at(-1)], ['--version'], { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(printed)?.[0] ?? printed.trim().split('\n')[0];
}

async function startFrp(world, { name, mux, tls, mode, hostnames, port }) {
  const folder = world.folder('frp');
  const certificate = await world.certificate(folder, hostnames);
  const [bindPort, httpsPort, remotePort] = [await freePort(), await freePort(), await freePort()];
  const server = join(folder, 'frps.toml');
  const client = join(folder, 'frpc.toml');
  const log = 'log.level = "warn"\nlog.to = "console"\n';
  writeFileSync(
    server,
    `bindAddr = "127.0.0.1"\nproxyBindAddr = "127.0.0.1"\nbindPort = ${bindPort}\nvhostHTTPSPort = ${httpsPort}\ntransport.tcpMux = ${mux}\n${log}`,
  );
  const isTls = mode === 'stream' || mode === 'http';
  const plugin = mode === 'http' ? 'https2http' : 'tls2raw';
  const proxies = hostnames.map((hostname, index) =>
    isTls
      ? `[[proxies]]\nname = "web${index}"\ntype = "https"\ncustomDomains = ["${hostname}"]\n[proxies.plugin]\ntype = "${plugin}"\nlocalAddr = "127.0.0.1:${port}"\ncrtPath = "${certificate.cert}"\nkeyPath = "${certificate.key}"\n`
      : `[[proxies]]\nname = "web"\ntype = "${mode}"\nlocalIP = "127.0.0.1"\nlocalPort = ${port}\nremotePort = ${remotePort}\n`,
  );
  writeFileSync(
    client,
    `serverAddr = "127.0.0.1"\nserverPort = ${bindPort}\nloginFailExit = false\ntransport.tcpMux = ${mux}\ntransport.tls.enable = ${tls}\n${log}${proxies.join('')}`,
  );
  const relay = new Child('frps', process.env.FRPS, ['-c', server]);
  const startAgent = () => new Child('frpc', process.env.FRPC, ['-c', client]);
  return served({
    name,
    hostnames,
    startAgent,
    mode,
    port: isTls ? httpsPort : remotePort,
    ...(isTls && { servername: hostnames[0], caFile: certificate.ca }),
    stages: { relay, agent: startAgent() },
  });
}

/** rathole forwards bytes only: for visitors with TLS, an nginx behind its client ends it. */
async function startRathole(world, { mode, hostnames: [hostname], port }) {
  const folder = world.folder('rathole');
  const end = mode === 'stream' ? await startNginx(world, { services: { [hostname]: port } }) : undefined;
  const [bindPort, remotePort] = [await freePort(), await freePort()];
  const type = mode === 'udp' ? 'udp' : 'tcp';
  const write = (side, fields, address) => {
    const file = join(folder, `${side}.toml`);
    writeFileSync(
      file,
      `[${side}]\ndefault_token = "x"\n${fields}\n[${side}.services.web]\ntype = "${type}"\n${address}\n`,
    );
    return file;
  };
  const server = write(
    'server',
    `bind_addr = "127.0.0.1:${bindPort}"`,
    `bind_addr = "127.0.0.1:${remotePort}"`,
  );
  const client = write(
    'client',
    `remote_addr = "127.0.0.1:${bindPort}"`,
    `local_addr = "127.0.0.1:${end?.agentPort ?? port}"`,
  );
  const env = { RUST_LOG: 'warn' };
  const relay = new Child('rathole server', process.env.RATHOLE, ['--server', server], { env });
  const startAgent = () =>
    together(
      new Child('rathole client', process.env.RATHOLE, ['--client', client], { env }),
      end?.stages.agent,
    );
  const { servername, caFile } = end ?? {};
  return served(
    {
      name: 'rathole',
      mode,
      hostnames: [hostname],
      port: remotePort,
      servername,
      caFile,
      startAgent,
      stages: { relay, agent: startAgent() },
    },
    end,
  );
}

/** Two processes as one stage. */
function together(first, second) {
  if (!second) return first;
  return {
    pid: first.pid,
    cpuSeconds: () => first.cpuSeconds() + second.cpuSeconds(),
    rssBytes: () => first.rssBytes() + second.rssBytes(),
    residentBytes: async () => (await first.residentBytes()) + (await second.residentBytes()),
    stop: () => first.stop(),
  };
}

const TRIES = 200;
const VISIT_MS = 5_000;

/** Resolves once a visitor was served. Neither peer prints that it is ready. */
async function served({ startAgent, ...contender }, end) {
  const started = {
    host: '127.0.0.1',
    ...contender,
    startAgain: () => (contender.stages.agent = startAgent()),
    async stop() {
      await Promise.all(Object.values(contender.stages).map((stage) => stage.stop()));
      await end?.stop();
    },
  };
  for (let tries = 1; ; tries++) {
    try {
      await (started.mode === 'udp' ? oneDatagram : oneVisit)(started, VISIT_MS);
      return started;
    } catch (error) {
      if (tries < TRIES) continue;
      await started.stop();
      throw error;
    }
  }
}

async function oneDatagram({ name, port }, ms) {
  const visit = {
    host: '127.0.0.1',
    port,
    run: 0,
    ping: true,
    bytes: 200,
    rate: 50,
    seconds: 0.2,
    lateMs: 200,
  };
  const visitor = script('datagram-visitor.mjs', visit);
  try {
    const { answered } = await visitor.line((line) => line.done, ms);
    if (!answered) throw new Error(`${name} served no visitor`);
  } finally {
    await visitor.stop();
  }
}
