import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { openLocalCa } from '../../certificates/local-ca.js';
import { loadIdentity } from '../../identity/file.js';
import { PortalError, asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { PortRange } from '../../relay/ports.js';
import { startRelay } from '../../relay/relay.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { LOOPBACK_NAMES } from '../embedded.js';
import { listenForInterrupts } from '../interrupts.js';
import { parseListenAddress } from '../listen-address.js';
import { printEvent } from '../print.js';
import { relayLogger, type LogLevel } from '../relay-log.js';
import { refuseUnsupported } from '../unsupported.js';

interface Options {
  readonly domain: string;
  readonly listen: string;
  readonly publicPort?: number;
  readonly tcpPorts?: PortRange;
  readonly udpPorts?: PortRange;
  readonly cert?: string;
  readonly key?: string;
  readonly dataDir?: string;
  readonly logLevel: LogLevel;
}

const DRAIN_MS = 10_000;
const LAST_WORDS_MS = 1_000;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  refuseUnsupported('relay', options);
  const { host, port } = parseListenAddress(options.listen);
  const log = await relayLogger(context.stderr, options.logLevel);
  const certificate = await certificateOf(context, options, log);
  const dataDir =
    options.dataDir === undefined ? context.paths.relayDir : resolve(context.cwd, options.dataDir);
  const interrupts = listenForInterrupts();
  try {
    const relay = await startRelay({
      domain: options.domain,
      host,
      port,
      ...(options.publicPort === undefined ? {} : { publicPort: options.publicPort }),
      tls: certificate,
      ports: {
        ...(options.tcpPorts && { tcp: options.tcpPorts }),
        ...(options.udpPorts && { udp: options.udpPorts }),
      },
      store: { file: join(dataDir, 'relay.db') },
      identity: await loadIdentity(join(dataDir, 'identity.json'), { create: true }),
      log,
    });
    tellListening(context, { url: relay.url, domain: relay.domain, ca: certificate.caFile });
    // A reader that leaves, after the first line say, ends its reading and not the relay.
    await stopAsked(interrupts.signal);
    await relay.close({ drainMs: DRAIN_MS });
    return 0;
  } finally {
    interrupts.dispose();
    await Promise.all([context.stdout.finish(LAST_WORDS_MS), context.stderr.finish(LAST_WORDS_MS)]);
  }
}

interface Listening {
  readonly url: string;
  readonly domain: string;
  readonly ca: string | undefined;
}

function tellListening(context: Context, { url, domain, ca }: Listening): void {
  if (context.json) return printEvent(context, 'listening', { url, domain, ...(ca !== undefined && { ca }) });
  context.stdout.line(url);
  // Elsewhere stderr is the log's, and each line of it JSON.
  if (!context.stderr.isTTY) return;
  context.stderr.line(`names below ${domain} are given out here; Ctrl-C stops`);
  if (ca === undefined) return;
  context.stderr.line(
    `certificate of the local CA ${ca}; agents elsewhere name it: relays: { urls: [{ url, ca }] }`,
  );
}

interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** The local CA's file, if it is from there. */
  readonly caFile?: string;
}

async function certificateOf(context: Context, options: Options, log: Logger): Promise<Certificate> {
  const { cert, key, domain } = options;
  if (cert !== undefined && key !== undefined)
    return readCertificate(context.cwd, { cert, key, domain }, log);
  if (cert !== undefined || key !== undefined) throw new PortalError('usage', '--cert and --key go together');
  const ca = await openLocalCa(context.paths.caDir, { log });
  if (!ca.covers(domain)) {
    throw new PortalError('usage', `a relay for ${domain} needs a certificate of its own`, {
      hint: 'Name it with --cert and --key. Only names such as localhost or *.test have one made for them.',
    });
  }
  const names = domain === 'localhost' ? LOOPBACK_NAMES : [domain, ...LOOPBACK_NAMES];
  return { ...(await ca.issue(names)), caFile: ca.certificateFile };
}

async function readCertificate(
  cwd: string,
  files: { cert: string; key: string; domain: string },
  log: Logger,
): Promise<Certificate> {
  const [cert, key] = await Promise.all([readPem(cwd, files.cert), readPem(cwd, files.key)]);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new PortalError('usage', `${files.cert} and ${files.key} do not make a certificate with its key`, {
      cause: error,
      hint: 'Both are PEM; --cert holds the chain, the own certificate first.',
    });
  }
  const { validTo, ...certificate } = inspect(cert);
  if (!certificate.fits(files.domain))
    log.warn({ domain: files.domain }, 'the certificate is not for this domain');
  log.info({ validTo }, 'certificate loaded');
  return { cert, key };
}

function inspect(pem: string): { validTo: string; fits: (domain: string) => boolean } {
  const certificate = new X509Certificate(pem);
  return { validTo: certificate.validTo, fits: (domain) => certificate.checkHost(domain) !== undefined };
}

async function readPem(cwd: string, file: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, file), 'utf8');
  } catch (error) {
    throw new PortalError('usage', `${file} cannot be read: ${asPortalError(error).message}`, {
      cause: error,
    });
  }
}

function stopAsked(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
