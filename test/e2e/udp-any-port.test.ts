import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';
import { agent, desired, relay, service } from '../support/world.js';
import { udpVisitor } from '../support/udp.js';

/** Replies from a different port than the requested one. */

async function bound(
  take: (payload: Buffer, from: RemoteInfo, socket: Socket) => void,
  address = '127.0.0.1',
) {
  const socket = createSocket('udp4').on('message', (payload, from) => take(payload, from, socket));
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  onTestFinished(() => void socket.close());
  return socket;
}

/** Replies to each question from a new port, and echoes there. */
async function wandering() {
  const requested: { payload: string; from: RemoteInfo }[] = [];
  const continued: string[] = [];
  const server = await bound((payload, from) => {
    requested.push({ payload: payload.toString('latin1'), from });
    void bound((more, { port }, own) => {
      continued.push(more.toString('latin1'));
      own.send(`more ${more.toString('latin1')}`, port, '127.0.0.1');
    }).then((own) => own.send(`answer to ${payload.toString('latin1')}`, from.port, '127.0.0.1'));
  });
  return { port: server.address().port, requested, continued };
}

async function published(port: number, replyFromAnyPort?: boolean) {
  const at = await relay({ ports: { udp: 'any' } });
  const one = await agent();
  const udp = replyFromAnyPort !== undefined && { udp: { replyFromAnyPort } };
  const spec = service('wandering', port, { mode: 'udp', ...udp });
  await one.runner.apply(desired([at.spec], spec));
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const edit = (over: Partial<typeof spec>) => one.runner.apply(desired([at.spec], { ...spec, ...over }));
  return { publicPort: Number(udpAddr!.split(':')[1]), edit };
}

describe('replyFromAnyPort', () => {
  it('forwards replies from every port of the target, each to the right visitor', async () => {
    const target = await wandering();
    const { publicPort } = await published(target.port, true);
    const [one, other] = [await udpVisitor(publicPort), await udpVisitor(publicPort)];
    one.send('one');
    other.send('other');
    expect(String(await one.next())).toBe('answer to one');
    expect(String(await other.next())).toBe('answer to other');
    // A new question goes to the target's own port.
    one.send('again');
    expect(String(await one.next())).toBe('answer to again');
    expect(target.requested.map(({ payload }) => payload).toSorted()).toEqual(['again', 'one', 'other']);
    expect(new Set(target.requested.map(({ from }) => from.port)).size).toBe(2);
  });

  it('continues a TFTP transfer at the port that replied', async () => {
    const target = await wandering();
    const { publicPort } = await published(target.port, true);
    const visitor = await udpVisitor(publicPort);
    visitor.send('\0\x01file\0octet\0');
    expect(String(await visitor.next())).toContain('answer to');
    visitor.send('\0\x04\0\x01');
    expect(String(await visitor.next())).toBe('more \0\x04\0\x01');
    expect(target.continued).toEqual(['\0\x04\0\x01']);
    expect(target.requested.length).toBe(1);
  });

  it('accepts nothing from another address', async () => {
    const target = await wandering();
    const { publicPort } = await published(target.port, true);
    const visitor = await udpVisitor(publicPort);
    visitor.send('one');
    expect(String(await visitor.next())).toBe('answer to one');
    const stranger = await bound(() => undefined, '127.0.0.2');
    const { from } = target.requested[0]!;
    await new Promise((resolve) => stranger.send('from a stranger', from.port, '127.0.0.1', resolve));
    visitor.send('two');
    expect(String(await visitor.next())).toBe('answer to two');
  });

  it('is off by default, and can be switched on in place', async () => {
    const target = await wandering();
    const { publicPort, edit } = await published(target.port);
    const visitor = await udpVisitor(publicPort);
    visitor.send('unheard');
    await eventually(() => expect(target.requested.length).toBe(1));
    await edit({ udp: { replyFromAnyPort: true }, retireMs: 0 });
    expect(await visitor.ask('heard')).toBe('answer to heard');
  });
});
