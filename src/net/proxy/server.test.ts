import { describe, expect, it } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { parseProxy, proxyName, type ProxyServer } from './server.js';

const http = { kind: 'http', host: 'proxy.test', port: 3128 };
const as = (user: string, password: string): Partial<ProxyServer> => ({ credentials: { user, password } });

describe('the address of a proxy', () => {
  it.each<[string, object]>([
    ['http://proxy.test:3128', http],
    ['http://proxy.test:3128/', http],
    ['HTTP://Proxy.Test:3128', http],
    [' proxy.test:3128 ', http],
    ['proxy.test', { ...http, port: 80 }],
    ['https://proxy.test', { kind: 'https', host: 'proxy.test', port: 443 }],
    ['socks5://proxy.test', { kind: 'socks5', host: 'proxy.test', port: 1080 }],
    ['socks5h://proxy.test:9050', { kind: 'socks5h', host: 'proxy.test', port: 9050 }],
    ['socks://proxy.test', { kind: 'socks5h', host: 'proxy.test', port: 1080 }],
    ['10.0.0.1:8080', { kind: 'http', host: '10.0.0.1', port: 8080 }],
    ['http://[::1]:3128', { kind: 'http', host: '::1', port: 3128 }],
    ['[fd00::1]', { kind: 'http', host: 'fd00::1', port: 80 }],
    // Credentials, percent-encoded or verbatim.
    ['http://me:s3cret@proxy.test:3128', { ...http, ...as('me', 's3cret') }],
    ['me:s3cret@proxy.test:3128', { ...http, ...as('me', 's3cret') }],
    ['http://me@proxy.test:3128', { ...http, ...as('me', '') }],
    ['http://@proxy.test:3128', http],
    ['http://m%40e:p%3Aw%2F%25@proxy.test:3128', { ...http, ...as('m@e', 'p:w/%') }],
    ['http://me:p@ss:w/r?d#1@proxy.test:3128', { ...http, ...as('me', 'p@ss:w/r?d#1') }],
    ['http://CORP\\me:100%@proxy.test:3128', { ...http, ...as('CORP\\me', '100%') }],
    ['http://me:pä ss@proxy.test:3128', { ...http, ...as('me', 'pä ss') }],
  ])('%s', (text, server) => {
    expect(parseProxy(text, 'HTTPS_PROXY')).toEqual({ ...server, variable: 'HTTPS_PROXY' });
  });

  it.each([
    [':::', 'HOST:PORT is malformed'],
    ['http://', 'the host is missing'],
    ['http://:3128', 'the host is missing'],
    ['proxy.test:http', 'HOST:PORT is malformed'],
    ['proxy.test:0', 'the port is out of range'],
    ['proxy.test:99999', 'the port is out of range'],
    ['fd00::1:3128', 'HOST:PORT is malformed'],
    ['http://[fd00::zz]:3128', 'the host is malformed'],
    ['http://pro xy:3128', 'the host is malformed'],
    ['http://proxy.test:3128/proxy.pac', 'a path follows HOST:PORT'],
    ['ftp://proxy.test', 'the scheme must be http, https, socks5 or socks5h'],
    ['socks4://proxy.test', 'SOCKS4 is not supported'],
    ['://proxy.test', 'the scheme must be http, https, socks5 or socks5h'],
    ['me:s3cret@:::', 'HOST:PORT is malformed'],
  ])('rejects %s: %s', (text, reason) => {
    const refused = (): ProxyServer => parseProxy(text, 'HTTPS_PROXY');
    expect(refused).toThrow(PortalError);
    expect(refused).toThrow(`HTTPS_PROXY does not name a proxy: ${reason}`);
    expect(refused).not.toThrow('s3cret');
  });

  it('is shown without credentials', () => {
    expect(proxyName(parseProxy('http://me:s3cret@[::1]:3128', 'HTTPS_PROXY'))).toBe('[::1]:3128');
  });
});
