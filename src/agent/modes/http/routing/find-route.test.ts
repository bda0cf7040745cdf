import { describe, expect, it } from 'vitest';
import { PAGES } from '../../../pages/pages.js';
import type { Client } from '../exchange/exchange.js';
import { findRoute } from './find-route.js';
import type { Route } from './routes.js';

const HOST = 'app.example.com';
const route = { prefix: '/api' } as Route;
const table = {
  find: (target: string) => (target === '/..%2f' ? 'unsafe' : target.startsWith('/api') ? route : undefined),
} as const;

/** Any socket: only a request that the owner repeats has none. */
const client = { hostname: HOST, socket: {} } as Client;
const asked = (target: string, over: { method?: string; authority?: string; client?: Client } = {}) =>
  findRoute({ method: 'GET', target, authority: HOST, client, ...over }, table);

describe('findRoute', () => {
  it('finds the route of a request', () => {
    expect(asked('/api/users')).toBe(route);
    expect(asked('/api', { authority: `${HOST}:443` })).toBe(route);
  });

  it('finds it for a request with another name if the owner repeats it', () => {
    expect(asked('/api', { authority: 'other.example.com' })).toBe(PAGES.misdirected);
    expect(asked('/api', { authority: 'other.example.com', client: { ...client, socket: undefined! } })).toBe(
      route,
    );
  });

  it.each([
    ['TRACE', '/api', 'echoRefused'],
    ['TRACK', '/api', 'echoRefused'],
    ['GET', '*', 'badRequest'],
    ['GET', 'http://app.example.com/api', 'badRequest'],
    ['GET', '/..%2f', 'unsafePath'],
    ['GET', '/other', 'noRoute'],
  ] as const)('rejects %s %s with the page %s', (method, target, page) => {
    expect(asked(target, { method })).toBe(PAGES[page]);
  });

  it('leaves `OPTIONS *` to Portal', () => {
    expect(asked('*', { method: 'OPTIONS' })).toBe('options');
    expect(asked('*', { method: 'OPTIONS', authority: 'other.example.com' })).toBe(PAGES.misdirected);
  });
});
