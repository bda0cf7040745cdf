import { resolve } from 'node:path';
import { AcmeCertificates } from '../../certificates/acme/certificates.js';
import type { CertificateFiles } from '../../certificates/acme/files.js';
import { LiveCertificate } from '../../certificates/live.js';
import { openLocalCa } from '../../certificates/local-ca.js';
import { covers } from '../../certificates/local-names.js';
import {
  LocalCertificates,
  type CertificateNews,
  type ServingCertificate,
} from '../../certificates/source.js';
import { LETS_ENCRYPT, type TlsSpec } from '../../certificates/spec.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { Relay, RelayOptions } from '../../relay/relay.js';
import type { Context } from '../context.js';
import { proxyFor } from '../proxy.js';
import { termsAgreed } from '../../reconcile/notices.js';
import { LOOPBACK_NAMES } from '../../library/embedded.js';

/** Options of `portal relay` for its certificate. */
export interface CertificateOptions {
  readonly domain: string;
  readonly cert?: string;
  readonly key?: string;
  readonly acme?: boolean;
  readonly acmeDirectory?: string;
  readonly acmeEmail?: string;
  readonly acmeCa?: string;
}

/** A relay's own certificate, from the same sources as an agent's. */
export interface RelayCertificate {
  /** Options for starting the relay. */
  readonly options: Pick<RelayOptions, 'tls' | 'challenges'>;
  /** The file of the local CA, if it issued the certificate. */
  readonly caFile: string | undefined;
  /** Gives `relay` each later certificate: the first one from a CA, renewals, changed files. */
  follow(relay: Pick<Relay, 'serveCertificate'>): void;
  /** Loads the certificate again. Resolves with whether it is valid; otherwise it is logged why, and the relay keeps the current one. */
  reload(): Promise<boolean>;
  close(): void;
}

export interface RelayCertificateOptions {
  readonly domain: string;
  readonly tls: TlsSpec;
  /** What the nodes of the relay share, for certificates of a CA. Default: the data folder of this process. */
  readonly files: CertificateFiles | undefined;
}

export async function openRelayCertificate(
  { paths }: Context,
  { domain, tls, files }: RelayCertificateOptions,
  log: Logger,
): Promise<RelayCertificate> {
  const openCa = () => openLocalCa(paths.caDir, { log });
  const local = new LocalCertificates(openCa, (hostname) =>
    hostname === 'localhost' ? LOOPBACK_NAMES : [hostname, ...LOOPBACK_NAMES],
  );
  const acme = new AcmeCertificates({
    folder: paths.acmeDir,
    log,
    proxyFor,
    owner: 'relay',
    files,
    onTermsAgreed: (directory) => log.info({}, termsAgreed(directory).message),
  });
  const stop = new AbortController();
  let relay: Pick<Relay, 'serveCertificate'> | undefined;
  let latest: ServingCertificate | undefined;
  const serve = (certificate: ServingCertificate): void => {
    latest = certificate;
    relay?.serveCertificate(certificate);
    log.info({ notAfter: certificate.notAfter.toISOString() }, 'serving a new certificate');
  };
  const live = new LiveCertificate({
    hostname: domain,
    tls,
    sources: { local, acme },
    onNew: serve,
    // AcmeCertificates logs its failures.
    onNews: (news) => (tls.source === 'acme' && news.kind === 'failed' ? undefined : logNews(news, log)),
  });
  const close = (): void => {
    stop.abort();
    live.close();
    acme.close();
  };
  if (tls.source === 'acme') latest = await stored(live, stop.signal, log);
  else {
    latest = await live.open(stop.signal).catch((error: unknown) => {
      close();
      throw asUsage(error);
    });
  }
  return {
    options: { tls: latest, challenges: acme.challenges },
    caFile: local.caFile,
    follow: (listening) => {
      relay = listening;
      // The certificate may have changed while the relay was starting.
      if (latest) relay.serveCertificate(latest);
      // LiveCertificate logs errors and retries.
      if (tls.source === 'acme')
        live.open(stop.signal).then(
          (certificate) => void (certificate !== latest && serve(certificate)),
          () => undefined,
        );
    },
    reload: () => live.reread(),
    close,
  };
}

