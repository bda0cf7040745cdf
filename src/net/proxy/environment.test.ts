import { describe, expect, it } from 'vitest';
import { proxyIn } from './environment.js';

const RELAY = 'https://relay.test';

/** The host of the proxy for `url`. */
const via = (env: NodeJS.ProcessEnv, url = RELAY): string | undefined => proxyIn(env, url)?.host;

describe('the proxy of the environment', () => {
  it.each<[NodeJS.ProcessEnv, string | undefined]>([
    [{}, undefined],
    [{ HTTPS_PROXY: 'a:1' }, 'a'],
    [{ https_proxy: 'a:1', HTTPS_PROXY: 'b:1' }, 'a'],
    [{ HTTPS_PROXY: 'a:1', all_proxy: 'b:1' }, 'a'],
    [{ ALL_PROXY: 'a:1' }, 'a'],
    [{ all_proxy: 'a:1', ALL_PROXY: 'b:1' }, 'a'],
    [{ https_proxy: '', HTTPS_PROXY: ' ', ALL_PROXY: 'a:1' }, 'a'],
    [{ HTTP_PROXY: 'a:1', http_proxy: 'a:1' }, undefined],
    [{ HTTPS_PROXY: 'a:1', NO_PROXY: 'relay.test' }, undefined],
    [{ HTTPS_PROXY: 'a:1', no_proxy: 'other.test', NO_PROXY: 'relay.test' }, 'a'],
    [{ HTTPS_PROXY: 'a:1', no_proxy: '', NO_PROXY: 'relay.test' }, undefined],
    [{ HTTPS_PROXY: 'a:1', NO_PROXY: 'relay.test:443' }, undefined],
    [{ HTTPS_PROXY: 'a:1', NO_PROXY: 'relay.test:8443' }, 'a'],
  ])('of %j is %s', (env, host) => {
    expect(via(env)).toBe(host);
  });

  it('does not apply to this machine', () => {
    const env = { HTTPS_PROXY: 'a:1' };
    for (const host of ['localhost:8443', 'web.localhost', '127.0.0.1:8443', '[::1]:8443'])
      expect(via(env, `https://${host}`)).toBeUndefined();
  });

  it('is not used for an IPv6 address in NO_PROXY', () => {
    const env = { HTTPS_PROXY: 'a:1', NO_PROXY: '[fd00::1]:8443' };
    expect([via(env, 'https://[fd00::1]:8443'), via(env, 'https://[fd00::1]')]).toEqual([undefined, 'a']);
  });

  it('causes an error with the variable’s name if malformed, unless no proxy is needed', () => {
    expect(() => via({ ALL_PROXY: ':::' })).toThrow(
      'ALL_PROXY does not name a proxy: HOST:PORT is malformed',
    );
    expect(() => via({ https_proxy: ':::' })).toThrow('https_proxy does not name a proxy');
    expect(via({ HTTPS_PROXY: ':::', NO_PROXY: 'relay.test' })).toBeUndefined();
  });
});
