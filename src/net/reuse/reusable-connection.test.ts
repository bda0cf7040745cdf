import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemCode } from '../../lib/errors.js';
import { SpliceSet } from '../splice/splice.js';
import { frameHeader } from './frames.js';
import { ReusableConnection, type ReusableOwner } from './reusable-connection.js';

const LIMITS = { maxFramedBytes: 1_000, lingerMs: 20_000 };

/** Both ends of one TCP connection. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  onTestFinished(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

interface End {
  readonly connection: ReusableConnection;
  readonly socket: Socket;
  /** What its owner was told: the frames between visits, `free`, `closed`. */
  readonly told: string[];
}

function endOf(socket: Socket, onStart?: (visit: Socket) => void): End {
  const told: string[] = [];
  const owner: ReusableOwner = {
    control: (type, payload) => {
      told.push(`${type} ${payload.toString()}`.trim());
      if (type === 'start') onStart?.(connection.begin());
      else if (type === 'startRaw') onStart?.(connection.release());
    },
    free: () => void told.push('free'),
    closed: () => void told.push('closed'),
  };
  const connection = new ReusableConnection(socket, LIMITS, owner);
  return { connection, socket, told };
}

/** A relay's end, an agent's end, and the agent's streams in the order of their visits. */
async function ends(): Promise<{ relay: End; agent: End; next: () => Promise<Socket> }> {
  const [near, far] = await pair();
  const visits: Socket[] = [];
  const agent = endOf(near, (visit) => visits.push(visit));
  const next = async (): Promise<Socket> => {
    await expect.poll(() => visits.length).toBeGreaterThan(0);
    return visits.shift()!;
  };
  return { relay: endOf(far), agent, next };
}

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => socket.once('end', resolve).once('error', reject));
  return Buffer.concat(chunks).toString('latin1');
}

const errorOf = (socket: Socket): Promise<string | undefined> =>
  new Promise((resolve) => socket.once('error', (error) => resolve(systemCode(error))));

const digest = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex');

const says = (text: string): Buffer[] => [Buffer.from(text)];

