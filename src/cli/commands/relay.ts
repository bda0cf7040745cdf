import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openLocalCa } from '../../certificates/local-ca.js';
import { covers } from '../../certificates/local-names.js';
import { loadIdentity } from '../../identity/file.js';
import { asPortalError, cannotRead } from '../../lib/errors.js';
import { descriptorLimit } from '../../lib/descriptor-limit.js';
import type { Logger } from '../../lib/logger.js';
import { packageFile } from '../../lib/package-file.js';
import { warnOfFew } from '../../relay/descriptors.js';
import type { RelayMetrics } from '../../relay/metrics/metrics.js';
import type { MetricsServer, MetricsServerOptions } from '../../relay/metrics/server.js';
import { formatAddress } from '../../relay/listen.js';
import type { PortRange } from '../../relay/ports.js';
import { findEngine } from '../../relay/store/engine.js';
import { startRelay, type Relay, type RelayOptions } from '../../relay/relay.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { usage } from '../expose-services.js';
import { dnsServers } from '../dns-servers.js';
import { inheritedFds, sharedSocket } from '../inherited-socket.js';
import { type Interrupts, listenForInterrupts } from '../interrupts.js';
import { parseListenAddress, parseListenAddresses } from '../listen-address.js';
import { printEvent } from '../print.js';
import { packageVersion } from '../program.js';
import { openRelayCertificate, type CertificateOptions } from '../relay-certificate.js';
import { followLists } from '../relay-lists.js';
import { parseLimits } from '../relay-limits.js';
import { relayLogger, type LogLevel } from '../relay-log.js';
import { explainUnwritable } from '../unwritable.js';

interface Options extends CertificateOptions {
  /** As typed. */
  readonly listen?: readonly string[];
  readonly publicPort?: number;
  /** True: port 80, without a word about which. */
  readonly httpRedirect?: number | boolean;
  readonly tcpPorts?: PortRange;
  readonly udpPorts?: PortRange;
  /** DNS servers, as typed. */
  readonly dns?: readonly string[];
  /** `NAME=VALUE`, as typed. */
  readonly limit?: readonly string[];
  readonly peer?: readonly string[];
  readonly peerCa?: string;
  readonly trustPeer?: readonly string[];
  readonly deny?: string;
  readonly allow?: string;
  readonly reservedLabels?: string;
  readonly agents: boolean;
  readonly dataDir?: string;
  /** As typed. */
  readonly metrics?: string;
  /** Milliseconds, both. */
  readonly drain: number;
  readonly takeOver?: number;
  readonly logLevel: LogLevel;
}

/** The built page of agents. */
const AGENTS_WEB_DIR = packageFile('dist/web-relay');

const DEFAULT_LISTEN = '127.0.0.1:8443';
const HTTP_PORT = 80;
const DATA_ELSEWHERE = 'name another folder with --data-dir';
const LAST_WORDS_MS = 1_000;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const log = await relayLogger(context.stderr, options.logLevel);
  let reread: (() => Promise<void>) | undefined;
  // Before anything slow. SIGHUP on a terminal says that the terminal closes.
  const interrupts = listenForInterrupts({
    onSignal: (signal) => log.info({ signal }, 'received a signal'),
    onNothing: (signal) => log.warn({ signal }, 'this signal does nothing; SIGHUP has the files read again'),
    ...(!context.stderr.isTTY && { onHangup: () => void reread?.() }),
  });
  try {
    const prepared = prepare(context, options, log);
    const parts = await Promise.race([prepared, stopAsked(interrupts.signal)]);
    if (!parts) {
      // Nothing listens yet, and what was opened ends with the process.
      prepared.catch(() => undefined);
      return 0;
    }
    reread = async () => {
      await Promise.all([parts.lists.reread(), parts.certificate.reread()]);
      log.info({}, 'lists and certificate were read again');
    };
    return await serve(context, { options, parts, interrupts, log });
  } finally {
    interrupts.dispose();
  }
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

