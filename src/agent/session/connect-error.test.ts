import { X509Certificate } from 'node:crypto';
import { createServer as createHttps } from 'node:https';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { connect } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../certificates/local-ca.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { PortalError } from '../../lib/errors.js';
import { connectError } from './connect-error.js';
import { isFinal } from './retry.js';

const URL_OF_RELAY = 'https://relay.example.com';

/** Node's error of a TLS handshake with this server. */
async function failureOf(server: Server, ca?: string): Promise<Error> {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'relay.example.com',
    ...(ca !== undefined && { ca }),
  });
  onTestFinished(() => void socket.destroy());
  return await new Promise((resolve) => socket.once('error', resolve));
}

const answering = (alert: number): Server =>
  createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, alert])));
  });

it('a relay without a certificate is described as such', async () => {
  const error = connectError(await failureOf(createHttps({})), { url: URL_OF_RELAY });
  expect(error).toMatchObject({
    code: 'relay_unreachable',
    message: `${URL_OF_RELAY} is unreachable: it has no certificate yet (TLS alert 40)`,
  });
  expect(error.hint).toContain('The agent retries');
});

it('a relay that does not know the name is described as such', async () => {
  const error = connectError(await failureOf(answering(112)), { url: URL_OF_RELAY });
  expect(error.message).toBe(
    `${URL_OF_RELAY} is unreachable: it does not accept the name relay.example.com (TLS alert 112)`,
  );
  expect(error.hint).toBe(
    'Use the URL that `portal relay` prints, with the name of its --domain. The operator of the relay knows it.',
  );
});

it('a clock that is behind is described as such, and retried', () => {
  const cause = Object.assign(new Error('certificate is not yet valid'), { code: 'CERT_NOT_YET_VALID' });
  const error = connectError(cause, { url: URL_OF_RELAY });
  expect(error.message).toBe(`the certificate of ${URL_OF_RELAY} is not valid yet`);
  expect(error.hint).toMatch(/^Check the clock of this machine\. It shows \d{4}-/);
  expect(isFinal(error)).toBe(false);
});

it('finds the alert in an error of the socket', () => {
  const text =
    'write EPROTO 80:error:0A000410:SSL routines:ssl3_read_bytes:tlsv1 alert:SSL alert number 40\n';
  const error = connectError(Object.assign(new Error(text), { code: 'EPROTO' }), { url: URL_OF_RELAY });
  expect(error.message).toContain('it has no certificate yet');
});

it('names another alert', async () => {
  const error = connectError(await failureOf(answering(70)), { url: URL_OF_RELAY });
  expect(error.message).toBe(`${URL_OF_RELAY} is unreachable: it aborted the TLS handshake (TLS alert 70)`);
});

it('a server that does not speak TLS is described as such', async () => {
  const plain = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  });
  const error = connectError(await failureOf(plain), { url: URL_OF_RELAY });
  expect(error.message).toBe(`${URL_OF_RELAY} is unreachable: it does not speak TLS on this port`);
});

it('an untrusted certificate comes with the lines to write in portal.yaml', async () => {
  const ca = await openLocalCa(await temporaryFolder());
  const { cert, key } = await ca.issue(['relay.test']);
  const error = connectError(await failureOf(createHttps({ cert, key })), { url: URL_OF_RELAY });
  expect(error).toMatchObject({ code: 'relay_untrusted' });
  expect(error.message).toBe(
    `the certificate of ${URL_OF_RELAY} is not trusted: unable to verify the first certificate`,
  );
  expect(error.hint).toContain('`relays: { urls: [{ url: https://relay.example.com, ca: ./ca.pem }] }`');
  expect(error.hint).toContain('intercepts TLS');
});

it('says that the configured CA did not issue the certificate, not that a CA is missing', async () => {
  const [ca, other] = await Promise.all([
    openLocalCa(await temporaryFolder()),
    openLocalCa(await temporaryFolder()),
  ]);
  const { cert, key } = await ca.issue(['relay.test']);
  const failure = await failureOf(createHttps({ cert, key }), other.certificatePem);
  const error = connectError(failure, { url: URL_OF_RELAY, ca: other.certificatePem });
  expect(error).toMatchObject({
    code: 'relay_untrusted',
    message: `the CA of \`ca:\` did not issue the certificate of ${URL_OF_RELAY}`,
  });
  const { fingerprint256 } = new X509Certificate(other.certificatePem);
  expect(error.hint).toContain(`The current file has ${fingerprint256}.`);
  expect(error.hint).toContain('replace the file of `ca:`');
  expect(error.hint).not.toContain('write its file in portal.yaml');
});

it.each(['https://localhost:8443', 'https://127.0.0.1:8443', 'https://[::1]:8443'])(
  'an untrusted certificate on this machine is not blamed on a proxy: %s',
  (url) => {
    const cause = Object.assign(new Error('self-signed'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
    const { code, hint } = connectError(cause, { url });
    expect(code).toBe('relay_untrusted');
    expect(hint).toMatch(/^If the relay has a private CA, write its file/);
    // No relay has a certificate for an address.
    expect(hint!.includes('portal relay')).toBe(!url.includes('localhost'));
  },
);

it.each([
  [
    'ENOTFOUND',
    'relay.example.com has no address in DNS (ENOTFOUND)',
    'relay.example.com and *.relay.example.com',
  ],
  ['EAI_AGAIN', 'DNS does not respond (EAI_AGAIN)', 'DNS server'],
  ['ECONNREFUSED', 'nothing listens on port 443 (ECONNREFUSED)', 'Start the relay.'],
])('%s comes with the remedy', (code, why, hint) => {
  const error = connectError(Object.assign(new Error(code), { code }), { url: URL_OF_RELAY });
  expect(error).toMatchObject({
    code: 'relay_unreachable',
    message: `${URL_OF_RELAY} is unreachable: ${why}`,
    hint: expect.stringContaining(hint) as string,
  });
});

it.each([
  ['ENETUNREACH', 'this machine has no route to it (ENETUNREACH)'],
  ['ECONNRESET', 'it closed the connection (ECONNRESET)'],
  ['EXDEV', 'EXDEV'],
])('%s is explained where there are words for it', (code, why) => {
  const { message } = connectError(Object.assign(new Error(code), { code }), { url: URL_OF_RELAY });
  expect(message).toBe(`${URL_OF_RELAY} is unreachable: ${why}`);
});

it('a timeout names the port to open', () => {
  const late = new PortalError('timeout', 'the handshake timed out after 10000 ms');
  expect(connectError(late, { url: `${URL_OF_RELAY}:8443` })).toMatchObject({
    code: 'timeout',
    message: late.message,
    hint: expect.stringContaining('open port 8443 over TCP') as string,
  });
});
