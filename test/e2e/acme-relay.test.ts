import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { expect, it, onTestFinished, vi } from 'vitest';
import { freePorts } from '../support/ports.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { dnsServer, everythingHere } from '../support/dns-server.js';
import { pebble } from '../support/pebble.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';
import { Person } from './cli-support.js';

/** A TLS connection to the relay itself that trusts `ca`. */
function toRelay(port: number, servername: string, ca: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername, ca, ALPNProtocols: ['http/1.1'] }, () =>
      resolve(socket),
    );
    socket.once('error', reject);
    onTestFinished(() => {
      socket.destroy();
    });
  });
}

const serial = async (port: number, servername: string, ca: string): Promise<string> => {
  const socket = await toRelay(port, servername, ca);
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
};

it.for([1, 2])(
  'portal relay --acme --workers %i gets a certificate for its own domain, and stores it',
  async (workers, ctx) => {
    const [port = 0] = await freePorts(1);
    const dns = await dnsServer(everythingHere);
    const ca = await pebble(ctx, { tlsPort: port, dns: dns.address });
    const person = await Person.create();
    const args = ['relay', '--domain', 'relay.test', '--listen', `127.0.0.1:${port}`, '--json'];
    const acme = [
      '--workers',
      String(workers),
      '--acme',
      '--acme-directory',
      ca.spec.directory,
      '--acme-ca',
      ca.spec.caFile!,
    ];
    const first = person.start([...args, ...acme]);
    await first.event('listening');
    const root = await ca.root();
    await expect
      .poll(() => serial(port, 'relay.test', root).catch(() => 'not yet'), { interval: 100 })
      .not.toBe('not yet');
    const before = await serial(port, 'relay.test', root);
    first.kill('SIGTERM');
    const ended = await first.finished;
    expect(ended.code).toBe(0);
    expect(ended.stderr.match(/agreeing to this CA's terms of service/g)).toHaveLength(1);

    await ca.stop();
    const second = person.start([...args, ...acme]);
    // The first connection that the relay serves. Before that, it checks the address, which may reset a connection.
    const answer = await vi.waitFor(
      () =>
        serial(port, 'relay.test', root).catch((error: NodeJS.ErrnoException) => {
          if (['ECONNREFUSED', 'ECONNRESET'].includes(error.code ?? '')) throw error;
          return error.message;
        }),
      { timeout: 20_000, interval: 1 },
    );
    expect(answer).toBe(before);
    await second.event('listening');
  },
);

it.each([1, 2])('portal relay --workers %i reloads certificate files', async (workers) => {
  const person = await Person.create();
  const issuer = await openLocalCa(join(person.folder, 'issuer'));
  const files = { cert: join(person.folder, 'cert.pem'), key: join(person.folder, 'key.pem') };
  const renew = async (): Promise<void> => {
    const { cert, key } = await issuer.issue(['relay.test']);
    await writeFile(`${files.key}.new`, key);
    await writeFile(`${files.cert}.new`, cert);
    await rename(`${files.key}.new`, files.key);
    await rename(`${files.cert}.new`, files.cert);
  };
  await renew();
  const args = ['relay', '--domain', 'relay.test', '--listen', '127.0.0.1:0', '--json'];
  const running = person.start([
    ...args,
    '--workers',
    String(workers),
    '--cert',
    files.cert,
    '--key',
    files.key,
  ]);
  const { url } = await running.event('listening');
  const port = Number(new URL(String(url)).port);
  const kept = await toRelay(port, 'relay.test', issuer.certificatePem);
  await renew();
  await expect
    .poll(() => serial(port, 'relay.test', issuer.certificatePem), { interval: 200 })
    .not.toBe(kept.getPeerCertificate().serialNumber);
  const answer = new Promise<string>((resolve) =>
    kept.once('data', (chunk: Buffer) => resolve(String(chunk))),
  );
  kept.write('GET /healthz HTTP/1.1\r\nHost: relay.test\r\n\r\n');
  expect(await answer).toContain('200 OK');
});

it('a new certificate of the relay disconnects no agent', async () => {
  const ca = await openLocalCa(await temporaryFolder());
  const at = await relay({ ca });
  const one = await agent();
  const { port } = await httpService((_request, response) => response.end('here'));
  await one.runner.apply(desired([at.spec], service('web', port)));
  const from = one.events.length;
  const before = await serial(at.port, 'localhost', ca.certificatePem);
  at.serveCertificate(await ca.issue(['localhost']));
  expect(await serial(at.port, 'localhost', ca.certificatePem)).not.toBe(before);
  const { leases } = await one.runner.status();
  expect(leases[0]?.phase).toBe('ready');
  expect(one.events.slice(from)).toEqual([]);
  expect(at.counts().sessions).toBe(1);
});

it.each([
  [['--acme', '--cert', 'a.pem', '--key', 'b.pem']],
  [['--acme-email', 'me@example.com']],
  [['--acme', '--acme-directory', 'http://ca.example.com/dir']],
  [['--acme']],
  [['--acme', '--domain', 'relay.test']],
  [['--dns', 'dns.example.com']],
])('portal relay %j is a usage error', async (args) => {
  const person = await Person.create();
  const { code, stdout } = await person.run(['relay', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});
