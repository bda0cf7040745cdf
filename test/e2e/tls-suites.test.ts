import { expect, it } from 'vitest';
import { agent, desired, httpService, relay, service, visit } from '../support/world.js';

const CBC = [
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES256-SHA384',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES256-SHA',
  'AES128-SHA',
].join(':');
const GCM = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256';

it('accepts only AEAD suites of TLS 1.2, on the agent and on the relay', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('hi'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port)));
  await one.event('ready');
  const places = [
    { hostname: 'web.localhost', ca: one.ca },
    { hostname: 'localhost', ca: at.ca },
  ];
  for (const { hostname, ca } of places) {
    const over = (ciphers: string) => visit(at, hostname, ca, { maxVersion: 'TLSv1.2', ciphers });
    expect((await over(GCM)).getCipher().name).toMatch(/GCM/);
    await expect(over(CBC)).rejects.toThrow(/handshake failure/);
    expect((await visit(at, hostname, ca)).getProtocol()).toBe('TLSv1.3');
  }
});
