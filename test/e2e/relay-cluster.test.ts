import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { Identity } from '../../src/identity/identity.js';
import { dnsServer, everythingHere } from '../support/dns-server.js';
import { pebble } from '../support/pebble.js';
import { balancer } from '../support/balancer.js';
import { keepVisiting } from '../support/keep-visiting.js';
import { freePort } from '../support/ports.js';
import { operatorOf, pathToOneNode } from '../support/operator.js';
import { usePostgres } from '../support/postgres.js';
import { agent, desired, get, httpService, service } from '../support/world.js';

/** `portal relay --cluster`: nodes that share a database and connect to each other, as an operator starts them. */

/** What a visitor of a TCP port gets. */
function textFrom(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += String(chunk)));
    socket.once('error', reject).once('end', () => resolve(text));
  });
}

/** The serial number of the certificate for relay.test at a node; `none` if it has none that `root` issued. */
function serialOf(port: number, root: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, servername: 'relay.test', ca: root };
    const socket = connectTls({ ...options, ALPNProtocols: ['http/1.1'] }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', () => resolve('none'));
  });
}

describe('portal relay --cluster', () => {
  const server = usePostgres();

  it('serves a service at every node, and its agent after its node crashed', async () => {
    const { port: publicPort, route } = await pathToOneNode();
    const { start, specOf } = await operatorOf(server, publicPort);
    const a = await start('a');
    const b = await start('b');
    route(a);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    await one.runner.apply(desired([specOf(a.ca)], service('web', port)));
    await one.event('lease', ({ phase }) => phase === 'ready');
    for (const node of [a, b])
      expect((await get({ port: node.port }, 'web.localhost', one.ca)).text).toContain('hello');
    route(b);
    const mark = one.events.length;
    a.running.kill('SIGKILL');
    await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect((await get({ port: b.port }, 'web.localhost', one.ca)).text).toContain('hello');
  });

  it('disconnects at all nodes an identity that the list of one node denies', async () => {
    const { port: publicPort, route } = await pathToOneNode();
    const { start, specOf, folder } = await operatorOf(server, publicPort);
    const denied = join(folder, 'denied');
    await writeFile(denied, '# nobody\n');
    const [a, b] = [await start('a'), await start('b', {}, '--deny', 'denied')];
    const nodes = [a, b];
    const { port } = await httpService((_request, response) => response.end('hello'));
    const publish = async (identity?: Identity) => {
      const one = await agent({ ...(identity && { identity }) });
      await one.runner.apply(desired([specOf(a.ca)], service('web', port)));
      return one;
    };
    route(a);
    const one = await publish();
    await one.event('lease', ({ phase }) => phase === 'ready');
    for (const node of nodes) expect((await get(node, 'web.localhost', one.ca)).text).toContain('hello');
    const mark = one.events.length;
    await writeFile(denied, `${one.identity.address} # abuse\n`);
    await one.event('lease', ({ error }) => error?.code === 'unauthorized', mark);
    // Another agent of the identity tries each node.
    for (const node of nodes) {
      route(node);
      const again = await publish(one.identity);
      await again.event('lease', ({ error }) => error?.code === 'unauthorized');
    }
    for (const node of nodes)
      await expect
        .poll(() => get(node, 'web.localhost', one.ca).then(String, () => 'rejected'))
        .toBe('rejected');
  });

  it('gives TCP ports at the host of the node that the agent is connected to', async () => {
    const { port: publicPort, route } = await pathToOneNode();
    const { start, specOf } = await operatorOf(server, publicPort);
    const port = await freePort();
    const startAt = (name: string, host: string) =>
      start(name, { host }, '--tcp-ports', String(port), '--node-host', host);
    const a = await startAt('a', '127.0.0.1');
    const b = await startAt('b', '127.0.0.2');
    route(a);
    const target = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    await one.runner.apply(desired([specOf(a.ca)], service('web', target.port, { mode: 'tcp' })));
    const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
    expect(tcpAddr).toBe(`127.0.0.1:${port}`);
    expect(await textFrom('127.0.0.1', port)).toContain('hello');
    route(b);
    const mark = one.events.length;
    a.running.kill('SIGKILL');
    const moved = await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect(moved.tcpAddr).toBe(`127.0.0.2:${port}`);
    expect(await textFrom('127.0.0.2', port)).toContain('hello');
  });

  it('loses no visitor while all nodes restart one after another', async () => {
    const front = await balancer();
    const { start, specOf } = await operatorOf(server, front.port);
    const nodes = [await start('a'), await start('b'), await start('c')];
    front.use(nodes.map(({ port }) => port));
    const target = await httpService((_request, response) => response.end('hello'));
    const agents = await Promise.all([agent(), agent(), agent()]);
    const spec = specOf(nodes[0]!.ca);
    await Promise.all(
      agents.map(({ runner }, index) => runner.apply(desired([spec], service(`web${index}`, target.port)))),
    );
    for (const one of agents) await one.event('lease', ({ phase }) => phase === 'ready');
    const visiting = agents.map(({ ca }, index) => keepVisiting(front, `web${index}.localhost`, ca));
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      const { running, port } = nodes[index]!;
      running.kill('SIGTERM');
      expect((await running.finished).code).toBe(0);
      nodes[index] = await start(name, { listenAt: port });
    }
    await Promise.all(visiting.map((one) => one.end()));
    const results = visiting.flatMap((one) => one.results);
    expect(results.filter((text) => !text.includes('hello'))).toEqual([]);
    expect(results.length).toBeGreaterThan(10);
  });

  it('gets one certificate for all nodes, wherever the CA connects to, and encrypts it in the database', async (ctx) => {
    const front = await balancer();
    const { start, database } = await operatorOf(server, front.port);
    const dns = await dnsServer(everythingHere);
    const ca = await pebble(ctx, { tlsPort: front.port, dns: dns.address });
    // Both nodes run before the first order, and the CA connects to both.
    await ca.stop();
    const acme = ['--acme', '--acme-directory', ca.spec.directory, '--acme-ca', ca.spec.caFile!];
    const startNode = (name: string) => start(name, {}, '--domain', 'relay.test', ...acme);
    const nodes = [await startNode('a'), await startNode('b')];
    front.use(nodes.map(({ port }) => port));
    await ca.start();
    const root = await ca.root();
    const serials = () => Promise.all(nodes.map(({ port }) => serialOf(port, root)));
    await expect.poll(serials, { timeout: 60_000, interval: 200 }).not.toContain('none');
    const [serial] = await serials();
    expect(await serials()).toEqual([serial, serial]);
    expect(ca.issued).toBe(1);
    const files = await server.sql('SELECT name, sealed FROM portal.files ORDER BY name', database);
    expect(files.map(({ name }) => String(name).split('/')[1])).toEqual([
      'account.key.pem',
      'relay.test.pem',
    ]);
    expect(JSON.stringify(files)).not.toContain('PRIVATE KEY');
    // A later node needs no CA.
    await ca.stop();
    nodes.push(await startNode('c'));
    await expect.poll(serials, { interval: 200 }).toEqual([serial, serial, serial]);
  });
});
