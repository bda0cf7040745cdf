import { expect, it } from 'vitest';
import { loadConfig } from './load.js';

async function warned(text: string): Promise<string[]> {
  const yaml = `version: 1\n${text}\n`;
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env: {}, stdin: async () => yaml });
  if (!result.ok) throw new Error(result.problems[0]?.message);
  return result.warnings.map(({ line, message }) => `${line}: ${message}`);
}

const PUBLIC = 'relays: { urls: [https://tunnel.example.com] }\n';

it('warns about services on a public relay that would use the local CA', async () => {
  expect(await warned(`${PUBLIC}services:\n  web: 3000\n  api: { target: 1, tls: local }`)).toEqual([
    '4: services "web" and "api" will get no certificate: the local CA, which is the default, issues none for names below tunnel.example.com',
  ]);
  expect(await warned('services: { web: { target: 1, hostname: shop.example.com } }')).toEqual([
    '2: service "web" will get no certificate: the local CA, which is the default, issues none for shop.example.com',
  ]);
});

it('does not guess the names of a relay whose URL has an address', async () => {
  const warnings = await warned('relays: { urls: ["https://192.0.2.1:8443"] }\nservices: { web: 1 }');
  expect(warnings.join()).not.toContain('certificate: the local CA');
});

it.each([
  ['a public CA', `${PUBLIC}services: { web: { target: 1, tls: acme } }`],
  ['a certificate of your own', `${PUBLIC}services: { web: { target: 1, tls: { cert: c, key: k } } }`],
  ['mode tcp, without TLS of Portal', `${PUBLIC}services: { db: { target: 1, mode: tcp } }`],
  ['a relay on this machine', 'services: { web: 1 }'],
  ['a private domain', 'relays: { urls: [https://relay.test] }\nservices: { web: 1 }'],
])('does not warn about %s', async (_, text) => {
  expect(await warned(text)).toEqual([]);
});
