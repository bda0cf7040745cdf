import { resolve } from 'node:path';
import { AcmeCertificates } from '../certificates/acme/certificates.js';
import { LiveCertificate } from '../certificates/live.js';
import { openLocalCa } from '../certificates/local-ca.js';
import { covers } from '../certificates/local-names.js';
import { LocalCertificates, type ServingCertificate } from '../certificates/source.js';
import { LETS_ENCRYPT, type TlsSpec } from '../certificates/spec.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { Relay, RelayOptions } from '../relay/relay.js';
import type { Context } from './context.js';
import { proxyFor } from './proxy.js';
import { LOOPBACK_NAMES } from './embedded.js';

/** What `portal relay` was told of its certificate. */
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
  /** What a relay is started with. */
  readonly options: Pick<RelayOptions, 'tls' | 'challenges'>;
  /** The local CA's file, if it is from there. */
  readonly caFile: string | undefined;
  /** Has `relay` serve what comes later: the first one of a CA, a renewal, files that changed. */
  follow(relay: Relay): void;
  /** Looks at the source now. What fails is logged, and the one before is served on. */
  reread(): Promise<void>;
  close(): void;
}

export async function openRelayCertificate(
  { paths, cwd }: Context,
  options: CertificateOptions,
  log: Logger,
): Promise<RelayCertificate> {
  const { domain } = options;
  const tls = sourceOf(options, cwd);
  const openCa = () => openLocalCa(paths.caDir, { log });
  if (tls.source === 'local' && !covers(domain)) {
    throw new PortalError('usage', `a relay for ${domain} needs a certificate of its own`, {
      hint: 'Have one made with --acme, or name it with --cert and --key. Only names such as localhost or *.test have one made for them by the local CA.',
    });
  }
  const local = new LocalCertificates(openCa, (hostname) =>
    hostname === 'localhost' ? LOOPBACK_NAMES : [hostname, ...LOOPBACK_NAMES],
  );
  const acme = new AcmeCertificates({ folder: paths.acmeDir, log, proxyFor });
  const stop = new AbortController();
  let relay: Relay | undefined;
  let latest: ServingCertificate | undefined;
  const serve = (certificate: ServingCertificate): void => {
    latest = certificate;
    relay?.serveCertificate(certificate);
  };
  const live = new LiveCertificate({ hostname: domain, tls, sources: { local, acme }, onNew: serve, log });
  const close = (): void => {
    stop.abort();
    live.close();
    acme.close();
  };
  // A CA asks the relay for the answer, which therefore has to listen first.
  if (tls.source !== 'acme') {
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
      // It may have changed while the relay was starting.
      if (latest) relay.serveCertificate(latest);
      // What fails is logged, and tried again, by the certificate itself.
      if (tls.source === 'acme') live.open(stop.signal).then(serve, () => undefined);
    },
    reread: () => live.reread(),
    close,
  };
}

function sourceOf(options: CertificateOptions, cwd: string): TlsSpec {
  const { cert, key, acme, acmeDirectory, acmeEmail, acmeCa } = options;
  if ((cert === undefined) !== (key === undefined))
    throw new PortalError('usage', '--cert and --key go together');
  if (!acme && (acmeDirectory ?? acmeEmail ?? acmeCa) !== undefined)
    throw new PortalError('usage', '--acme-directory, --acme-email and --acme-ca need --acme');
  if (acme && cert !== undefined)
    throw new PortalError('usage', '--acme excludes --cert and --key', {
      hint: 'Either a CA is asked for a certificate, or you bring one.',
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

/** What is wrong with the files is what somebody typed. */
function asUsage(error: unknown): PortalError {
  const { code, message, hint } = asPortalError(error);
  if (code !== 'certificate_unavailable') return asPortalError(error);
  return new PortalError('usage', message, { cause: error, ...(hint !== undefined && { hint }) });
}
