import { isLoopback } from '../net/target.js';
import { relayYaml } from '../lib/relay-yaml.js';
import { asPortalError, PortalError, systemCode } from '../lib/errors.js';

/** Node's codes for certificates that it rejects. */
export const UNTRUSTED: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** TLS alerts of a server (RFC 8446 §6) that a user can act on. */
const ALERT = { handshakeFailure: 40, unrecognizedName: 112 };

/** The error for a relay that was unreachable. */
export function connectError(error: unknown, url: string): PortalError {
  if (error instanceof PortalError && error.code === 'timeout' && error.hint === undefined)
    return new PortalError('timeout', error.message, {
      cause: error,
      hint: `Check that the relay runs. A firewall may drop packets: open port ${portOf(url)} over TCP on the server and at its hosting provider.`,
    });
  if (error instanceof PortalError && error.code !== 'internal') return error;
  const system = systemCode(error);
  // Node 24 adds a hint about its own options.
  const reason = asPortalError(error).message.replace(/; if the root CA is installed locally.*$/s, '');
  if (system && UNTRUSTED.has(system))
    return new PortalError('relay_untrusted', `the certificate of ${url} is not trusted: ${reason}`, {
      cause: error,
      hint: untrustedHint(system, url),
    });
  const { why, hint } = handshakeFailure(reason, url) ??
    networkFailure(system, url) ?? { why: system ?? reason };
  return new PortalError('relay_unreachable', `${url} is unreachable: ${why}`, {
    cause: error,
    ...(hint !== undefined && { hint }),
  });
}

function untrustedHint(system: string, url: string): string {
  if (system === 'CERT_HAS_EXPIRED') return "Tell the operator of the relay, and check this machine's clock.";
  if (system === 'ERR_TLS_CERT_ALTNAME_INVALID') return "Use the relay's own domain.";
  const ca = `If the relay has a private CA, write its file in portal.yaml: \`${relayYaml(url, './ca.pem')}\``;
  // No proxy is between this machine and itself.
  if (isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ''))) return ca;
  return `If a proxy on your network intercepts TLS, have the relay's host exempted. ${ca}`;
}

const portOf = (url: string): string => new URL(url).port || '443';

/** Undefined for failures that need no explanation. */
function networkFailure(system: string | undefined, url: string): { why: string; hint: string } | undefined {
  const { hostname } = new URL(url);
  if (system === 'ENOTFOUND')
    return {
      why: `${hostname} has no address in DNS (ENOTFOUND)`,
      hint: `Check the name, and that this machine is online. If the relay is yours, create the DNS records ${hostname} and *.${hostname}.`,
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
  const alert = Number(/SSL alert number (\d+)/.exec(reason)?.[1]);
  if (Number.isNaN(alert)) return undefined;
  const sent = `(TLS alert ${alert})`;
  if (alert === ALERT.handshakeFailure)
    return {
      why: `it has no certificate yet ${sent}`,
      hint: 'A new relay requests its certificate from its CA, which takes about a minute. The agent retries. If it takes longer, read the log of the relay.',
    };
  if (alert === ALERT.unrecognizedName)
    return {
      why: `it does not accept the name ${new URL(url).hostname} ${sent}`,
      hint: "Use the relay's own domain. It accepts no other name.",
    };
  return { why: `it aborted the TLS handshake ${sent}` };
}
