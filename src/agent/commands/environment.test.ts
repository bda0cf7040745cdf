import { expect, it } from 'vitest';
import { FREE_PORT, parseTarget } from '../../net/target/target.js';
import { portalVariables } from './environment.js';

const URLS = new Map([
  ['web', ['https://web.localhost:8443', 'https://web.relay.example.com']],
  ['my-api', ['https://my-api.localhost:8443']],
  ['db', ['tcp://relay.example.com:5432']],
  ['unknown', []],
]);

it('tells a program its URL and port, the URL of every service, and the names for Vite', () => {
  expect(portalVariables(URLS, { service: 'web', target: parseTarget(3000) })).toEqual({
    PORTAL_URL_WEB: 'https://web.localhost:8443',
    PORTAL_URL_MY_API: 'https://my-api.localhost:8443',
    PORTAL_URL_DB: 'tcp://relay.example.com:5432',
    PORTAL_URL: 'https://web.localhost:8443',
    PORT: '3000',
    __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: 'web.localhost,web.relay.example.com',
  });
});

it('names no port that is not chosen or does not exist, and no host of a TCP port', () => {
  expect(portalVariables(URLS, { service: 'db', target: FREE_PORT })).not.toHaveProperty('PORT');
  const socket = portalVariables(URLS, { service: 'db', target: { kind: 'unix', path: '/run/db.sock' } });
  expect(socket).not.toHaveProperty('PORT');
  expect(socket).not.toHaveProperty('__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS');
  expect(socket['PORTAL_URL']).toBe('tcp://relay.example.com:5432');
});

it('keeps the first of two services whose variables have the same name', () => {
  const urls = new Map([
    ['a-b', ['https://a-b.localhost']],
    ['a_b', ['https://a-c.localhost']],
  ]);
  expect(portalVariables(urls)).toEqual({ PORTAL_URL_A_B: 'https://a-b.localhost' });
});
