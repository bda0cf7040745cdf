import { describe, expect, it } from 'vitest';
import { isLoopback, bypassesProxy } from './no-proxy.js';

describe('NO_PROXY', () => {
  it.each<[noProxy: string, host: string, port: number]>([
    ['*', 'relay.test', 443],
    ['a.test *', 'relay.test', 443],
    ['relay.test', 'relay.test', 443],
    ['RELAY.test', 'relay.TEST', 443],
    ['relay.test', 'relay.test.', 443],
    ['relay.test.', 'relay.test', 443],
    ['test', 'a.relay.test', 443],
    ['relay.test', 'a.relay.test', 443],
    ['.relay.test', 'a.relay.test', 443],
    ['.relay.test', 'relay.test', 443],
    ['*.relay.test', 'a.relay.test', 443],
    ['relay.test:8443', 'relay.test', 8443],
    ['a.test,b.test,relay.test', 'relay.test', 443],
    [' a.test , relay.test ', 'relay.test', 443],
    ['a.test relay.test\tb.test', 'relay.test', 443],
    ['bücher.test', 'xn--bcher-kva.test', 443],
    ['10.1.2.3', '10.1.2.3', 443],
    ['10.1.2.3:8443', '10.1.2.3', 8443],
    ['10.0.0.0/8', '10.1.2.3', 443],
    ['10.1.2.3/8', '10.9.9.9', 443],
    ['fd00::1', 'fd00::1', 443],
    ['[fd00::1]', 'fd00::1', 443],
    ['[fd00::1]:8443', 'fd00:0::1', 8443],
    ['fd00::/8', 'fd12::1', 443],
    ['[fd00::/8]:443', 'fd12::1', 443],
    ['10.0.0.0/8', '::ffff:10.1.2.3', 443],
  ])('%s exempts %s:%d', (noProxy, host, port) => {
    expect(bypassesProxy(noProxy, host, port)).toBe(true);
  });

  it.each<[noProxy: string, host: string, port: number]>([
    ['', 'relay.test', 443],
    [' , ,', 'relay.test', 443],
    ['relay.test', 'myrelay.test', 443],
    ['lay.test', 'relay.test', 443],
    ['a.relay.test', 'relay.test', 443],
    ['relay.test:8443', 'relay.test', 443],
    ['10.0.0.0/8', '11.1.2.3', 443],
    ['10.1.2.3:8443', '10.1.2.3', 443],
    ['10.0.0.0/99', '10.1.2.3', 443],
    ['10.0.0.0/8', 'relay.test', 443],
    ['[fd00::1]:8443', 'fd00::1', 443],
    ['[fd00::1', 'fd00::1', 443],
    ['.', 'relay.test', 443],
    ['*.', 'relay.test', 443],
    ['10.*', '10.1.2.3', 443],
  ])('%s does not exempt %s:%d', (noProxy, host, port) => {
    expect(bypassesProxy(noProxy, host, port)).toBe(false);
  });
});

describe('this machine', () => {
  it.each(['localhost', 'LOCALHOST.', 'web.localhost', '127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])(
    'is where %s leads',
    (host) => expect(isLoopback(host)).toBe(true),
  );
  it.each(['localhost.test', 'mylocalhost', '128.0.0.1', '::2', '0.0.0.0'])('is not where %s leads', (host) =>
    expect(isLoopback(host)).toBe(false),
  );
});
