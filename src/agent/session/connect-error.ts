import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { isLoopback } from '../../net/target/target.js';
import { alertIn, TLS_ALERT } from '../../net/tls/alert.js';
import { UNTRUSTED } from '../../net/tls/untrusted.js';
import { relayYaml } from '../../lib/relay-yaml.js';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { CHECK_DNS, failureReason } from '../../lib/failure-reason.js';
import { checkClock } from '../../lib/wall-clock.js';
import type { RelayEndpoint } from './relay-endpoint.js';

/** The error for a relay that was unreachable. */
export function connectError(error: unknown, { url, ca }: Pick<RelayEndpoint, 'url' | 'ca'>): PortalError {
  if (error instanceof PortalError && error.code === 'timeout' && error.hint === undefined)
    return new PortalError('timeout', error.message, {
      cause: error,
      hint: `Check that the relay runs. A firewall may drop packets: open port ${portOf(url)} over TCP on the server and at its hosting provider.`,
    });
  if (error instanceof PortalError && error.code !== 'internal') return error;
  const system = systemCode(error);
  // Node 24 adds a hint about its own options.
  const reason = asPortalError(error).message.replace(/; if the root CA is installed locally.*$/s, '');
  if (system === 'CERT_NOT_YET_VALID') return notYetValid(error, url);
  if (system && UNTRUSTED.has(system)) return untrusted(error, { system, reason, url, ca });
  const { why, hint } = handshakeFailure(reason, url) ??
    networkFailure(system, url) ?? { why: system === undefined ? reason : failureReason(error) };
  return new PortalError('relay_unreachable', `${url} is unreachable: ${why}`, {
    cause: error,
    ...(hint !== undefined && { hint }),
  });
}

/** Not `relay_untrusted`, which is final: a machine without a clock of its own starts in the past, until it has the time from the network. */
function notYetValid(cause: unknown, url: string): PortalError {
  return new PortalError('relay_unreachable', `the certificate of ${url} is not valid yet`, {
    cause,
    hint: checkClock(),
  });
}

interface Untrusted {
  readonly system: string;
  readonly reason: string;
  readonly url: string;
  readonly ca: string | undefined;
}

function untrusted(cause: unknown, { system, reason, url, ca }: Untrusted): PortalError {
  const error = (message: string, hint: string): PortalError =>
    new PortalError('relay_untrusted', message, { cause, hint });
  const message = `the certificate of ${url} is not trusted: ${reason}`;
  if (system === 'CERT_HAS_EXPIRED')
    return error(message, "Tell the operator of the relay, and check this machine's clock.");
  if (system === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return error(message, `${ITS_URL} The message has the names of its certificate.`);
  if (ca !== undefined)
    return error(`the CA of \`ca:\` did not issue the certificate of ${url}`, otherCa(ca));
  const missing = `If the relay has a private CA, write its file in portal.yaml: \`${relayYaml(url, './ca.pem')}\``;
  // No proxy is between this machine and itself.
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const byAddress = isIP(host) === 0 ? '' : ` A relay has no certificate for an IP address. ${ITS_URL}`;
  if (isLoopback(host)) return error(message, `${missing}${byAddress}`);
  return error(
    message,
    `If a proxy on your network intercepts TLS, have the relay's host exempted. ${missing}${byAddress}`,
  );
}

/** The hint for a relay whose certificate is not from the configured CA. */
function otherCa(pem: string): string {
  return [
    "The relay may have a new CA, or a proxy on your network intercepts TLS. Get the CA file from the relay's operator, and replace the file of `ca:`.",
    'First compare the SHA-256 fingerprint (openssl x509 -noout -fingerprint -sha256 -in FILE) with the operator, through another channel.',
    ...(fingerprintOf(pem) ?? []),
    'If the relay now has a certificate from a public CA, remove `ca:`.',
  ].join(' ');
}

function fingerprintOf(pem: string): string[] | undefined {
  try {
    return [`The current file has ${new X509Certificate(pem).fingerprint256}.`];
  } catch {
    return undefined;
  }
}

/** A relay accepts no other name than its domain. */
const ITS_URL = 'Use the URL that `portal relay` prints, with the name of its --domain.';

const portOf = (url: string): string => new URL(url).port || '443';

/** Undefined for failures that need no explanation. */
function networkFailure(system: string | undefined, url: string): { why: string; hint: string } | undefined {
  const { hostname } = new URL(url);
  if (system === 'ENOTFOUND')
    return {
      why: `${hostname} has no address in DNS (ENOTFOUND)`,
      hint: `Check the name, and that this machine is online. If the relay is yours, create the DNS records ${hostname} and *.${hostname}.`,
    };
  if (system === 'EAI_AGAIN')
    return {
      why: failureReason({ code: system }),
      hint: `${CHECK_DNS} The agent retries.`,
    };
  if (system === 'ECONNREFUSED')
    return {
      why: `nothing listens on port ${portOf(url)} (ECONNREFUSED)`,
      hint: `Start the relay. If it runs, open port ${portOf(url)} over TCP in the firewall of its server.`,
    };
  return undefined;
}

/** Undefined if the TLS handshake was not the cause. */
function handshakeFailure(reason: string, url: string): { why: string; hint?: string } | undefined {
  if (/wrong version number|packet length too long|record layer failure/.test(reason))
    return { why: 'it does not speak TLS on this port', hint: 'Check the port in the URL of the relay.' };
  const alert = alertIn(reason);
  if (alert === undefined) return undefined;
  const sent = `(TLS alert ${alert})`;
  if (alert === TLS_ALERT.handshakeFailure)
    return {
      why: `it has no certificate yet ${sent}`,
      hint: 'A new relay requests its certificate from its CA, which usually takes a few seconds. The agent retries. If it takes longer than a minute, read the log of the relay.',
    };
  if (alert === TLS_ALERT.unrecognizedName)
    return {
      why: `it does not accept the name ${new URL(url).hostname} ${sent}`,
      hint: `${ITS_URL} The operator of the relay knows it.`,
    };
  return { why: `it aborted the TLS handshake ${sent}` };
}
