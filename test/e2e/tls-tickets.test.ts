import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type TLSSocket } from 'node:tls';
import { expect, it } from 'vitest';
import { cluster } from '../support/cluster.js';
import { relay, type TestRelay } from '../support/world.js';
import { Person } from './cli-support.js';

/** A TLS session of one node of a relay resumes at another. */

/** Where a relay listens, and its CA. */
interface At {
  readonly port: number;
  readonly ca: { readonly certificatePem: string };
}

function open({ port, ca }: At, session?: Buffer): TLSSocket {
  return connect({
    host: '127.0.0.1',
    port,
    servername: 'localhost',
    ca: ca.certificatePem,
    ALPNProtocols: ['http/1.1'],
    ...(session && { session }),
  }).resume();
}

/** A session that the relay issued. */
async function issuedBy(at: At): Promise<Buffer> {
  const socket = open(at);
  const [session] = (await once(socket, 'session')) as [Buffer];
  expect(socket.isSessionReused()).toBe(false);
  socket.destroy();
  return session;
}

async function resumes(at: At, session: Buffer): Promise<boolean> {
  const socket = open(at, session);
  await once(socket, 'secureConnect');
  const resumed = socket.isSessionReused();
  socket.destroy();
  return resumed;
}

it('resumes at every node with the same keys, even after a new certificate, and at no other relay', async () => {
  const tlsTicketKeys = randomBytes(48);
  const one = await relay({ tlsTicketKeys });
  const [same, other] = [await relay({ tlsTicketKeys, ca: one.ca }), await relay({ ca: one.ca })];
  const session = await issuedBy(one);
  expect(await resumes(same, session)).toBe(true);
  expect(await resumes(other, session)).toBe(false);
  for (const node of [one, same]) node.serveCertificate(await one.ca.issue(['localhost']));
  expect(await resumes(same, await issuedBy(one))).toBe(true);
});

it('resumes at every node of a relay on several machines, without keys from an operator', async () => {
  const { nodes } = await cluster(2);
  const [a, b] = nodes as [TestRelay, TestRelay];
  expect(await resumes(b, await issuedBy(a))).toBe(true);
  const other = (await cluster(1, { tls: await a.ca.issue(['localhost']) })).nodes[0]!;
  expect(await resumes(Object.assign(other, { ca: a.ca }), await issuedBy(a))).toBe(false);
});

it('resumes at every worker of a relay', async () => {
  const operator = await Person.create();
  const running = operator.start(['relay', '--json', '--listen', '127.0.0.1:0', '--workers', '2']);
  const { url, ca } = (await running.event('listening')) as unknown as { url: string; ca: string };
  const at = { port: Number(new URL(url).port), ca: { certificatePem: await readFile(ca, 'utf8') } };
  const session = await issuedBy(at);
  // Each connection arrives at one of the workers, at random.
  for (let connection = 0; connection < 20; connection++) expect(await resumes(at, session)).toBe(true);
});
