import { join, resolve } from 'node:path';
import { loadIdentity } from '../../identity/file.js';
import { asPortalError } from '../../lib/errors.js';
import { descriptorLimit } from '../../lib/descriptor-limit.js';
import type { Logger } from '../../lib/logger.js';
import { packageFile } from '../../lib/package-file.js';
import { warnOfFewDescriptors } from '../../relay/protection/descriptors.js';
import type { PortRange } from '../../relay/leases/ports.js';
import { findSqlite } from '../../relay/store/sqlite-driver.js';
import type { RelayOptions } from '../../relay/relay.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { dnsServers } from '../dns-servers.js';
import { inheritedFds, sharedSocket } from '../relay/inherited-socket.js';
import { explainMissingSqlite } from '../relay/install-sqlite.js';
import { type Interrupts, listenForInterrupts } from '../interrupts.js';
import { parseListenAddress, parseListenAddresses, proxiesOf } from '../listen-address.js';
import { certificateSource, openRelayCertificate, type CertificateOptions } from '../relay/certificate.js';
import { clusterPlace, type ClusterOptions } from '../relay/cluster.js';
import { followLists } from '../relay/lists.js';
import { checkPlaces, explainListen, unreachableFromOutside } from '../relay/listen.js';
import { parseLimits } from '../relay/limits.js';
import { heldWarnings, relayLogger, type LogLevel } from '../relay/log.js';
import { readPeers, trusting, type PeerOptions } from '../relay/peers.js';
import { logListening, reportListening } from '../relay/report.js';
import { startRelayProcesses, workerName } from '../relay/start.js';
import { explainUnwritable } from '../unwritable.js';

interface Options extends CertificateOptions, ClusterOptions, PeerOptions {
  /** As typed. */
  readonly listen?: readonly string[];
  readonly publicPort?: number;
  /** As typed. */
  readonly acceptProxyProtocol?: readonly string[];
  /** True: port 80, because no port was given. */
  readonly httpRedirect?: number | boolean;
  readonly tcpPorts?: PortRange;
  readonly udpPorts?: PortRange;
  /** DNS servers, as typed. */
  readonly dns?: readonly string[];
  /** `NAME=VALUE`, as typed. */
  readonly limit?: readonly string[];
  readonly deny?: string;
  readonly allow?: string;
  readonly reservedLabels?: string;
  readonly agents: boolean;
  readonly dataDir?: string;
  /** As typed. */
  readonly metrics?: string;
  /** `drain` and `takeOver` are in milliseconds. */
  readonly drain: number;
  readonly takeOver?: number;
  readonly workers: number;
  readonly logLevel: LogLevel;
}

/** The built agents page. */
const AGENTS_WEB_DIR = packageFile('dist/web-relay');

const DEFAULT_LISTEN = '127.0.0.1:8443';
const HTTP_PORT = 80;
const DATA_ELSEWHERE = 'choose another folder with --data-dir';
/** How long the exit waits for a slow reader of the output. */
const FLUSH_MS = 1_000;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const worker = workerName(context);
  if (worker !== undefined) return (await import('../relay/workers.js')).runWorker(context, worker, options);
  const log = relayLogger(context, options.logLevel);
  let reload: (() => Promise<void>) | undefined;
  // Before slow steps. On a terminal, SIGHUP means that the terminal closes.
  const interrupts = listenForInterrupts({
    onSignal: (signal) => log.info({ signal }, 'received a signal'),
    onIgnored: (signal) => log.warn({ signal }, 'this signal does nothing; SIGHUP reloads the files'),
    ...(!context.stderr.isTTY && { onHangup: () => void reload?.() }),
  });
  try {
    const prepared = prepare(context, options, log);
    const parts = await Promise.race([prepared, untilStopped(interrupts.signal)]);
    if (!parts) {
      // Nothing listens yet. Open files close with the process.
      prepared.catch(() => undefined);
      return 0;
    }
    reload = async () => {
      const areValid = await Promise.all([parts.lists.reload(), parts.certificate.reload()]);
      if (areValid.every(Boolean)) log.info({}, 'reloaded lists and certificate');
      else log.warn({}, 'did not reload every file; the errors are above');
    };
    return await serve(context, { options, parts, interrupts, log });
  } catch (error) {
    throw await explainListen(asPortalError(error));
  } finally {
    interrupts.dispose();
  }
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