/** What a relay is made of, checked and read, before anything of it is served. */
async function prepare(context: Context, options: Options, log: Logger) {
  const listen = options.listen ?? [DEFAULT_LISTEN];
  const { hosts, port } = parseListenAddresses(listen);
  const limits = parseLimits(options.limit ?? []);
  // Before anything is made: without it there will be no relay.
  await findEngine();
  const peers = await peersOf(context, options);
  const servers = options.dns && dnsServers(options.dns);
  const certificate = await openRelayCertificate(context, options, log);
  const dataDir =
    options.dataDir === undefined ? context.paths.relayDir : resolve(context.cwd, options.dataDir);
  const descriptors = await descriptorLimit();
  warnOfFew(descriptors, limits, log);
  const fds = inheritedFds(context.env, process.pid);
  const metricsAt = options.metrics === undefined ? undefined : parseListenAddress(options.metrics);
  const lists = await followLists(context, options, log);
  return {
    listen,
    hosts,
    port,
    limits,
    peers,
    servers,
    certificate,
    dataDir,
    descriptors,
    fds,
    metricsAt,
    lists,
  };
}

interface Serving {
  readonly options: Options;
  readonly parts: Prepared;
  readonly interrupts: Interrupts;
  readonly log: Logger;
}

/** Serves until it is asked to stop. */
async function serve(context: Context, { options, parts, interrupts, log }: Serving): Promise<ExitCode> {
  const {
    listen,
    hosts,
    port,
    limits,
    peers,
    servers,
    certificate,
    dataDir,
    descriptors,
    fds,
    metricsAt,
    lists,
  } = parts;
  let relay: Relay | undefined;
  try {
    const metrics = metricsAt && (await metricsOf());
    relay = await startRelay({
      domain: options.domain,
      host: hosts,
      port,
      ...(fds && { socket: sharedSocket(fds.public, join(dataDir, 'serving.sock')) }),
      httpRedirect: redirectOf(options.httpRedirect, fds?.http ?? []),
      takeOver: {
        takeOverMs: options.takeOver,
        signal: interrupts.signal,
        onWait: () =>
          log.info(
            { listen: fds ? 'shared socket' : listen.join(',') },
            'waiting for the address to be given up',
          ),
      },
      ...(options.publicPort === undefined ? {} : { publicPort: options.publicPort }),
      ...certificate.options,
      ...(servers && { dnsServers: servers }),
      ports: {
        ...(options.tcpPorts && { tcp: options.tcpPorts }),
        ...(options.udpPorts && { udp: options.udpPorts }),
      },
      limits,
      descriptorLimit: descriptors,
      agents: options.agents && { webDir: AGENTS_WEB_DIR },
      ...peers,
      ...lists.first,
      ...(metrics && { onVisitorWaited: metrics.onVisitorWaited }),
      store: { file: join(dataDir, 'relay.db') },
      identity: await loadIdentity(join(dataDir, 'identity.json'), {
        create: true,
        onCreated: ({ address }) =>
          log.info({ identity: address, folder: dataDir }, 'created the identity of this relay'),
      }),
      log,
    });
    // It may have changed while the relay was starting.
    lists.follow(relay);
    certificate.follow(relay);
    if (options.acme && relay.publicPort !== 443)
      log.warn({ port: relay.publicPort }, 'public CAs validate on port 443 only; this relay is on another');
    metrics?.watch(relay);
    const server =
      metrics &&
      (await listenForMetrics(relay, { ...metricsAt, metrics, problem: () => relay?.problem(), log }));
    const { url, domain } = relay;
    const addresses = relay.addresses.map(formatAddress);
    const httpRedirect = relay.httpRedirect.map(formatAddress);
    const told = { url, domain, addresses, httpRedirect };
    tellListening(context, { ...told, ca: certificate.caFile, metrics: server?.url });
    // A reader that leaves, after the first line say, ends its reading and not the relay.
    await stopAsked(interrupts.signal);
    // The address is the successor's, as all the others are.
    server?.close();
    await relay.close({ drainMs: options.drain });
    return 0;
  } catch (error) {
    // Asked to stop while it waited to begin.
    if (interrupts.signal.aborted && asPortalError(error).code === 'aborted') return 0;
    const own = options.dataDir === undefined ? [] : [{ folder: dataDir, elsewhere: DATA_ELSEWHERE }];
    throw explainUnwritable(context.env, asPortalError(error), own);
  } finally {
    lists.close();
    certificate.close();
    await Promise.all([context.stdout.finish(LAST_WORDS_MS), context.stderr.finish(LAST_WORDS_MS)]);
  }
}

