import { hkdfSync } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { createServer, type TlsOptions } from 'node:tls';
import { once } from 'node:events';
import { within } from '../../lib/wait.js';
import { CIPHERS } from '../../net/tls/ciphers.js';
import { secure } from '../../net/dial.js';
import type { ServingCertificate } from '../../certificates/source.js';

const TLS_TICKET_KEY_BYTES = 48;
const RESUME_MS = 2_000;

/** What lets every replica of an identity continue the TLS sessions of the others. */
export interface SharedTlsTickets extends Required<Pick<TlsOptions, 'ticketKeys' | 'sessionIdContext'>> {
  readonly hostname: string;
}

/** @param sessionKey a secret that all agents of the identity derive */
export function sharedTlsTickets(sessionKey: Buffer, hostname: string): SharedTlsTickets {
  const ticketKeys = hkdfSync('sha256', sessionKey, '', `tls tickets ${hostname}`, TLS_TICKET_KEY_BYTES);
  return { hostname, ticketKeys: Buffer.from(ticketKeys), sessionIdContext: 'portal replicas' };
}

/**
 * Whether a holder of the same keys ended the TLS session of `session`, which a server at the public address gave us. Its ticket
 * contains a secret of that session, encrypted with these keys. So an intermediary can neither create the ticket, nor forward
 * one from another session: the handshake below would not complete.
 */
export async function isOfReplica(
  session: Buffer,
  { cert, key }: ServingCertificate,
  { hostname, ...tlsTickets }: SharedTlsTickets,
): Promise<boolean> {
  // The same ciphers as for visitors: a session can only continue with the hash of its cipher.
  const server = createServer({ cert, key, ciphers: CIPHERS, honorCipherOrder: true, ...tlsTickets });
  const [here, there] = duplexPair();
  server.on('tlsClientError', () => there.destroy());
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  server.emit('connection', there);
  const client = secure(here, {
    session,
    servername: hostname,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
  });
  try {
    await within(once(client, 'secureConnect'), RESUME_MS, 'a TLS session with ourselves');
    return client.isSessionReused();
  } catch {
    return false;
  } finally {
    client.on('error', () => undefined);
    client.destroy();
    there.destroy();
  }
}
