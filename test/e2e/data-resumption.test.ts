/** Data connections to a relay resume the TLS session of the first one, and apply the same certificate checks. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openData } from '../../src/agent/data/data.js';
import { Resumption } from '../../src/agent/data/resumption.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { temporaryFolder } from '../support/folder.js';

const ca = async () => openLocalCa(await temporaryFolder());

interface Answering {
  readonly port: number;
  /** Whether each handshake so far resumed a session. */
  readonly resumed: boolean[];
  close(): Promise<void>;
}

/** Accepts any ticket. */
async function answering(certificate: { cert: string; key: string }, port = 0): Promise<Answering> {
  const resumed: boolean[] = [];
  const sockets = new Set<TLSSocket>();
  const server = createServer(certificate, (socket) => {
    sockets.add(socket);
    resumed.push(socket.isSessionReused());
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  onTestFinished(close);
  return { port: (server.address() as AddressInfo).port, resumed, close };
}

async function opened(at: Answering, caPem: string, resumption: Resumption): Promise<void> {
  const stop = new AbortController();
  const connection = await openData({
    endpoint: { url: `https://localhost:${at.port}`, ca: caPem },
    relayAddress: '127.0.0.1',
    carrier: 'tls',
    ticket: 'ticket',
    signal: stop.signal,
    resumption,
    onFree: undefined,
  });
  stop.abort();
  await expect(connection.started(stop.signal)).rejects.toThrow('without a visitor');
}

describe('the TLS session of data connections', () => {
  it('is resumed from the second connection on', async () => {
    const authority = await ca();
    const at = await answering(await authority.issue(['localhost']));
    const resumption = new Resumption();
    for (let connection = 0; connection < 3; connection++)
      await opened(at, authority.certificatePem, resumption);
    expect(at.resumed).toEqual([false, true, true]);
  });

  it('is replaced by a full handshake after a relay restart', async () => {
    const authority = await ca();
    const certificate = await authority.issue(['localhost']);
    const first = await answering(certificate);
    const resumption = new Resumption();
    await opened(first, authority.certificatePem, resumption);
    await first.close();
    const second = await answering(certificate, first.port);
    await opened(second, authority.certificatePem, resumption);
    expect(second.resumed).toEqual([false]);
  });

  it.each([
    ['by another CA', async () => (await ca()).issue(['localhost']), /self.signed|issuer|verify/i],
    ['for another name', undefined, /altnames/i],
  ])('does not replace the check of a certificate %s', async (_title, another, message) => {
    const authority = await ca();
    const first = await answering(await authority.issue(['localhost']));
    const resumption = new Resumption();
    await opened(first, authority.certificatePem, resumption);
    await first.close();
    const wrong = another ? await another() : await authority.issue(['other.localhost']);
    const second = await answering(wrong, first.port);
    await expect(opened(second, authority.certificatePem, resumption)).rejects.toThrow(message);
    await expect(opened(second, authority.certificatePem, new Resumption())).rejects.toThrow(message);
  });
});
