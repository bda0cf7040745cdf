import { expect, it } from 'vitest';
import { fields } from './mask.js';

const none = new Set<string>();

it.each([
  ['Authorization', 'Bearer abc.def', 'Bearer ••••••'],
  ['AUTHORIZATION', 'dXNlcjpwYXNz', '••••••'],
  ['Proxy-Authorization', 'Basic dXNlcjpwYXNz', 'Basic ••••••'],
  ['cookie', 'session=s3cr3t; theme=dark', 'session=••••••; theme=••••••'],
  ['Cookie', 'noname', '••••••'],
  ['Set-Cookie', 'id=s3cr3t=x; Path=/; HttpOnly', 'id=••••••; Path=/; HttpOnly'],
  ['set-cookie', '=s3cr3t; Secure', '••••••; Secure'],
])('%s: %s', (name, value, shown) => {
  expect(fields([name, value], none, false)).toEqual([{ name, value: shown, masked: true }]);
  expect(fields([name, value], none, true)).toEqual([{ name, value }]);
});

it('never shows a PIN', () => {
  for (const isRevealed of [false, true])
    expect(fields(['Portal-Pin', '2580-1379'], none, isRevealed)).toEqual([
      { name: 'Portal-Pin', value: '••••••', masked: true },
    ]);
});

it('masks the configured names in any case, and no others', () => {
  const headers = ['X-API-Key', 'k1', 'Accept', '*/*', 'x-api-key', 'k2'];
  expect(fields(headers, new Set(['x-api-key']), false)).toEqual([
    { name: 'X-API-Key', value: '••••••', masked: true },
    { name: 'Accept', value: '*/*' },
    { name: 'x-api-key', value: '••••••', masked: true },
  ]);
});
