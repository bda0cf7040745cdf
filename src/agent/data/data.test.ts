import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deferred } from '../../lib/wait.js';
import { START_BYTE } from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import { REJECTED, ticketLine } from '../../protocol/ticket-line.js';
import { openData, startByLine, type DataDial } from './data.js';
import { Resumption } from './resumption.js';

const TICKET = 'n'.repeat(16) + 's'.repeat(32);

const dialOf = (over: Partial<DataDial>): DataDial => ({
  endpoint: { url: 'https://localhost' },
  relayAddress: '127.0.0.1',
  carrier: 'raw',
  ticket: TICKET,
  signal: AbortSignal.timeout(20_000),
  resumption: new Resumption(),
  onFree: undefined,
  ...over,
});

/** A server that reads a ticket line and continues with `then`. */
async function reading(then: (socket: Socket, line: string) => void): Promise<DataDial> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let line = '';
    socket.on('data', (chunk: Buffer) => {
      line += chunk.toString('latin1');
      if (line.endsWith('\n')) then(socket, line);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return dialOf({ endpoint: { url: `https://localhost:${(server.address() as AddressInfo).port}` } });
}

describe('a data connection that begins with a ticket line', () => {
  it('is started by the start byte, and keeps the bytes after it', async () => {
    let received = '';
    const dial = await reading((socket, line) => {
      received = line;
      socket.write(Buffer.concat([Buffer.from([START_BYTE]), Buffer.from('hello')]));
    });
    const socket = await startByLine(dial);
    onTestFinished(() => void socket.destroy());
    socket.resume();
    expect(String((await once(socket, 'data'))[0])).toBe('hello');
    expect(received).toBe(ticketLine(TICKET));
  });

  it.each([
    ['rejects an invalid ticket', [REJECTED.ticket], 'expired', /its ticket is invalid/],
    ['has no file descriptor', [REJECTED.noDescriptor], 'expired', /no file descriptor is free/],
    ['sends another byte', [0x48], 'protocol', /unknown byte/],
    ['closes without a byte', [], 'relay_unreachable', /without a visitor/],
  ])('fails with its own error when the relay %s', async (_what, bytes, code, message) => {
    const dial = await reading((socket) => socket.end(Buffer.from(bytes)));
    await expect(startByLine(dial)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  it('fails with the reset as its cause', async () => {
    const dial = await reading((socket) => socket.resetAndDestroy());
    await expect(startByLine(dial)).rejects.toMatchObject({
      code: 'relay_unreachable',
      cause: { code: 'ECONNRESET' },
    });
  });

  it('ends when it is cancelled', async () => {
    const stop = new AbortController();
    const ended = deferred<void>();
    const dial = await reading((socket) => {
      socket.once('close', () => ended.resolve());
      stop.abort();
    });
    await expect(startByLine({ ...dial, signal: stop.signal })).rejects.toThrow('without a visitor');
    await ended.promise;
  });
});

describe('a data connection that the system rejects immediately', () => {
  it.each<[string, typeof openData | typeof startByLine, WireCarrier]>([
    ['carrier raw', openData, 'raw'],
    ['carrier tls', openData, 'tls'],
    ['carrier ws', openData, 'ws'],
    ['a ticket line', startByLine, 'raw'],
  ])('with %s rejects, and the agent keeps running', async (_what, open, carrier) => {
    // Not from a promise: listeners added in a promise would come before the error.
    const opened = new Promise((resolve, reject) => {
      setImmediate(() => {
        // A link-local address without a zone.
        open(dialOf({ carrier, relayAddress: 'fe80::1' })).then(resolve, reject);
      });
    });
    await expect(opened).rejects.toSatisfy((error: Error) =>
      `${error.message} ${(error.cause as Error | undefined)?.message}`.includes('fe80::1'),
    );
  });
});
