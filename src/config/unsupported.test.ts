import { expect, it } from 'vitest';
import { loadConfig } from './load.js';
import { UNSUPPORTED } from './unsupported.js';

const EVERYTHING = `version: 1
relays: { urls: [https://r.example.com], registry: ./more.json, maxActive: 2 }
chains: { private: [https://a.example.com, https://b.example.com] }
services:
  one:
    mode: http
    routes: { /: 3000 }
    access: { pin: "1234", allowIps: [10.0.0.1] }
    hostname: shop.example.com
    tls: acme
    health: /healthz
    expires: 8h
  two: { mode: tcp, target: 1, port: 25565 }
  three: { mode: udp, target: 1 }
  four: { target: 1, via: private, tls: { source: acme } }
  five: { target: 1, tls: { cert: a, key: b } }
`;

it('names each use of what this version does not do, and nothing else', async () => {
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env: {}, stdin: async () => EVERYTHING });
  const problems = result.ok ? [] : result.problems;
  expect(new Set(problems.map(({ code }) => code))).toEqual(new Set(['not_supported']));
  const told = problems.map(({ message }) => message.split(' is not supported yet; ')[0]);
  expect(new Set(told)).toEqual(new Set(UNSUPPORTED.map(({ what }) => what)));
  expect(problems[0]).toMatchObject({ line: 11, path: '/services/one/health' });
  expect(problems.every(({ frame, hint }) => frame && hint)).toBe(true);
});
