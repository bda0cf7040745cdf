import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program, script } from './children.mjs';
import { startFloor } from './floor.mjs';
import { RELAY_DOMAIN } from './link.mjs';
import { startNginx } from './nginx.mjs';
import { PEERS } from './peers.mjs';

/**
 * The paths to the service that the benchmarks compare. Each is {name, host, port, servername?, caFile?, stages:
 * {relay, agent}, stop()}: the visitor's address and server name, and the processes that act as relay and agent.
 * Without a server name the visitor uses no TLS.
 */

export const HOSTNAME = 'web.localhost';
/** The relay chooses a free port at random. */
const PUBLIC_PORTS = '20000-29999';

const CHAIN = 'way';

/**
 * What a variant compares: the service's script, what nginx, the floor and peers do (default: they are not compared), and the service's settings in portal.yaml, by the suffix of the contender's name.
 */
const HTTP_SERVICE = { script: 'service.mjs' };
const throughStream = (target) => ({ mode: 'stream', target });
const throughHttp = (port) => ({ mode: 'http', routes: { '/': port } });
export const KINDS = {
  stream: {
    ...HTTP_SERVICE,
    nginx: 'stream',
    floor: 'stream',
    peers: 'stream',
    variants: { '': throughStream },
  },
  http: { ...HTTP_SERVICE, nginx: 'http', peers: 'http', variants: { '': throughHttp } },
  inspect: {
    ...HTTP_SERVICE,
    variants: {
      '': throughHttp,
      ' inspect': (port) => ({ ...throughHttp(port), inspect: true }),
      // The same, with the history in memory only.
      ' memory': (port) => ({ ...throughHttp(port), inspect: { history: false } }),
    },
  },
  /** Chains of relays, and the same carrier without a chain. */
  chain: {
    ...HTTP_SERVICE,
    variants: {
      '': throughStream,
      ' tls': (target) => ({ ...throughStream(target), carrier: 'tls' }),
      ' chain of 2': (target) => ({ ...throughStream(target), via: CHAIN }),
      ' chain of 3': (target) => ({ ...throughStream(target), via: CHAIN }),
    },
    relays: { ' chain of 2': 2, ' chain of 3': 3 },
  },
  /** The encrypted carriers. */
  carriers: {
    ...HTTP_SERVICE,
    variants: {
      ' tls': (target) => ({ ...throughStream(target), carrier: 'tls' }),
      ' ws': (target) => ({ ...throughStream(target), carrier: 'ws' }),
    },
  },
  /** A relay of one process, and one with workers. */
  workers: {
    ...HTTP_SERVICE,
    nginx: 'stream',
    variants: { ' 1': throughStream, ' 2': throughStream },
    workers: { ' 1': 1, ' 2': 2 },
  },
  tcp: {
    ...HTTP_SERVICE,
    nginx: 'tcp',
    peers: 'tcp',
    variants: { '': (target) => ({ mode: 'tcp', target }) },
  },
  /** Many visitors at the same moment. A public port has no unencrypted carrier. */
  burstTcp: {
    ...HTTP_SERVICE,
    variants: { '': (target) => ({ mode: 'tcp', target, carrier: 'tls' }) },
  },
  burstStream: {
    ...HTTP_SERVICE,
    variants: {
      '': throughStream,
      ' tls': (target) => ({ ...throughStream(target), carrier: 'tls' }),
    },
  },
  websocket: {
    script: 'websocket-service.mjs',
    nginx: 'http',
    variants: { '': throughHttp, ' stream': throughStream },
  },
  udp: {
    script: 'datagram-service.mjs',
    floor: 'udp',
    peers: 'udp',
    variants: {
      '': (target) => ({ mode: 'udp', target }),
      ' ws': (target) => ({ mode: 'udp', target, carrier: 'ws' }),
    },
  },
};

/** The runs of one variant, and those of contenders without variants. */
export function variant(runs, suffix) {
  const others = Object.entries(runs).filter(([name]) => !/^(portal|against|nginx .)/.test(name));
  const own = ['nginx', 'portal', 'against'].filter((name) => runs[name + suffix]);
  return Object.fromEntries([...others, ...own.map((name) => [name, runs[name + suffix]])]);
}

const hostnamesOf = (count) =>
  Array.from({ length: count }, (_, index) => (index === 0 ? HOSTNAME : `web${index}.localhost`));

/**
 * Starts the service and every contender in `world.contenders`, over a lossy `link` if one is given. Each contender has
 * `count` names for the service, or fewer if it cannot distinguish visitors by name.
 */
export async function startContenders(world, kind = KINDS.stream, { link, count = 1 } = {}) {
  const hostnames = hostnamesOf(count);
  const host = link ? link.agent.address : '127.0.0.1';
  const service = script(kind.script, { host }, { inside: link?.agent.pid });
  const contenders = [];
  const stop = async () => {
    for (const contender of contenders) await contender.stop();
    await service.stop();
  };
  const portals = async (name, root) => {
    for (const [suffix, spec] of Object.entries(kind.variants)) {
      const target = link ? `${host}:${port}` : port;
      contenders.push(
        await startPortal(world, {
          services: Object.fromEntries(hostnames.map((each) => [each.split('.')[0], spec(target)])),
          root,
          name: name + suffix,
          link,
          relays: kind.relays?.[suffix],
          workers: kind.workers?.[suffix],
        }),
      );
    }
  };
  let port;
  const starts = {
    portal: () => portals('portal', world.root),
    against: () => portals('against', world.against),
    floor: async () => {
      if (kind.floor && !link)
        contenders.push(await startFloor(world, { hostname: HOSTNAME, port, mode: kind.floor }));
    },
    nginx: async () => {
      if (!kind.nginx) return;
      const services = Object.fromEntries(hostnames.map((each) => [each, port]));
      for (const [suffix, workers] of Object.entries(kind.workers ?? { '': 1 })) {
        const options = { services, mode: kind.nginx, name: `nginx${suffix}`, workers };
        contenders.push(await startNginx(world, options));
      }
    },
    ...Object.fromEntries(
      Object.entries(PEERS).map(([name, peer]) => [
        name,
        async () => {
          if (kind.peers && peer.modes.includes(kind.peers) && !link)
            contenders.push(await peer.start(world, { mode: kind.peers, hostnames, port }));
        },
      ]),
    ),
    direct: () => contenders.push({ name: 'direct', host, port, stages: {}, stop: async () => undefined }),
  };
  try {
    ({ port } = await service.line((line) => line.port));
    for (const name of world.contenders) await starts[name]();
  } catch (error) {
    await stop();
    throw error;
  }
  return { contenders, service, stop };
}

