import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { log } from '../../../test/support/log.js';
import { generateIdentity } from '../../identity/keys.js';
import { PortalError } from '../../lib/errors.js';
import { nodeKeyOf } from './node-key.js';
import { TlsNodes } from './tls-nodes.js';

/** Nodes that know each other's addresses. */
async function nodes(...names: string[]) {
  const identity = generateIdentity();
  const all = new Map<string, TlsNodes>();
  const addresses = new Map<string, string>();
  const left: ((node: string) => void)[] = [];
  for (const name of names) {
    const node = await TlsNodes.listen({ identity, host: '127.0.0.1', port: 0, log });
    onTestFinished(() => node.destroy());
    all.set(name, node);
    addresses.set(name, `127.0.0.1:${node.port}`);
    node.join(name, {
      names: () => [...addresses.keys()].filter((other) => other !== name),
      addressOf: (other) => addresses.get(other),
      onLeft: (listener) => void left.push(listener),
    });
    node.started();
  }
  return {
    identity,
    addresses,
    node: (name: string) => all.get(name)!,
    leave: (name: string) => {
      addresses.delete(name);
      for (const listener of left) listener(name);
    },
  };
}

/** Resolves when the connection closes. */
const closed = (socket: { once(event: 'close', listener: () => void): unknown }) =>
  new Promise<void>((resolve) => void socket.once('close', resolve));

describe('nodes on several machines', () => {
  it('call each other in order, and get results and errors', async () => {
    const { node } = await nodes('a', 'b');
    const told: unknown[] = [];
    node('b').serve({
      double: (from: string, value: number) => `${from} ${2 * value}`,
      note: (_from: string, value: unknown) => void told.push(value),
      fail: () => Promise.reject(new PortalError('name_taken', 'taken')),
    });
    for (let index = 0; index < 3; index++) node('a').tell('b', 'note', index);
    expect(await node('a').call('b', 'double', 21)).toBe('a 42');
    expect(told).toEqual([0, 1, 2]);
    await expect(node('a').call('b', 'fail')).rejects.toMatchObject({ code: 'name_taken' });
    await expect(node('a').call('b', 'unknown')).rejects.toThrow('no such method');
  });

  it('fail calls to a node that ended, and forget its connection', async () => {
    const { node, leave } = await nodes('a', 'b');
    node('b').serve({ never: () => new Promise(() => undefined) });
    const failure = node('a')
      .call('b', 'never')
      .catch((error: unknown) => error);
    // The connection exists once another call has its response.
    await node('a')
      .call('b', 'unknown')
      .catch(() => undefined);
    leave('b');
    expect(await failure).toMatchObject({ code: 'relay_busy' });
    await expect(node('a').call('b', 'never')).rejects.toMatchObject({ code: 'relay_busy' });
  });

  it('report a lost connection at once, and connect again', async () => {
    const { node } = await nodes('a', 'b');
    node('b').serve({ hello: () => 'hello' });
    const lost = new Promise((resolve) => node('a').onLeft(resolve));
    await node('a').call('b', 'hello');
    node('b').disconnect();
    expect(await lost).toBe('b');
    expect(await node('a').call('b', 'hello')).toBe('hello');
  });

  it('reject a relay with another identity at the address of a node', async () => {
    const [here, there] = [await nodes('a', 'b'), await nodes('a', 'b')];
    there.node('b').serve({ hello: () => 'hello' });
    here.addresses.set('b', there.addresses.get('b')!);
    await expect(here.node('a').call('b', 'hello')).rejects.toMatchObject({ code: 'relay_busy' });
  });

  it('reject a connection that was meant for another node', async () => {
    const { node, addresses } = await nodes('a', 'b', 'c');
    node('c').serve({ hello: () => 'hello' });
    addresses.set('b', addresses.get('c')!);
    await expect(node('a').call('b', 'hello')).rejects.toMatchObject({ code: 'relay_busy' });
  });

  it('disconnect clients without the key of the relay', async () => {
    const { addresses } = await nodes('a');
    const port = Number(addresses.get('a')!.split(':')[1]);
    const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['portal-node/1'] };
    const stranger = nodeKeyOf(generateIdentity());
    for (const credentials of [{}, { key: stranger.key, cert: stranger.cert }]) {
      const socket = connectTls({ ...options, ...credentials });
      socket.on('error', () => undefined);
      await closed(socket);
    }
    const plain = connect(port, '127.0.0.1', () => plain.write('GET / HTTP/1.1\r\n\r\n'));
    plain.on('error', () => undefined);
    await closed(plain);
    expect(plain.bytesRead).toBe(0);
  });
});

it('the key of nodes belongs to the identity', () => {
  const identity = generateIdentity();
  expect(nodeKeyOf(identity).key).toBe(nodeKeyOf(identity).key);
  expect(nodeKeyOf(identity).key).not.toBe(nodeKeyOf(generateIdentity()).key);
});
