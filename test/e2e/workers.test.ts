import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { ACME_ALPN, AcmeChallenges } from '../../src/certificates/acme/challenges.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { silent } from '../../src/lib/logger.js';
import { deferred } from '../../src/lib/wait.js';
import { readDenyList } from '../../src/relay/protection/access-lists.js';
import { createWorkerMetrics } from '../../src/relay/metrics/workers.js';
import { serveMainProcess } from '../../src/relay/workers/worker.js';
import { startWorkers, type Workers } from '../../src/relay/workers/workers.js';
import { caFolder } from '../support/ca-pool.js';
import { channelPair } from '../support/channel.js';
import { Peer } from './relay-peer.js';

/** What the main process tells its workers. The worker is in this process: two of them cannot share a port here. */

async function started() {
  const ca = await openLocalCa(await caFolder());
  const challenges = new AcmeChallenges();
  let count = 0;
  const workers = await startWorkers({
    domain: 'localhost',
    host: '127.0.0.1',
    port: 0,
    tls: await ca.issue(['localhost']),
    challenges,
    store: 'memory',
    identity: generateIdentity(),
    count: 1,
    metrics: { version: '1', node: 'v20' },
    fork: () => {
      const [near, far] = channelPair();
      const ended = deferred<string>();
      far.onClose(() => ended.resolve('exited with code 0'));
      serveMainProcess({ channel: far, log: silent, flush: () => Promise.resolve() });
      return {
        name: `w${++count}`,
        pid: undefined,
        channel: near,
        ended: ended.promise,
        kill: () => near.close(),
      };
    },
  });
  onTestFinished(() => workers.close());
  const at = { url: workers.url, port: workers.port, ca };
  return { workers, at, ca, challenges };
}

/** The certificate of the relay in a new TLS session; undefined if the handshake fails. */
async function certificateOf({ port }: Workers, ALPNProtocols: string[]): Promise<string | undefined> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'localhost',
    ALPNProtocols,
    rejectUnauthorized: false,
  });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
  const certificate = socket.getPeerX509Certificate()?.toString();
  socket.destroy();
  return certificate;
}

const sameAs = (pem: string): string => new X509Certificate(pem).toString();

it('a worker serves later certificates, and pending challenges of a CA', async () => {
  const { workers, ca, challenges } = await started();
  const renewed = await ca.issue(['localhost']);
  workers.serveCertificate(renewed);
  await expect.poll(() => certificateOf(workers, ['http/1.1'])).toBe(sameAs(renewed.cert));
  expect(await certificateOf(workers, [ACME_ALPN])).toBeUndefined();
  const challenge = await ca.issue(['localhost']);
  const withdraw = await challenges.add('localhost', challenge);
  expect(await certificateOf(workers, [ACME_ALPN])).toBe(sameAs(challenge.cert));
  withdraw();
  await expect.poll(() => certificateOf(workers, [ACME_ALPN])).toBeUndefined();
});

it('a worker disconnects identities that the operator denies, and rejects reserved labels', async () => {
  const { workers, at } = await started();
  const peer = await Peer.open(at);
  workers.reserveLabels(new Map([['status', new Set<string>()]]));
  await expect
    .poll(() =>
      peer.lease('status').then(
        () => undefined,
        (error: { code: string }) => error.code,
      ),
    )
    .toBe('name_reserved');
  await peer.lease('web');
  workers.deny(readDenyList(peer.identity.address));
  expect(await peer.next('error')).toMatchObject({ code: 'unauthorized' });
});

it('metrics and health come from the workers', async () => {
  const { workers, at } = await started();
  await (await Peer.open(at)).lease('web');
  const metrics = await createWorkerMetrics(workers);
  const text = await metrics.text();
  expect(text).toContain('portal_relay_leases{kind="tls"} 1');
  expect(text).toContain('portal_relay_workers 1');
  expect(workers.problem()).toBeUndefined();
  await workers.close();
  expect(workers.problem()).toBe('stopping');
});