describe('a connection that serves several visits', () => {
  it('gives each visit its own bytes, and is free after the ends of both sides', async () => {
    const { relay, agent, next } = await ends();
    for (let round = 0; round < 5; round++) {
      agent.connection.show(`ticket ${round}`);
      await expect.poll(() => relay.told).toEqual([`ticket ticket ${round}`]);
      const near = relay.connection.start(says(`question ${round}`));
      const far = await next();
      near.end(' and more');
      expect(await readAll(far)).toBe(`question ${round} and more`);
      expect(agent.told).toEqual(['start']);
      far.end(`answer ${round}`);
      expect(await readAll(near)).toBe(`answer ${round}`);
      await expect.poll(() => relay.told.splice(0)).toEqual([`ticket ticket ${round}`, 'free']);
      await expect.poll(() => agent.told.splice(0)).toEqual(['start', 'free']);
      expect([near.bytesRead, near.bytesWritten]).toEqual([8, 9]);
      expect([far.bytesRead, far.bytesWritten]).toEqual([19, 8]);
      for (const stream of [near, far]) if (!stream.closed) await once(stream, 'close');
    }
  });

  it('starts a visit without bytes', async () => {
    const { relay, next } = await ends();
    const near = relay.connection.start([]);
    const far = await next();
    far.end('220 ready');
    expect(await readAll(near)).toBe('220 ready');
    near.end();
    expect(await readAll(far)).toBe('');
    await expect.poll(() => relay.told).toEqual(['free']);
  });

  it('is free only after the peer has ended, although the stream was destroyed before', async () => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start(says('question'));
    const far = await next();
    far.end('answer');
    await once(far, 'finish');
    far.destroy();
    expect(await readAll(near)).toBe('answer');
    near.write('still sending');
    expect(agent.told).toEqual(['start']);
    near.end('the end');
    await expect.poll(() => agent.told).toEqual(['start', 'free']);
    const other = relay.connection.start(says('second'));
    const second = await next();
    other.end();
    expect(await readAll(second)).toBe('second');
  });

  it('serves the next visit while the reader of the previous one has not read everything', async () => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start([]);
    const far = await next();
    far.end('late answer');
    near.end();
    await expect.poll(() => agent.told).toContain('free');
    const other = relay.connection.start(says('second'));
    const second = await next();
    second.resume();
    near.destroy();
    second.end('answer');
    expect(await readAll(other)).toBe('answer');
  });

  it.each([
    ['the relay', 'relay'],
    ['the agent', 'agent'],
  ] as const)('is used up when %s resets a visit', async (_who, which) => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start(says('question'));
    const far = await next();
    far.resume();
    near.resume();
    const [mine, other] = which === 'relay' ? [near, far] : [far, near];
    const error = errorOf(other);
    mine.resetAndDestroy();
    expect(await error).toBe('ECONNRESET');
    await expect.poll(() => [relay.told, agent.told]).toEqual([['closed'], ['start', 'closed']]);
    await expect.poll(() => [relay.socket.destroyed, agent.socket.destroyed]).toEqual([true, true]);
  });

  it('delivers bytes before the end of a stream that is destroyed, and then resets the other', async () => {
    const { relay, next } = await ends();
    const near = relay.connection.start(says('question'));
    const far = await next();
    const error = errorOf(near);
    let received = '';
    near.on('data', (chunk: Buffer) => (received += chunk.toString()));
    far.write('an alert', () => far.destroy());
    expect(await error).toBe('ECONNRESET');
    expect(received).toBe('an alert');
  });

  it('gives the reader everything of a peer that has ended its side and vanished', async () => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start(says('question'));
    const far = await next();
    far.end('all of it');
    await once(far, 'finish');
    await expect.poll(() => relay.socket.bytesRead).toBeGreaterThan(12);
    agent.socket.resetAndDestroy();
    await expect.poll(() => relay.told).toEqual(['closed']);
    near.write('more');
    expect(await readAll(near)).toBe('all of it');
    near.end();
    await once(near, 'close');
    expect(near.errored).toBeNull();
  });

  it('reports bytes for a peer that has ended its side and vanished', async () => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start(says('question'));
    const far = await next();
    far.end('all of it');
    expect(await readAll(near)).toBe('all of it');
    agent.socket.resetAndDestroy();
    await expect.poll(() => relay.told).toEqual(['closed']);
    const error = errorOf(near);
    near.write('more');
    expect(await error).toBe('ECONNRESET');
  });

  it('resets a visit whose connection ends without the end of the visit', async () => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start(says('question'));
    await next();
    const error = errorOf(near.resume());
    agent.socket.end();
    expect(await error).toBe('ECONNRESET');
  });

  it('pauses a sender whose reader does not read', async () => {
    const { relay, next } = await ends();
    const near = relay.connection.start([]);
    const far = await next();
    const chunk = Buffer.alloc(500_000);
    let isFull = false;
    let sent = 0;
    while (!isFull && sent < 200) {
      sent++;
      isFull = !far.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isFull).toBe(true);
    let received = 0;
    near.on('data', (part: Buffer) => (received += part.length));
    await expect.poll(() => received).toBe(sent * chunk.length);
  });

  it.each([
    ['data outside of a visit', Buffer.concat([frameHeader('data', 1), Buffer.from('x')]), false],
    ['an end outside of a visit', frameHeader('end'), false],
    ['unframed bytes outside of a visit', frameHeader('raw'), false],
    ['a malformed frame', Buffer.from('GET / HTTP/1.1'), false],
    ['a ticket during a visit', Buffer.concat([frameHeader('ticket', 1), Buffer.from('t')]), true],
    ['a start during a visit', frameHeader('start'), true],
    [
      'data after the end',
      Buffer.concat([frameHeader('end'), frameHeader('data', 1), Buffer.from('x')]),
      true,
    ],
    ['a second end', Buffer.concat([frameHeader('end'), frameHeader('end')]), true],
  ])('is closed after %s', async (_what, bytes, isVisit) => {
    const [near, far] = await pair();
    const relay = endOf(far);
    const stream = isVisit ? relay.connection.start([]).resume() : undefined;
    const error = stream ? errorOf(stream) : 'no visit';
    near.resume().write(bytes);
    await expect.poll(() => [far.destroyed, relay.told]).toEqual([true, ['closed']]);
    expect(await error).toBe(isVisit ? 'ECONNRESET' : 'no visit');
  });
});

