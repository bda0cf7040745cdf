import { createSocket } from 'node:dgram';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../../../test/support/eventually.js';
import { silent } from '../../lib/logger.js';
import { Drops } from '../../protocol/datagrams/drops.js';
import { encodeOpening, readFrames, type FrameSink } from '../../protocol/datagrams/frames.js';
import { FrameWriter } from '../../protocol/datagrams/writer.js';
import { UdpHandler } from '../modes/udp.js';
import type { ServiceSpec } from '../spec.js';
import { SessionFlows } from './flows.js';

const LEASE = '6f0c1d1e-3f0a-4b52-8b0f-0123456789ab';
const VISITOR = { address: '192.0.2.7', port: 7 };
const opening = encodeOpening(LEASE, VISITOR);
const nothing = (): void => undefined;

/** A writer that passes each packet to `take`. */
function writerTo(take: (frames: Buffer) => void): FrameWriter {
  const send = (frames: Buffer): boolean => {
    take(Buffer.from(frames));
    return true;
  };
  return new FrameWriter({ maxBytes: 1_167, send }, nothing);
}

/** The agent's flows with an echo service, and a relay whose side the test plays. */
async function flows() {
  const echo = createSocket('udp4', (payload, { port }) => echo.send(payload, port, '127.0.0.1'));
  const peers = new Set<number>();
  echo.on('message', (_payload, { port }) => peers.add(port));
  await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve));
  const { port } = echo.address();
  const target = { kind: 'tcp', host: '127.0.0.1', port, tls: false } as const;
  const handler = new UdpHandler(
    { service: 'echo', target, access: {} } as ServiceSpec,
    silent,
    { admits: () => true, enter: () => undefined },
    () => undefined,
  );
  onTestFinished(() => {
    handler.close();
    echo.close();
  });
  const said: unknown[][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]): void =>
      void said.push([name, ...args.map((arg) => (Buffer.isBuffer(arg) ? arg.toString() : arg))]);
  const relay: FrameSink = {
    probe: note('probe'),
    probeReply: note('probeReply'),
    open: note('open'),
    opened: note('opened'),
    close: note('close'),
    data: note('data'),
    fragment: note('fragment'),
  };
  const toRelay = writerTo((frames) => readFrames(frames, relay));
  const drops = new Drops();
  const session = new SessionFlows(
    new Map([[LEASE, { sink: handler, carrier: 'udp' }]]),
    () => toRelay,
    drops,
  );
  const read = session.reader(() => toRelay, nothing);
  /** Sends something as the relay, in its own packet. */
  const say = (what: (writer: FrameWriter) => void): void => {
    const writer = writerTo(read);
    what(writer);
    writer.flush();
  };
  const heard = (...line: unknown[]): Promise<void> => eventually(() => expect(said).toContainEqual(line));
  return { handler, peers, drops, say, said, heard };
}

describe('the flows of a session', () => {
  it('are confirmed, and get replies under their number', async () => {
    const { say, heard, drops } = await flows();
    say((relay) => relay.data(5, Buffer.from('hello'), opening));
    await heard('opened', 5);
    await heard('data', 5, 'hello');
    expect(drops.counts()).toEqual({});
  });

  it('continue when the next flow of the visitor overtakes the end of the previous one', async () => {
    const { say, heard, peers, drops } = await flows();
    say((relay) => relay.data(5, Buffer.from('one'), opening));
    await heard('data', 5, 'one');
    say((relay) => relay.data(9, Buffer.from('two'), opening));
    say((relay) => relay.close(5));
    await heard('data', 9, 'two');
    say((relay) => relay.data(9, Buffer.from('three')));
    await heard('data', 9, 'three');
    expect(peers.size).toBe(1);
    expect(drops.counts()).toEqual({});
  });

  it('that are unknown are requested from the relay', async () => {
    const { say, heard, drops } = await flows();
    say((relay) => relay.data(5, Buffer.from('hello')));
    await heard('close', 5);
    expect(drops.counts()).toEqual({ no_flow: 1 });
    say((relay) => relay.data(5, Buffer.from('again'), opening));
    await heard('data', 5, 'again');
  });

  it('that ended on this side open again, even if the relay does not know that they ended', async () => {
    const { say, heard, handler, peers } = await flows();
    say((relay) => relay.data(5, Buffer.from('one'), opening));
    await heard('data', 5, 'one');
    handler.flow(VISITOR, { send: nothing, end: nothing })!.end({ send: nothing, end: nothing });
    const rebound = { send: nothing, end: nothing };
    handler.flow(VISITOR, rebound)!.end(rebound);
    say((relay) => relay.data(5, Buffer.from('two')));
    await heard('close', 5);
    say((relay) => relay.data(5, Buffer.from('three'), opening));
    await heard('data', 5, 'three');
    expect(peers.size).toBe(2);
  });

  it('of a lease that is not served here are not confirmed', async () => {
    const { say, heard, said } = await flows();
    const other = encodeOpening(LEASE.replace('6', '7'), VISITOR);
    say((relay) => relay.data(5, Buffer.from('hello'), other));
    await heard('close', 5);
    expect(said).not.toContainEqual(['opened', 5]);
  });
});