/** Reads and checks everything a relay needs, before it listens. */
async function prepare(context: Context, options: Options, log: Logger) {
  const listen = options.listen ?? [DEFAULT_LISTEN];
  const { hosts, port } = parseListenAddresses(listen);
  const tls = certificateSource(options, context.cwd);
  const limits = parseLimits(options.limit ?? []);
  // Everything that can fail comes before the first file: SQLite, lists, addresses.
  const cluster = await clusterPlace(context, options, log);
  if (!cluster)
    await findSqlite().catch((error: unknown) => {
      throw explainMissingSqlite(asPortalError(error), context.cwd);
    });
  const servers = options.dns && dnsServers(options.dns);
  const dataDir =
    options.dataDir === undefined ? context.paths.relayDir : resolve(context.cwd, options.dataDir);
  const descriptors = await descriptorLimit();
  const early = heldWarnings(log, context.stderr.isTTY);
  warnOfFewDescriptors(descriptors, limits, early);
  const fds = inheritedFds(context.env, process.pid);
  const metricsAt = options.metrics === undefined ? undefined : parseListenAddress(options.metrics);
  const lists = await followLists(context, options, log);
  const peers = await readPeers(context, options);
  // With --take-over, another relay has the addresses and releases them later.
  if (options.takeOver === undefined)
    await checkPlaces([
      ...(fds ? [] : [{ hosts, port, option: '--listen HOST:PORT' }]),
      ...(typeof options.httpRedirect === 'number'
        ? [{ hosts, port: options.httpRedirect, option: '--http-redirect PORT' }]
        : []),
      ...(cluster
        ? [{ hosts: [cluster.listen.host], port: cluster.listen.port, option: '--node-address HOST:PORT' }]
        : []),
      ...(metricsAt
        ? [{ hosts: [metricsAt.host], port: metricsAt.port, option: '--metrics HOST:PORT' }]
        : []),
    ]);
  const unreachable = fds ? undefined : unreachableFromOutside({ ...options, hosts, port });
  if (unreachable) early.warn({ listen, hint: unreachable.hint }, unreachable.message);
  // The first files that a new relay creates.
  const certificate = await openRelayCertificate(
    context,
    { domain: options.domain, tls, files: cluster?.files },
    log,
  );
  const relay = {
    domain: options.domain,
    host: hosts,
    port,
    ...(fds && { socket: sharedSocket(fds.public, join(dataDir, 'serving.sock')) }),
    httpRedirect: redirectOf(options.httpRedirect, fds?.http ?? []),
    ...(options.publicPort !== undefined && { publicPort: options.publicPort }),
    nodeHost: cluster?.nodeHost,
    proxies: proxiesOf(options.acceptProxyProtocol),
    ...certificate.options,
    ...(servers && { dnsServers: servers }),
    ports: {
      ...(options.tcpPorts && { tcp: options.tcpPorts }),
      ...(options.udpPorts && { udp: options.udpPorts }),
    },
    limits,
    descriptorLimit: descriptors,
    agents: options.agents && { webDir: AGENTS_WEB_DIR },
    ...(await trusting(context, peers)),
    ...lists.first,
    store: { file: join(dataDir, 'relay.db') },
  } satisfies Partial<RelayOptions>;
  return {
    relay,
    at: fds ? 'shared socket' : listen.join(','),
    certificate,
    lists,
    dataDir,
    metricsAt,
    cluster,
    early,
  };
}

interface Serving {
  readonly options: Options;
  readonly parts: Prepared;
  readonly interrupts: Interrupts;
  readonly log: Logger;
}

/** Serves until a signal stops it. */
async function serve(context: Context, { options, parts, interrupts, log }: Serving): Promise<ExitCode> {
  const { certificate, lists, dataDir, metricsAt, cluster, early } = parts;
  try {
    const relayOptions = {
      ...parts.relay,
      takeOver: {
        takeOverMs: options.takeOver,
        signal: interrupts.signal,
        onWait: () => log.info({ listen: parts.at }, 'waiting until another relay releases the address'),
      },
      identity: await loadIdentity(join(dataDir, 'identity.json'), {
        create: true,
        onCreated: ({ address }) =>
          log.info({ identity: address, folder: dataDir }, 'created the identity of this relay'),
      }),
      log,
    };
    const { workers } = options;
    const started = await startRelayProcesses(context, relayOptions, { workers, cluster, metricsAt, log });
    const { relay, metricsServer, lost } = started;
    // The files may have changed while the relay was starting.
    lists.follow(relay);
    certificate.follow(relay);
    if (options.acme && relay.publicPort !== 443)
      early.warn(
        {
          port: relay.publicPort,
          hint: 'Listen on port 443, or let a NAT or proxy forward it and add --public-port 443.',
        },
        'public CAs validate on port 443 only, and this relay uses another port',
      );
    const listening = { relay, ca: certificate.caFile, metrics: metricsServer?.url };
    if (!context.stderr.isTTY || context.json) logListening(log, listening);
    reportListening(context, listening);
    early.release();
    // A closed stdout does not stop the relay: a reader may need only the first line.
    await Promise.race([untilStopped(interrupts.signal), ...(lost ? [lost] : [])]);
    // Release the address for the next relay.
    metricsServer?.close();
    await relay.close({ drainMs: options.drain });
    return 0;
  } catch (error) {
    // A signal came while it waited for the address.
    if (interrupts.signal.aborted && asPortalError(error).code === 'aborted') return 0;
    const own = options.dataDir === undefined ? [] : [{ folder: dataDir, elsewhere: DATA_ELSEWHERE }];
    throw explainUnwritable(context.env, asPortalError(error), own);
  } finally {
    lists.close();
    certificate.close();
    await Promise.all([context.stdout.finish(FLUSH_MS), context.stderr.finish(FLUSH_MS)]);
  }
}

/** Default: sockets from systemd, else port 80 if the relay listens on port 443. */
function redirectOf(
  asked: number | boolean | undefined,
  fds: readonly number[],
): RelayOptions['httpRedirect'] {
  if (asked === false) return undefined;
  if (typeof asked === 'number') return { port: asked };
  if (fds.length > 0) return { fds };
  return { port: HTTP_PORT, ...(asked === undefined && { isOptional: true }) };
}

function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
