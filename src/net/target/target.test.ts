import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTarget, isLoopback, isThisMachine, parseTarget } from './target.js';

function outcomeOf(text: string): string {
  try {
    parseTarget(text);
    return 'target';
  } catch (error) {
    return (error as Error).name;
  }
}

describe('a target', () => {
  it.each([
    [3000, { kind: 'tcp', host: 'localhost', port: 3000, tls: false }],
    ['3000', { kind: 'tcp', host: 'localhost', port: 3000, tls: false }],
    ['localhost:25565', { kind: 'tcp', host: 'localhost', port: 25565, tls: false }],
    ['[::1]:80', { kind: 'tcp', host: '::1', port: 80, tls: false }],
    ['http://127.0.0.1:5173', { kind: 'tcp', host: '127.0.0.1', port: 5173, tls: false }],
    ['http://app', { kind: 'tcp', host: 'app', port: 80, tls: false }],
    ['https://app', { kind: 'tcp', host: 'app', port: 443, tls: true }],
    ['http://[::1]:8080', { kind: 'tcp', host: '::1', port: 8080, tls: false }],
    ['unix:/run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['./public', { kind: 'tcp', host: '127.0.0.1', port: 0, tls: false, folder: './public' }],
    ['..', { kind: 'tcp', host: '127.0.0.1', port: 0, tls: false, folder: '..' }],
    ['/srv/site', { kind: 'tcp', host: '127.0.0.1', port: 0, tls: false, folder: '/srv/site' }],
  ])('is read from %j', (text, expected) => {
    expect(parseTarget(text)).toEqual(expected);
  });

  it.each([
    ['0', /not within 1 to 65535/],
    ['70000', /not within 1 to 65535/],
    ['localhost', /is not a port/],
    ['300x', /is not a port/],
    ['unix:', /requires a path/],
    ['http://a:1/path', /ends after its port/],
    ['http://me:secret@a:1', /cannot contain a user name/],
    ['ftp://a:1', /is not a port/],
    ['public', /is not a port/],
    ['.public', /is not a port/],
    ['', /is not a port/],
  ])('is rejected: %j', (text, reason) => {
    expect(() => parseTarget(text)).toThrow(RangeError);
    expect(() => parseTarget(text)).toThrow(reason);
  });

  it('parses every target that it formats', () => {
    const host = fc.constantFrom('127.0.0.1', 'localhost', '::1', 'app.internal');
    const port = fc.integer({ min: 1, max: 65535 });
    fc.assert(
      fc.property(host, port, fc.boolean(), (name, number, tls) => {
        const target = { kind: 'tcp', host: name, port: number, tls } as const;
        expect(parseTarget(formatTarget(target))).toEqual(target);
      }),
    );
  });

  it('throws only RangeErrors', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(outcomeOf(text)).toMatch(/^(target|RangeError)$/);
      }),
    );
  });
});

it.each([
  ['localhost', true, true],
  ['LocalHost', true, true],
  ['localhost.', true, true],
  ['app.localhost', true, true],
  ['127.0.0.1', false, true],
  ['127.8.8.8', false, true],
  ['::1', false, true],
  ['notlocalhost', false, false],
  ['127.0.0.1.example.com', false, false],
  ['localhost.example.com', false, false],
  ['10.0.0.1', false, false],
  ['0.0.0.0', false, false],
])('%s is a name of this machine: %s; stays on it: %s', (host, isName, stays) => {
  expect(isThisMachine(host)).toBe(isName);
  expect(isLoopback(host)).toBe(stays);
});
