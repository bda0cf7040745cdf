import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Child, script } from './children.mjs';
import { childrenOf } from './proc.mjs';

/**
 * The same work without the tunnel: one nginx passes TLS on by its server name, undecrypted, as a relay does;
 * another ends TLS and passes the bytes to the service, as an agent does. One worker each, as Portal has one
 * thread each; the same certificate, cipher and connection per visitor.
 */

const MODULES = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/share/nginx/modules'];
const BUFFER = '64k';

/** Why nginx cannot be measured here, or undefined. */
export function nginxMissing() {
  let built;
  try {
    built = execFileSync('nginx', ['-V'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    built += execFileSync('sh', ['-c', 'nginx -V 2>&1'], { encoding: 'utf8' });
  } catch {
    return 'nginx is not installed (Debian: apt-get install nginx-light libnginx-mod-stream)';
  }
  if (!/--with-stream\b/.test(built)) return 'this nginx was built without the stream module';
  if (/--with-stream=dynamic/.test(built) && !streamModule())
    return 'nginx has no stream module (Debian: apt-get install libnginx-mod-stream)';
  return undefined;
}

export function nginxVersion() {
  return execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }).trim().split('/').at(-1);
}

export async function startNginx(world, { services }) {
  const folder = world.folder('nginx');
  const hostnames = Object.keys(services);
  const certificate = await world.certificate(folder, hostnames);
  const [publicPort, tlsPort] = await Promise.all([freePort(), freePort()]);
  const write = (name, port, body, map) =>
    writeFileSync(
      join(folder, `${name}.conf`),
      `${streamModule() ? `load_module ${streamModule()};` : ''}
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid ${folder}/${name}.pid;
error_log stderr crit;
events { worker_connections 16384; }
stream {
  access_log off;
  map_hash_max_size 16384;
  map_hash_bucket_size 128;
  proxy_buffer_size ${BUFFER};
  proxy_timeout 1h;
  map ${map.name} $target {
${Object.entries(map.to)
  .map(([from, to]) => `    ${from} 127.0.0.1:${to};`)
  .join('\n')}
  }
  server {
    ${body}
    proxy_pass $target;
  }
}
`,
    );
  write('relay', publicPort, `listen 127.0.0.1:${publicPort} backlog=4096; ssl_preread on;`, {
    name: '$ssl_preread_server_name',
    to: Object.fromEntries(hostnames.map((hostname) => [hostname, tlsPort])),
  });
  const writeTargets = (targets) =>
    write(
      'agent',
      tlsPort,
      `listen 127.0.0.1:${tlsPort} ssl backlog=4096;
    ssl_certificate ${certificate.cert};
    ssl_certificate_key ${certificate.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
    ssl_conf_command Options ServerPreference;`,
      { name: '$ssl_server_name', to: targets },
    );
  writeTargets(services);
  const start = (name) =>
    new Child(`nginx ${name}`, 'nginx', ['-e', 'stderr', '-p', folder, '-c', join(folder, `${name}.conf`)]);
  const stages = { relay: start('relay'), agent: start('agent') };
  const contender = {
    name: 'nginx',
    port: publicPort,
    servername: hostnames[0],
    caFile: certificate.ca,
    stages,
    write: writeTargets,
    /** Tells the second stage to read its file again; resolves once a new worker has taken over. */
    async reload() {
      const { pid } = stages.agent;
      const before = new Set(childrenOf(pid));
      process.kill(pid, 'SIGHUP');
      await until(() => childrenOf(pid).some((worker) => !before.has(worker)), 1);
      return performance.now();
    },
    async stop() {
      await Promise.all(Object.values(stages).map((stage) => stage.stop()));
    },
  };
  await until(() => Object.values(stages).every(({ pid }) => childrenOf(pid).length > 0), 10);
  await oneVisit(contender);
  return contender;
}

async function oneVisit({ port, servername, caFile }) {
  const visitor = script('idle.mjs', { port, servername, caFile, count: 1 });
  await visitor.line((line) => line.open);
  await visitor.stop();
}

function streamModule() {
  return MODULES.map((folder) => `${folder}/ngx_stream_module.so`).find((file) => existsSync(file));
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(test, everyMs, ms = 10_000) {
  const end = performance.now() + ms;
  while (!test()) {
    if (performance.now() > end) throw new Error('nginx did not come up');
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