/** Default: sockets of systemd's, or port 80 beside port 443. */
function redirectOf(
  asked: number | boolean | undefined,
  fds: readonly number[],
): RelayOptions['httpRedirect'] {
  if (asked === false) return undefined;
  if (typeof asked === 'number') return { port: asked };
  if (fds.length > 0) return { fds };
  return { port: HTTP_PORT, ...(asked === undefined && { isOptional: true }) };
}

/** Relays that agents may go on to from here. */
async function peersOf(
  { paths, cwd }: Context,
  { peer = [], peerCa, trustPeer = [] }: Options,
): Promise<Pick<RelayOptions, 'peers' | 'trustPeers'>> {
  if (peer.length === 0 && (peerCa !== undefined || trustPeer.length > 0))
    throw usage('--peer-ca and --trust-peer need --peer');
  const origins = peer.map((url) => originOf('--peer', url));
  const anew = trustPeer.map((url) => originOf('--trust-peer', url));
  const stranger = anew.find((origin) => !origins.includes(origin));
  if (stranger !== undefined) throw usage(`--trust-peer: ${stranger} is no --peer`);
  const given = peerCa === undefined ? undefined : await readCa(resolve(cwd, peerCa));
  const peers = [...new Set(origins)].map(async (url) => {
    // One on this machine or its network can only have a certificate of the local CA.
    const isLocal = given === undefined && covers(new URL(url).hostname);
    const ca = isLocal ? (await openLocalCa(paths.caDir)).certificatePem : given;
    return { url, ...(ca !== undefined && { ca }) };
  });
  return { peers: await Promise.all(peers), trustPeers: anew };
}

function originOf(flag: string, url: string): string {
  if (URL.canParse(url) && new URL(url).protocol === 'https:') return new URL(url).origin;
  throw usage(`${flag}: ${url} is not an https:// URL`);
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw usage(`--peer-ca: ${cannotRead(file, error)}`);
  }
}

async function metricsOf(): Promise<RelayMetrics> {
  const { createMetrics } = await import('../../relay/metrics/metrics.js');
  return createMetrics({ version: packageVersion(), node: process.version });
}

async function listenForMetrics(relay: Relay, options: MetricsServerOptions): Promise<MetricsServer> {
  const { serveMetrics } = await import('../../relay/metrics/server.js');
  try {
    return await serveMetrics(options);
  } catch (error) {
    await relay.close();
    throw error;
  }
}

interface Listening {
  readonly url: string;
  /** IP addresses and ports. */
  readonly addresses: readonly string[];
  /** The same, of where plain HTTP is sent on. */
  readonly httpRedirect: readonly string[];
  readonly domain: string;
  readonly ca: string | undefined;
  readonly metrics: string | undefined;
}

function tellListening(context: Context, listening: Listening): void {
  const { url, domain, addresses, httpRedirect, ca, metrics } = listening;
  if (context.json) {
    const redirect = httpRedirect.length > 0 && { httpRedirect };
    const more = { ...redirect, ...(ca !== undefined && { ca }), ...(metrics !== undefined && { metrics }) };
    return printEvent(context, 'listening', { url, domain, addresses, ...more });
  }
  context.stdout.line(url);
  // Elsewhere stderr is the log's, and each line of it JSON.
  if (!context.stderr.isTTY) return;
  context.stderr.note(`names below ${domain} are given out here; Ctrl-C stops`);
  if (httpRedirect.length > 0)
    context.stderr.note(`http://${domain} and names below it redirect to https (${httpRedirect.join(', ')})`);
  if (metrics !== undefined) context.stderr.note(`metrics at ${metrics}`);
  if (ca === undefined) return;
  context.stderr.note(
    `certificate of the local CA ${ca}; agents elsewhere name it: relays: { urls: [{ url, ca }] }`,
  );
}

function stopAsked(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
