import { describe, expect, it } from 'vitest';
import { isForeign, isFromOtherSite, isFromOwnPage } from './own-page.js';

/** Who sent a request, by what browsers and programs say. */

const HOST = 'bank.relay.example:8443';
const CLIENT = { address: '', network: '', forwardedFor: '', hostname: 'bank.relay.example' };

interface Over {
  readonly method?: string;
  readonly upgrade?: string;
  readonly authority?: string;
  readonly isConnect?: boolean;
}

function sent(fields: Record<string, string>, over: Over = {}) {
  const { method = 'POST', upgrade, authority = HOST, isConnect = false } = over;
  const headers = Object.entries(fields).flat();
  return { headers, method, upgrade, authority, client: { ...CLIENT, isConnect } };
}

const site = (value: string, origin?: string): Record<string, string> => ({
  'Sec-Fetch-Site': value,
  ...(origin !== undefined && { Origin: origin }),
});
const origin = (value: string): Record<string, string> => ({ Origin: value });

describe('a form', () => {
  it.each([
    [site('same-origin')],
    [site('same-origin', 'null')],
    [{}],
    [origin(`https://${HOST}`)],
    [origin(`https://${HOST.toUpperCase()}`)],
  ])('is of an own page: %j', (fields) => {
    expect(isFromOwnPage(sent(fields))).toBe(true);
  });

  it.each([
    [site('same-site')],
    [site('cross-site')],
    [site('none')],
    [{ 'sec-fetch-site': 'same-origin', 'Sec-Fetch-Site': 'cross-site' }],
    [origin('https://evil.example')],
    [origin('https://evil.relay.example:8443')],
    [origin('https://bank.relay.example')],
    [origin(`http://${HOST}`)],
    [origin('null')],
  ])('is of no own page: %j', (fields) => {
    expect(isFromOwnPage(sent(fields))).toBe(false);
  });

  it('is of an own page on the default port, and through portal connect', () => {
    const own = origin('https://bank.relay.example');
    expect(isFromOwnPage(sent(own, { authority: 'bank.relay.example:443' }))).toBe(true);
    const local = sent(origin('http://localhost:5000'), { authority: 'localhost:5000', isConnect: true });
    expect(isFromOwnPage(local)).toBe(true);
  });
});

describe('a request', () => {
  it.each([
    [site('same-site'), {}],
    [site('cross-site'), { method: 'DELETE' }],
    [site('cross-site'), { method: 'GET', upgrade: 'websocket' }],
    [origin('https://evil.relay.example:8443'), { method: 'GET', upgrade: 'websocket' }],
    [origin('null'), {}],
  ])('is foreign: %j %j', (fields, over) => {
    expect(isForeign(sent(fields, over))).toBe(true);
  });

  it.each([
    [site('same-origin'), {}],
    [site('none'), {}],
    [{}, {}],
    [{}, { method: 'GET', upgrade: 'websocket' }],
    [origin(`https://${HOST}`), { method: 'GET', upgrade: 'websocket' }],
    [site('cross-site'), { method: 'GET' }],
    [site('same-site'), { method: 'HEAD' }],
    [site('cross-site', 'https://evil.example'), { method: 'OPTIONS' }],
    [site('same-site', 'http://localhost:5173'), { isConnect: true }],
  ])('is not foreign: %j %j', (fields, over) => {
    expect(isForeign(sent(fields, over))).toBe(false);
  });

  it.each([
    ['', false],
    ['none', false],
    ['same-origin', false],
    ['same-site', true],
    ['cross-site', true],
  ])('with Sec-Fetch-Site %j is caused by another site: %s', (value, isOther) => {
    expect(isFromOtherSite(sent(value === '' ? {} : site(value)))).toBe(isOther);
  });
});