function logNews(news: CertificateNews, log: Logger): void {
  const notAfter = news.notAfter.toISOString();
  switch (news.kind) {
    case 'failed': {
      const { message: reason, hint } = news.error;
      const fields = { reason, ...(hint !== undefined && { hint }), notAfter };
      return log.warn(fields, 'the new certificate is invalid; still serving the old one');
    }
    case 'restored':
      return log.info({ notAfter }, 'the certificate in the file is valid again');
    case 'expires': {
      const fields = { notAfter, ...(news.file !== undefined && { file: news.file }) };
      if (news.notAfter.getTime() > Date.now()) return log.warn(fields, 'the certificate expires soon');
      return log.error(fields, 'the certificate has expired; agents cannot connect');
    }
    default:
  }
}

/** The nodes of a relay may share a database that does not respond. The relay must start without it. */
const STORED_MS = 2_000;

/**
 * The certificate from before, so that the first connection to the relay itself does not fail. A CA validates a new one
 * through the relay, which must listen first.
 */
async function stored(
  live: LiveCertificate,
  signal: AbortSignal,
  log: Logger,
): Promise<ServingCertificate | undefined> {
  try {
    const certificate = await live.stored(signal, STORED_MS);
    if (certificate)
      log.info({ notAfter: certificate.notAfter.toISOString() }, 'serving the stored certificate');
    return certificate;
  } catch (error) {
    log.warn({ reason: asPortalError(error).message }, 'cannot read the stored certificate yet');
    return undefined;
  }
}

/** The source of the certificate that the options choose. Throws `usage` if it cannot certify the domain. */
export function certificateSource(options: CertificateOptions, cwd: string): TlsSpec {
  const tls = sourceOf(options, cwd);
  const { domain } = options;
  if (tls.source === 'local' && !covers(domain)) {
    throw new PortalError(
      'usage',
      `a relay for ${domain} needs a certificate from a public CA or from files`,
      {
        hint: 'Use --acme, or --cert and --key. The local CA issues certificates only for names such as localhost or *.test.',
      },
    );
  }
  if (tls.source !== 'acme') return tls;
  if (domain === 'localhost')
    throw new PortalError('usage', '--acme needs --domain, because no CA certifies localhost', {
      hint: 'Add the domain of the relay, for example --domain tunnel.example.com.',
    });
  if (covers(domain) && tls.directory === LETS_ENCRYPT)
    throw new PortalError('usage', `Let's Encrypt does not certify ${domain}, a name for local use`, {
      hint: 'Use a public domain, or name your own CA with --acme-directory. Without --acme, the local CA issues the certificate.',
    });
  return tls;
}

function sourceOf(options: CertificateOptions, cwd: string): TlsSpec {
  const { cert, key, acme, acmeDirectory, acmeEmail, acmeCa } = options;
  if ((cert === undefined) !== (key === undefined))
    throw new PortalError('usage', '--cert and --key must be used together');
  if (!acme && (acmeDirectory ?? acmeEmail ?? acmeCa) !== undefined)
    throw new PortalError('usage', '--acme-directory, --acme-email and --acme-ca need --acme');
  if (acme && cert !== undefined)
    throw new PortalError('usage', '--acme cannot be used with --cert and --key', {
      hint: 'Get the certificate from a CA with --acme, or from files with --cert and --key.',
    });
  if (cert !== undefined && key !== undefined)
    return { source: 'files', certFile: resolve(cwd, cert), keyFile: resolve(cwd, key) };
  if (!acme) return { source: 'local' };
  const directory = acmeDirectory ?? LETS_ENCRYPT;
  if (!URL.canParse(directory) || new URL(directory).protocol !== 'https:')
    throw new PortalError('usage', `--acme-directory: ${directory} is not an https:// URL`);
  return {
    source: 'acme',
    directory,
    ...(acmeEmail !== undefined && { email: acmeEmail }),
    ...(acmeCa !== undefined && { caFile: resolve(cwd, acmeCa) }),
  };
}

/** Turns an error in certificate files into a usage error, because options name the files. */
function asUsage(error: unknown): PortalError {
  const { code, message, hint } = asPortalError(error);
  if (code !== 'certificate_unavailable') return asPortalError(error);
  return new PortalError('usage', message, { cause: error, ...(hint !== undefined && { hint }) });
}
