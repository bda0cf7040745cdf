import { X509Certificate } from 'node:crypto';
import { causeOf } from './cas.js';
import { readCertificateFiles } from '../../certificates/files.js';
import { covers } from '../../certificates/local-names.js';
import { AcmeStore, type RejectedOrder } from '../../certificates/acme/store.js';
import { expiresSoon } from '../../certificates/source.js';
import { LETS_ENCRYPT, sourceFor, type AcmeSpec, type TlsSpec } from '../../certificates/spec.js';
import { formatEnd } from '../text/amounts.js';
import { nextTry } from '../reporters/describe.js';
import type { Subject } from './report.js';
import type { ServiceContext } from './service.js';

/** Checks that a hostname's certificate exists or can be issued. */

export async function checkCertificate(
  spec: TlsSpec,
  hostname: string,
  context: ServiceContext,
  subject: Subject,
): Promise<void> {
  const tls = sourceFor(spec, hostname);
  if (tls.source === 'files') return checkFiles(tls, hostname, subject);
  if (tls.source === 'acme') return checkAcme(tls, hostname, context, subject);
  if (covers(hostname))
    subject.ok('service.certificate', `the local CA can issue a certificate for ${hostname}`);
  else
    subject.problem(
      'service.certificate',
      `the local CA cannot issue a certificate for ${hostname}`,
      'Use a relay on port 443 without `tls: local`, or your own certificate, `tls: { cert, key }`.',
    );
}

async function checkFiles(
  tls: Extract<TlsSpec, { source: 'files' }>,
  hostname: string,
  subject: Subject,
): Promise<void> {
  try {
    const certificate = await readCertificateFiles(tls, hostname);
    const { notAfter } = certificate;
    const message = `${tls.certFile} is valid for ${hostname} until ${formatEnd(notAfter)}`;
    const facts = { expiresAt: notAfter.toISOString() };
    if (expiresSoon(new X509Certificate(certificate.cert)))
      subject.warning(
        'service.certificate',
        message,
        'Renew it. The agent loads the new file automatically.',
        facts,
      );
    else subject.ok('service.certificate', message, facts);
  } catch (error) {
    subject.failed('service.certificate', error);
  }
}

async function checkAcme(
  spec: AcmeSpec,
  hostname: string,
  { acmeDir, names, relays, cas }: ServiceContext,
  subject: Subject,
): Promise<void> {
  try {
    const store = new AcmeStore(acmeDir, spec.directory);
    const stored = await store.read(hostname);
    const rejection = await store.rejection(hostname);
    const isValid = stored !== undefined && stored.notAfter.getTime() > Date.now();
    if (rejection) reportRejection(rejection, store.rejectionFileOf(hostname), { isValid, subject });
    else if (!stored) reportNoCertificate(hostname, subject);
    if (isValid)
      subject.ok(
        'service.certificate',
        `the stored certificate for ${hostname} is valid until ${formatEnd(stored.notAfter)}`,
        { expiresAt: stored.notAfter.toISOString() },
      );
    else if (stored)
      subject.warning(
        'service.certificate',
        `the stored certificate for ${hostname} expired on ${formatEnd(stored.notAfter)}`,
        'Run `portal up`: it orders a new one automatically.',
        { expiresAt: stored.notAfter.toISOString() },
      );
  } catch (error) {
    subject.failed('service.certificate', error);
  }
  let identities: readonly string[] = [];
  try {
    identities = await cas.caaIdentities(spec);
    subject.ok('service.acme', `the CA at ${new URL(spec.directory).host} responds`);
  } catch (error) {
    subject.failed('service.acme', error, { cause: causeOf(spec) });
  }
  for (const { port, key } of relays) {
    if (port === 443 || spec.directory !== LETS_ENCRYPT) continue;
    subject.problem(
      'service.acme.port',
      `Let's Encrypt validates on port 443, and ${key} is on port ${port}`,
      'Use a relay on port 443, unless a proxy in front of it forwards port 443.',
    );
  }
  // The first relay of a chain may run this domain's name server. A lookup would reveal this machine's address to it.
  if (relays.some(({ inChain, domain }) => inChain && hostname.endsWith(`.${domain}`))) return;
  const found = await names.caa(hostname).catch(() => undefined);
  const allowed = found?.records.flatMap(({ issue }) =>
    issue === undefined ? [] : [issue.split(';')[0]!.trim()],
  );
  if (!found || !allowed || allowed.length === 0 || identities.length === 0) return;
  if (allowed.some((name) => identities.includes(name)))
    subject.ok('service.caa', `the CAA records of ${found.domain} allow this CA`);
  else
    subject.problem(
      'service.caa',
      `the CAA records of ${found.domain} do not allow this CA, only ${allowed.filter(Boolean).join(', ') || 'none'}`,
      `Add the record: ${found.domain}. CAA 0 issue "${identities[0]}"`,
    );
}

/** @param isValid whether the current certificate is valid, so that only its renewal failed */
function reportRejection(
  { error, nextAt }: RejectedOrder,
  file: string,
  { isValid, subject }: { readonly isValid: boolean; readonly subject: Subject },
): void {
  const waitMs = nextAt - Date.now();
  const next = waitMs > 0 ? `; ${nextTry(waitMs)}` : '';
  const sooner = `To try at once after a fix, stop the agent, delete ${file}, and start it again.`;
  subject[isValid ? 'warning' : 'problem'](
    'service.certificate',
    `${error.message}${next}`,
    [error.hint, waitMs > 0 && error.code === 'acme_rejected' && sooner].filter(Boolean).join(' ') ||
      undefined,
  );
}

/** The order needs what the checks before found missing. */
function reportNoCertificate(hostname: string, subject: Subject): void {
  const isInDns = !subject.findings.some(
    ({ check, level, message }) => check === 'service.dns' && level !== 'ok' && message.includes(hostname),
  );
  if (isInDns)
    subject.ok(
      'service.certificate',
      `no certificate for ${hostname} yet; the agent orders one on first use`,
    );
  else
    subject.warning(
      'service.certificate',
      `no certificate for ${hostname} yet; the CA issues none while its DNS record is missing or wrong`,
    );
}
