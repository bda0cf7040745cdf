import { request } from 'node:http';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { openWay, wayTo, type RelayEndpoint } from '../../agent/relay-way.js';
import { readDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS } from '../../protocol/limits.js';
import { within } from '../../lib/wait.js';
import { secure, tlsNameOf } from '../../net/dial.js';
import { formatEnd } from '../amounts.js';
import { printable } from '../style.js';

/** What serves an untrusted certificate. Portal sends it nothing but a request for the public descriptor. */
export interface Untrusted {
  /** Describes the certificate. */
  readonly certificate: string;
  /** Whether a relay responds. */
  readonly isRelay: boolean;
}

export async function inspectUntrusted(endpoint: RelayEndpoint, ms: number): Promise<Untrusted> {
  const { hostname } = new URL(endpoint.url);
  const plain = await openWay(wayTo(endpoint), ms);
  try {
    const socket = secure(plain, {
      ...tlsNameOf(hostname),
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    plain.on('error', (error) => socket.destroy(error));
    socket.on('error', () => undefined);
    const opened = new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject);
    });
    await within(opened, ms, `the TLS handshake with ${hostname}`);
    const certificate = describeCertificate(socket.getPeerCertificate());
    const text = await within(descriptorText(socket, endpoint.url), ms, `the response of ${hostname}`).catch(
      () => '',
    );
    return { certificate, isRelay: isDescriptor(text) };
  } finally {
    plain.destroy();
  }
}

function isDescriptor(text: string): boolean {
  try {
    readDescriptor(JSON.parse(text), new Date());
    return true;
  } catch {
    return false;
  }
}

function descriptorText(socket: TLSSocket, url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      createConnection: () => socket,
      path: PATHS.relay,
      headers: { host: new URL(url).host, connection: 'close' },
    });
    outgoing.once('error', reject).once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > LIMITS.maxRelayListBytes) response.destroy();
      });
      response.once('end', () => resolve(text)).once('error', reject);
    });
    outgoing.end();
  });
}

function describeCertificate({ subject, issuer, valid_to, fingerprint256 }: PeerCertificate): string {
  const [name, by] = [subject, issuer].map((who) => String(who?.CN ?? who?.O ?? 'no name'));
  const issued = name === by ? 'self-signed' : `issued by ${by}`;
  return printable(
    `${name}, ${issued}, until ${formatEnd(new Date(valid_to))}, SHA-256 ${fingerprint256.slice(0, 23)}…`,
  );
}
