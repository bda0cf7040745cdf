import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer, type ConnectionOptions } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { openLocalCa } from '../../certificates/local-ca.js';
import { ByteRate } from '../rate.js';
import { SpliceSet } from './splice.js';

const BYTES = 24 * 1024 * 1024;

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Writes `data` in pieces of every size, then ends. Resolves with the hash of all received bytes. */
async function exchange(socket: Socket, data: Buffer, slowly: boolean): Promise<string> {
  const hash = createHash('sha256');
  let pauses = 0;
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    if (!slowly || pauses++ % 50 > 0) return;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  const ended = once(socket, 'end');
  for (let at = 0, size = 1; at < data.length; at += size) {
    size = Math.min(data.length - at, Math.ceil(2 ** (Math.random() * 19)));
    if (!socket.write(data.subarray(at, at + size))) await once(socket, 'drain');
    if (Math.random() < 0.02) await new Promise(setImmediate);
  }
  socket.end();
  await ended;
  return hash.digest('hex');
}

const hashOf = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

test.each([
  ['plain', false, undefined],
  ['plain', true, undefined],
  ['tls', false, undefined],
  ['tls', true, undefined],
  ['plain', false, 40_000_000],
  ['tls', true, 40_000_000],
] as const)(
  '%s: every byte arrives in both directions, slow reader %s, at most %s bytes a second',
  async (kind, slowly, bytesPerSecond) => {
    const splices = new SpliceSet({
      idleMs: 400,
      halfClosedMs: 60_000,
      lifetimeMs: 60_000,
      firstResponseMs: 0,
    });
    const [up, down] = [randomBytes(BYTES), randomBytes(BYTES)];
    let behind!: Promise<string>;
    const service = createServer({ allowHalfOpen: true }, (socket) => {
      behind = exchange(socket, down, slowly);
    });
    const rate = bytesPerSecond === undefined ? undefined : new ByteRate(bytesPerSecond);
    const servicePort = await listening(service);
    const splice = (visitor: Socket): void => {
      const upstream = connect({ port: servicePort, host: '127.0.0.1', allowHalfOpen: true });
      upstream.once('connect', () => splices.add(visitor, upstream, { rate }));
    };
    let visitor: Socket;
    if (kind === 'tls') {
      const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      const ca = await openLocalCa(folder);
      const { cert, key } = await ca.issue(['web.localhost']);
      const front = createTlsServer({ cert, key, allowHalfOpen: true } as object, splice);
      visitor = connectTls({
        port: await listening(front),
        host: '127.0.0.1',
        servername: 'web.localhost',
        ca: ca.certificatePem,
        allowHalfOpen: true,
      } as ConnectionOptions);
      await once(visitor, 'secureConnect');
    } else {
      const front = createServer({ allowHalfOpen: true, pauseOnConnect: true }, splice);
      visitor = connect({ port: await listening(front), host: '127.0.0.1', allowHalfOpen: true });
      await once(visitor, 'connect');
    }
    expect(await exchange(visitor, up, slowly)).toBe(hashOf(down));
    expect(await behind).toBe(hashOf(up));
  },
  60_000,
);
