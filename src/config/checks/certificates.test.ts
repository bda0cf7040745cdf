import { describe, expect, it } from 'vitest';
import { sourceFor } from '../../certificates/spec.js';
import { loadConfig } from '../load.js';

async function loadedFrom(text: string) {
  const yaml = `version: 1\n${text}\n`;
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env: {}, stdin: async () => yaml });
  if (!result.ok) throw new Error(result.problems[0]?.message);
  return result;
}

async function warned(text: string): Promise<string[]> {
  return (await loadedFrom(text)).warnings.map(({ line, message }) => `${line}: ${message}`);
}

const PUBLIC = 'relays: { urls: [https://tunnel.example.com] }\n';

it('warns about names that no CA certifies', async () => {
  expect(
    await warned(`${PUBLIC}services:\n  web: { target: 1, tls: local }\n  api: { target: 1, tls: local }`),
  ).toEqual([
    '4: services "web" and "api" will get no certificate: the local CA issues none for names below tunnel.example.com',
  ]);
  expect(await warned('services: { web: { target: 1, hostname: shop.example.com } }')).toEqual([
    '2: service "web" will get no certificate: the local CA issues none for shop.example.com, and public CAs connect to port 443 of a relay elsewhere only',
  ]);
  expect(await warned(`${PUBLIC.replace('.com', '.com:8443')}services:\n  web: 1`)).toEqual([
    '4: service "web" will get no certificate: the local CA issues none for names below tunnel.example.com, and public CAs connect to port 443 of a relay elsewhere only',
  ]);
});

it.each([
  [
    'web: { target: 1, tls: acme }',
    '2: service "web" will get no certificate: Let\'s Encrypt issues none for names below localhost',
  ],
  [
    'web: { target: 1, tls: acme, hostname: app.home.arpa }',
    '2: service "web" will get no certificate: Let\'s Encrypt issues none for app.home.arpa',
  ],
  ['web: { target: 1, tls: acme, hostname: shop.example.com }', undefined],
  ['db: { target: 1, tls: acme, mode: tcp }', undefined],
])('%s gets certificates only for public names', async (service, warning) => {
  expect(await warned(`services: { ${service} }`).catch(() => [])).toEqual(
    warning === undefined ? [] : [warning],
  );
});

it('expects nothing of a private CA', async () => {
  expect(
    await warned('acme: { directory: https://ca.test/dir }\nservices: { web: { target: 1, tls: acme } }'),
  ).toEqual([]);
});

it('does not guess the names of a relay whose URL has an address', async () => {
  const warnings = await warned('relays: { urls: ["https://192.0.2.1:8443"] }\nservices: { web: 1 }');
  expect(warnings.join()).not.toContain('certificate: the local CA');
});

describe('tls: auto, the default', () => {
  const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
  it.each([
    ['a relay on this machine', 'services: { web: 1 }', 'local'],
    ['a public relay', `${PUBLIC}services: { web: 1 }`, 'acme'],
    [
      'a public relay, written out',
      `${PUBLIC}services: { web: { target: 1, tls: { source: auto } } }`,
      'acme',
    ],
    [
      'a public relay that has `tls: local`',
      `${PUBLIC}services: { web: { target: 1, tls: local } }`,
      'local',
    ],
    ['a private domain', 'relays: { urls: [https://relay.test] }\nservices: { web: 1 }', 'local'],
    ['an address', 'relays: { urls: ["https://192.0.2.1"] }\nservices: { web: 1 }', 'local'],
    ['another port', 'relays: { urls: ["https://tunnel.example.com:8443"] }\nservices: { web: 1 }', 'local'],
    [
      'another port, with a private CA',
      'acme: { directory: https://ca.test/dir }\nrelays: { urls: ["https://tunnel.example.com:8443"] }\nservices: { web: 1 }',
      'acme',
    ],
    [
      'both',
      'relays: { urls: [https://tunnel.example.com], embedded: { port: 0 } }\nservices: { web: 1 }',
      'auto',
    ],
    ['a list of relays', 'relays: { registry: https://example.com/list.json }\nservices: { web: 1 }', 'auto'],
    ['its own domain', `${PUBLIC}services: { web: { target: 1, hostname: shop.example.com } }`, 'acme'],
    [
      'a local name at a public relay',
      `${PUBLIC}services: { web: { target: 1, hostname: shop.test } }`,
      'local',
    ],
    [
      'a chain with a public entry',
      'chains: { c: [https://a.example.com, https://b.test] }\nservices: { web: { target: 1, via: c } }',
      'acme',
    ],
    ['mode tcp', `${PUBLIC}services: { web: { target: 1, mode: tcp } }`, 'local'],
  ])('chooses for %s', async (_, text, source) => {
    const { desired, permissions } = await loadedFrom(text);
    expect(desired.services[0]?.tls.source).toBe(source);
    expect(permissions.some(({ key }) => key.startsWith('acme '))).toBe(source !== 'local');
  });

  it('says where it chose a public CA, and why', async () => {
    const text = `${PUBLIC}services:\n  web: 1\n  api: 2\n  own: { target: 3, tls: acme }\n  mine: { target: 1, hostname: shop.example.com }`;
    expect((await loadedFrom(text)).certificates).toEqual([
      {
        services: ['web', 'api'],
        source: 'acme',
        text: "the certificates of web and api come from Let's Encrypt, because tunnel.example.com is a public name",
      },
      {
        services: ['mine'],
        source: 'acme',
        text: "the certificates of mine come from Let's Encrypt, because shop.example.com is a public name",
      },
    ]);
    expect((await loadedFrom('services: { web: 1 }')).certificates).toEqual([]);
  });

  it('uses the local CA for the names that it covers, where a service has both', () => {
    const tls = { source: 'auto', directory: LETS_ENCRYPT } as const;
    expect(sourceFor(tls, 'web.localhost')).toEqual({ source: 'local' });
    expect(sourceFor(tls, 'web.example.com')).toEqual({ source: 'acme', directory: LETS_ENCRYPT });
  });
});

it.each([
  ['a public relay', `${PUBLIC}services: { web: 1 }`],
  ['a public CA', `${PUBLIC}services: { web: { target: 1, tls: acme } }`],
  ['a certificate of your own', `${PUBLIC}services: { web: { target: 1, tls: { cert: c, key: k } } }`],
  ['mode tcp, without TLS of Portal', `${PUBLIC}services: { db: { target: 1, mode: tcp } }`],
  ['a relay on this machine', 'services: { web: 1 }'],
  ['a private domain', 'relays: { urls: [https://relay.test] }\nservices: { web: 1 }'],
])('does not warn about %s', async (_, text) => {
  expect(await warned(text)).toEqual([]);
});
