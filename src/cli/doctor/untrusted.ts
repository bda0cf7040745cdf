import type { PeerCertificate } from 'node:tls';
import { openTcp, destinationOf, type RelayEndpoint } from '../../agent/session/relay-endpoint.js';
import { readDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS } from '../../protocol/limits.js';
import { secure, tlsNameOf } from '../../net/dial.js';
import { fetchOnce } from '../../net/http/get.js';
import { formatEnd } from '../text/amounts.js';
import { printable } from '../text/style.js';

/** What serves an untrusted certificate. Portal sends it nothing but a request for the public descriptor. */
export interface Untrusted {
  /** Describes the certificate. */
  readonly certificate: string;
  /** Whether a relay responds. */
  readonly isRelay: boolean;
}

export async function inspectUntrusted(endpoint: RelayEndpoint, ms: number): Promise<Untrusted> {
  const { url } = endpoint;
  let certificate: string | undefined;
  const descriptor = fetchOnce(url, {
    path: PATHS.relay,
    maxBytes: LIMITS.maxRelayListBytes,
    ms,
    open: (openMs) => openTcp(destinationOf(endpoint), openMs),
    tls: (plain) => {
      const socket = secure(plain, {
        ...tlsNameOf(new URL(url).hostname),
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
      });
      plain.on('error', (error) => socket.destroy(error));
      socket.once('secureConnect', () => (certificate = describeCertificate(socket.getPeerCertificate())));
      return socket;
    },
  });
  const isRelay = await descriptor.then(
    ({ text }) => isDescriptor(text),
    (error: unknown) => {
      // The certificate is worth reporting without a response.
      if (certificate === undefined) throw error;
      return false;
    },
  );
  return { certificate: certificate!, isRelay };
}

function isDescriptor(text: string): boolean {
  try {
    readDescriptor(JSON.parse(text), new Date());
    return true;
  } catch {
    return false;
  }
}

function describeCertificate({ subject, issuer, valid_to, fingerprint256 }: PeerCertificate): string {
  const [name, by] = [subject, issuer].map((who) => String(who?.CN ?? who?.O ?? 'no name'));
  const issued = name === by ? 'self-signed' : `issued by ${by}`;
  return printable(
    `${name}, ${issued}, until ${formatEnd(new Date(valid_to))}, SHA-256 ${fingerprint256.slice(0, 23)}…`,
  );
}
