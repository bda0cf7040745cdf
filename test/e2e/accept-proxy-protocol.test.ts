import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AddressSet } from '../../src/net/cidr.js';
import { proxyHeader } from '../../src/net/proxy-protocol/header.js';
import type { RelayOptions } from '../../src/relay/relay.js';
import { daemon } from '../support/daemon.js';
import { programFor } from '../support/debian.js';
import { freePort } from '../support/ports.js';
import {
  agent,
  desired,
  handedOver,
  NOT_HTTP,
  relay,
  service,
  tcpService,
  temporaryFolder,
  visit,
} from '../support/world.js';

/** A relay behind a load balancer that names its clients in a header. */

const PROXIES = ['127.0.0.1'];

/** HAProxy in front of a relay, which forwards TCP and sends the header in one of its versions. */
async function balanced(haproxy: string, send: string, options: Partial<RelayOptions> = {}) {
  const folder = await temporaryFolder();
  const [socket, conf] = ['haproxy.sock', 'haproxy.cfg'].map((name) => join(folder, name)) as [
    string,
    string,
  ];
  const publicPort = await freePort();
  const at = await relay({ proxies: PROXIES, publicPort, ...options });
  await writeFile(
    conf,
    `global
  stats socket "${socket}"
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen relay
  bind 127.0.0.1:${publicPort}
  server relay 127.0.0.1:${at.port} ${send}
`,
  );
  await daemon(haproxy, ['-db', '-f', conf], socket);
  return { at, publicPort };
}

describe.each(['send-proxy', 'send-proxy-v2'])('a relay behind HAProxy with %s', (send) => {
  it('knows the addresses of its clients', async (context) => {
    const haproxy = await programFor(context, 'haproxy');
    const deny = { identities: new Set<string>(), addresses: new AddressSet(['127.0.0.2']) };
    const { at, publicPort } = await balanced(haproxy, send, { deny });
    const target = await handedOver();
    const one = await agent();
    const web = service('web', target.port, { alpn: [] as never, proxyProtocol: true });
    await one.runner.apply(desired([at.spec], web));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const visitor = await visit({ port: publicPort }, 'web.localhost', one.ca, {
      ...NOT_HTTP,
      localAddress: '127.0.0.3',
    } as object);
    const header = await new Promise<Buffer>(
      (resolve) => void target.next().then((socket) => socket.once('data', resolve)),
    );
    // The visitor's address and port, as the service gets them in the agent's own header.
    expect([header.subarray(16, 20).join('.'), header.readUInt16BE(24)]).toEqual([
      '127.0.0.3',
      visitor.localPort,
    ]);
    const denied = visit({ port: publicPort }, 'web.localhost', one.ca, {
      localAddress: '127.0.0.2',
    } as object);
    await expect(denied).rejects.toThrow(/ECONNRESET|closed|disconnected/);
    expect(at.stats().denied).toEqual({ address: 1 });
  });
});

it('a public tcp port expects the header too', async () => {
  const at = await relay({ proxies: ['127.0.0.4'], ports: { tcp: 'any' } });
  let received = Buffer.alloc(0);
  const target = await tcpService((socket) =>
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk]))),
  );
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('db', target, { mode: 'tcp', proxyProtocol: true })));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = Number(tcpAddr!.split(':')[1]);
  const visitor = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.4' });
  visitor.on('error', () => undefined);
  onTestFinished(() => void visitor.destroy());
  const remote = { address: '192.0.2.7', port: 4321 };
  const header = proxyHeader({ remote, local: { address: '198.51.100.1', port } });
  visitor.write(Buffer.concat([header, Buffer.from('hello')]));
  await expect.poll(() => received.toString('latin1')).toMatch(/hello$/);
  // The agent's own header names the client.
  expect(received.includes(Buffer.from([192, 0, 2, 7]))).toBe(true);
});

it('a connection of the load balancer without a header is reset', async () => {
  const at = await relay({ proxies: PROXIES });
  const socket = connect({ host: '127.0.0.1', port: at.port });
  onTestFinished(() => void socket.destroy());
  const error = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
  socket.write('GET / HTTP/1.1\r\n\r\n');
  expect((await error).code).toBe('ECONNRESET');
});
