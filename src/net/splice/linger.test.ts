import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../certificates/local-ca.js';
import { lingerBelow } from './linger.js';

/** The other end of `carrier` as the visitor's connection: reads only while `open`, and its end stays here. */
class Visit extends Duplex {
  readonly #carrier: Socket;

  constructor(carrier: Socket) {
    super();
    this.#carrier = carrier;
    carrier.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) carrier.pause();
    });
    carrier.on('end', () => this.push(null));
    carrier.on('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.#carrier.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#carrier.write(chunk, done);
  }
}

/** A visitor's TLS session over a carrier's, which has `layers` of TLS. */
async function visit(layers: number) {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const pair = await (await openLocalCa(folder)).issue(['localhost']);
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  let near: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let [far] = (await once(listener, 'connection')) as [Socket];
  const tcp = near;
  onTestFinished(() => {
    tcp.destroy();
    listener.close();
  });
  for (let layer = 0; layer < layers; layer++) {
    const inner = new TLSSocket(far, { isServer: true, ...pair });
    const outer = connectTls({ socket: near, rejectUnauthorized: false });
    await Promise.all([once(outer, 'secureConnect'), once(inner, 'secure')]);
    [near, far] = [outer, inner];
  }
  for (const socket of [near, far]) socket.on('error', () => undefined);
  const agent = new TLSSocket(near, { isServer: true, ...pair });
  const visitor = connectTls({
    socket: new Visit(far),
    rejectUnauthorized: false,
    allowHalfOpen: true,
  } as never);
  await Promise.all([once(visitor, 'secureConnect'), once(agent, 'secure')]);
  return { tcp, agent, carrier: far, visitor };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it.each([1, 2])(
  'a carrier with %d layers of TLS delivers everything before its peer ends it',
  async (layers) => {
    const { tcp, agent, carrier, visitor } = await visit(layers);
    lingerBelow(agent, 60_000);
    const bytes = 600_000;
    visitor.pause();
    visitor.end('x');
    agent.resume();
    await once(agent, 'end');
    agent.end(Buffer.alloc(bytes));
    await once(agent, 'finish');
    for (let turns = 0; turns < 5; turns++) await turn();
    // An end of TLS is data to TCP: a closed socket replies with a reset.
    carrier.end();
    await once(carrier, 'finish');
    let received = 0;
    visitor.on('data', (chunk: Buffer) => (received += chunk.length));
    visitor.resume();
    await once(visitor, 'end');
    expect(received).toBe(bytes);
    await expect.poll(() => tcp.destroyed).toBe(true);
  },
);
