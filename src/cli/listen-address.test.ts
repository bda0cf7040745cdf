import { expect, test } from 'vitest';
import { parseListenAddress, parseListenAddresses } from './listen-address.js';

test.each([
  ['127.0.0.1:8443', '127.0.0.1', 8443],
  ['0.0.0.0:443', '0.0.0.0', 443],
  ['localhost:0', 'localhost', 0],
  ['[::1]:8443', '::1', 8443],
  [':443', '', 443],
  ['8443', '127.0.0.1', 8443],
])('%s', (text, host, port) => {
  expect(parseListenAddress(text)).toEqual({ host, port });
});

test('rejects addresses with different ports', () => {
  expect(parseListenAddresses(['0.0.0.0:443,[::1]:443', 'localhost:443'])).toEqual({
    hosts: ['0.0.0.0', '::1', 'localhost'],
    port: 443,
  });
  expect(() => parseListenAddresses(['0.0.0.0:443', '[::]:8443'])).toThrow(/443, 8443/);
  expect(() => parseListenAddresses(['0.0.0.0:443,'])).toThrow(/not an address/);
});

test.each(['', 'localhost', 'localhost:', '1.2.3.4:65536', '::1:443', 'https://a:443', 'a b:1'])(
  'rejects "%s"',
  (text) => {
    expect(() => parseListenAddress(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  },
);