describe('a long visit', () => {
  const LONG = randomBytes(3_000_000);

  it.each([
    ['to the agent', LONG.toString('latin1'), 'short'],
    ['to the visitor', 'short', LONG.toString('latin1')],
    ['both ways', LONG.toString('latin1'), LONG.toString('latin1')],
  ])('%s continues unframed, and uses up the connection', async (_where, question, answer) => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start([]);
    const far = await next();
    const read = [readAll(far), readAll(near)];
    near.end(Buffer.from(question, 'latin1'));
    far.end(Buffer.from(answer, 'latin1'));
    expect((await Promise.all(read)).map(digest)).toEqual([question, answer].map(digest));
    await expect.poll(() => [relay.told, agent.told]).toEqual([['closed'], ['start', 'closed']]);
    await expect.poll(() => [relay.socket.closed, agent.socket.closed]).toEqual([true, true]);
    expect(near.bytesRead).toBe(answer.length);
    expect(far.bytesRead).toBe(question.length);
  });

  it('frames exactly as many bytes as allowed', async () => {
    const { relay, agent, next } = await ends();
    const near = relay.connection.start(says('x'));
    const far = await next();
    near.end(Buffer.alloc(LIMITS.maxFramedBytes - 1));
    far.end(Buffer.alloc(LIMITS.maxFramedBytes));
    await Promise.all([readAll(far), readAll(near)]);
    await expect.poll(() => [relay.told, agent.told]).toEqual([['free'], ['start', 'free']]);
  });

  it('is spliced like one between two sockets, with its half-closes, and counted', async () => {
    const { relay, next } = await ends();
    const [visitor, atRelay] = await pair();
    const splices = new SpliceSet({
      idleMs: 60_000,
      halfClosedMs: 60_000,
      lifetimeMs: 60_000,
      firstResponseMs: 0,
    });
    const near = relay.connection.start([]);
    splices.add(atRelay, near);
    const far = await next();
    const read = [readAll(far), readAll(visitor)];
    visitor.end(LONG);
    expect(digest(await read[0]!)).toBe(digest(LONG.toString('latin1')));
    far.write('short first');
    far.end(LONG);
    expect(digest(await read[1]!)).toBe(digest(`short first${LONG.toString('latin1')}`));
    await expect.poll(() => splices.size).toBe(0);
    expect(splices.totalBytes).toEqual({ toA: LONG.length + 11, toB: LONG.length });
    expect(splices.ends.counts()).toEqual({ ended: 1 });
  });

  it('may begin without frames, and then has the whole connection', async () => {
    const { relay, agent, next } = await ends();
    agent.connection.show('ticket');
    await expect.poll(() => relay.told).toEqual(['ticket ticket']);
    const near = relay.connection.startRaw(says('question'));
    expect(near).toBe(relay.socket);
    const far = await next();
    expect(far).toBe(agent.socket);
    const read = [readAll(far), readAll(near)];
    near.resume().end(LONG);
    far.resume().end('answer');
    expect(await Promise.all(read)).toEqual([`question${LONG.toString('latin1')}`, 'answer']);
    expect([relay.told, agent.told]).toEqual([
      ['ticket ticket', 'closed'],
      ['startRaw', 'closed'],
    ]);
  });

  it('is reset by a reset in its middle', async () => {
    const { relay, next } = await ends();
    const [visitor, atRelay] = await pair();
    const splices = new SpliceSet({
      idleMs: 60_000,
      halfClosedMs: 60_000,
      lifetimeMs: 60_000,
      firstResponseMs: 0,
    });
    splices.add(atRelay, relay.connection.start([]));
    const far = await next();
    let received = 0;
    visitor.on('data', (chunk: Buffer) => (received += chunk.length));
    const error = errorOf(visitor);
    far.write(LONG);
    await expect.poll(() => received).toBe(LONG.length);
    far.resetAndDestroy();
    expect(await error).toBe('ECONNRESET');
    await expect.poll(() => splices.ends.counts()).toEqual({ reset: 1 });
  });
});