/** Node options that write CPU profiles below the folder `profile`, if it is set: one for each process. */
export function profiled(profile, label) {
  if (!profile) return [];
  return ['--cpu-prof', '--cpu-prof-dir', join(profile, label)];
}

/**
 * Starts `portal relay` and `portal up` as a user does, each with its own home. `services` holds the settings of each
 * service in portal.yaml. Visitors go to `web`.
 */
export async function startPortal(
  world,
  {
    services,
    root = world.root,
    name = 'portal',
    watch = false,
    profile = world.profile,
    link,
    relayArgs = [],
    /** Several relays form a chain, named `way`. */
    relays = 1,
    /** Processes that serve; the relay's metrics are then read, too. */
    workers,
    readyWithinMs = 120_000,
  },
) {
  const bin = join(root, 'bin/portal.js');
  const label = name.replaceAll(' ', '-');
  const folder = world.folder(label);
  const start = (role, args) => {
    const home = join(folder, role);
    mkdirSync(home, { mode: 0o700, recursive: true });
    const nodeArgs = profiled(profile, `${label}-${role}`);
    const options = { env: { PORTAL_HOME: home, PORTAL_ALLOW: '1' }, nodeArgs, inside: link?.[role].pid };
    return program(`${name} ${role}`, [bin, ...args], options);
  };
  const host = link ? link.relay.address : '127.0.0.1';
  const kinds = new Set(Object.values(services).map(({ mode }) => mode));
  const relay = start('relay', [
    'relay',
    '--json',
    '--log-level=warn',
    `--listen=${host}:0`,
    ...(link ? ['--domain', RELAY_DOMAIN] : []),
    ...['tcp', 'udp'].flatMap((mode) => (kinds.has(mode) ? [`--${mode}-ports`, PUBLIC_PORTS] : [])),
    ...(workers ? [`--workers=${workers}`, '--metrics=127.0.0.1:0'] : []),
    ...relayArgs,
  ]);
  const { url, ca, metrics } = await relay.line((line) => line.event === 'listening');
  const others = [];
  const hops = [{ url, ca }];
  while (hops.length < relays) {
    const before = hops.at(-1);
    const peer = ['--peer', before.url, '--peer-ca', before.ca];
    const args = ['relay', '--json', '--log-level=warn', '--listen=127.0.0.1:0', ...peer];
    const next = start(`hop${hops.length}`, args);
    others.push(next);
    hops.push(await next.line((line) => line.event === 'listening'));
  }
  const where =
    relays > 1
      ? `chains: { ${CHAIN}: ${JSON.stringify(hops.map((hop) => ({ url: hop.url, ca: hop.ca })))} }`
      : `relays: { urls: [{ url: ${url}, ca: ${ca} }] }`;
  const file = join(folder, 'portal.yaml');
  const write = (specs) =>
    writeFileSync(
      file,
      [
        'version: 1',
        where,
        'services:',
        ...Object.entries(specs).map(([key, spec]) => `  ${key}: ${JSON.stringify(spec)}`),
        '',
      ].join('\n'),
    );
  write(services);
  const startAgent = () => start('agent', ['up', '--json', '-f', file, ...(watch ? [] : ['--no-watch'])]);
  const agent = startAgent();
  const { ca: caFile, at: startedAt } = await agent.line((line) => line.event === 'started');
  const ready = await agent.line((line) => line.event === 'ready', readyWithinMs);
  const { tcp, udp } = ready.services.web;
  const own = [...tcp, ...udp][0]?.split(':').at(-1);
  const stages = {
    relay,
    agent,
    ...Object.fromEntries(others.map((other, at) => [`hop${at + 1}`, other])),
  };
  return {
    name,
    host,
    hostnames: Object.keys(services).map((key) => `${key}.localhost`),
    port: Number(own ?? new URL(url).port),
    ...(own === undefined && { servername: HOSTNAME, caFile }),
    relayUrl: url,
    relayCaFile: ca,
    stages,
    /** Visitors so far whom one worker forwarded to another. */
    ...(workers && { forwarded: () => readMetric(metrics, 'portal_relay_visitors_forwarded_total') }),
    /** Starts the agent again, once it has stopped. */
    startAgain: () => (stages.agent = startAgent()),
    /** Node compiles relay and agent while they run (JIT). */
    isCompiled: true,
    /** From the agent's first line until all services are ready. */
    readyMs: ready.at - startedAt,
    write,
    async stop() {
      await stages.agent.stop();
      for (const each of [relay, ...others]) await each.stop();
    },
  };
}

async function readMetric(url, series) {
  const text = await (await fetch(url)).text();
  const found = text.split('\n').find((line) => line.startsWith(`${series} `));
  if (found === undefined) throw new Error(`the relay has no metric ${series}`);
  return Number(found.slice(series.length));
}
