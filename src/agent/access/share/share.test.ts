import { describe, expect, it } from 'vitest';
import { identityFromPrivateKey, recoverAddress } from '../../../identity/keys.js';
import { tokenIn, withoutToken } from './parameter.js';
import type { AccessSpec } from '../../spec.js';
import { isWithin, linkPath } from './path.js';
import { Shares } from './shares.js';
import {
  linksIn,
  readToken,
  shareCookie,
  shareMessage,
  shareToken,
  type CookieCheck,
  type ShareLink,
} from './token.js';

/** Links, their cookies and their paths, with vectors. */

const IDENTITY = identityFromPrivateKey(`0x${'00'.repeat(31)}01`);
const KEY = Buffer.alloc(32, 7);
const LINK: ShareLink = { id: 'abcdefgh', issuedAt: 1_800_000_000, until: 1_800_007_200, path: '/demo' };
const SCOPE = { hostname: 'web.relay.example', service: 'web', settings: 'c2V0dGluZ3M' };
const NOW = LINK.issuedAt * 1_000;

const CHECK: CookieCheck = { key: KEY, scope: SCOPE, mayBeOpen: () => true };

const tokenOf = (link: ShareLink, scope = SCOPE): string =>
  shareToken(link, IDENTITY.sign(shareMessage(link, scope)));

describe('a link', () => {
  it('has a token that anyone can verify with the address of the identity', () => {
    expect(shareMessage(LINK, SCOPE)).toBe(
      'Portal share link\n["abcdefgh",1800000000,1800007200,"/demo","web.relay.example","web","c2V0dGluZ3M"]',
    );
    const token = tokenOf(LINK);
    expect(token).toBe(
      'abcdefgh.1800000000.1800007200.L2RlbW8.PcjEapwWi5cL9cg04-MBzqJPX6sUAiTF4gzxo_uPN-5TD2WaRYr55ttRZrt1LPtihVJHrfLBJmQ6zZMgPcNnNRs',
    );
    const { link, signature } = readToken(token)!;
    expect(link).toEqual(LINK);
    expect(recoverAddress(shareMessage(link, SCOPE), signature)).toBe(IDENTITY.address);
  });

  it('belongs to the settings of the gates that it passes', () => {
    const shares = new Shares(IDENTITY);
    const settings = (access: AccessSpec): string | undefined => shares.settingsOf(access);
    expect(settings({})).toBeUndefined();
    expect(settings({ pin: '1234', sharing: false })).toBeUndefined();
    expect(settings({ basic: { alice: 'a' } })).toBeUndefined();
    // HMAC-SHA256 with the secret for share links of the identity.
    expect(settings({ pin: '1234' })).toBe('VAfOZXl4cPuNGVQyeSwBC2YAzgkIcWnZRJ3dPlbJg9w');
    expect(settings({ pin: '1234', allowIps: ['10.0.0.1'], basic: { alice: 'a' } })).toBe(
      'VAfOZXl4cPuNGVQyeSwBC2YAzgkIcWnZRJ3dPlbJg9w',
    );
    expect(settings({ pin: '1234', basic: { alice: 'a' }, sharing: true })).toBe(
      'geDCce6FLBD4PpYbWCVsH20nS-5r_r666b2mVK5_LIY',
    );
  });

  it.each([
    ['hostname', LINK, { ...SCOPE, hostname: 'api.relay.example' }],
    ['service', LINK, { ...SCOPE, service: 'api' }],
    ['settings', LINK, { ...SCOPE, settings: 'b3RoZXI' }],
    ['path', { ...LINK, path: '/' }, SCOPE],
    ['time', { ...LINK, until: LINK.until + 1 }, SCOPE],
    ['time of issue', { ...LINK, issuedAt: LINK.issuedAt + 1 }, SCOPE],
    ['id', { ...LINK, id: 'abcdefg2' }, SCOPE],
  ])('is not valid with another %s', (_what, link, scope) => {
    const { signature } = readToken(tokenOf(LINK))!;
    expect(recoverAddress(shareMessage(link, scope), signature)).not.toBe(IDENTITY.address);
    const cookie = shareCookie(KEY, LINK, SCOPE, NOW).split(';', 1)[0]!;
    const [, proof] = /\.([^.]*)$/.exec(cookie)!;
    const changed = shareCookie(KEY, link, SCOPE, NOW)
      .split(';', 1)[0]!
      .replace(/[^.]*$/, proof!);
    expect(linksIn(changed, { ...CHECK, scope })).toEqual([]);
  });

  it.each([
    '',
    'abc',
    'a.b.c.d.e',
    `${tokenOf(LINK)}x`,
    tokenOf(LINK).slice(0, -1),
    tokenOf(LINK).replace('abcdefgh', 'ABCDEFGH'),
  ])('cannot be read from %j', (token) => {
    expect(readToken(token)).toBeUndefined();
  });

  it('cannot name a path with several interpretations', () => {
    const encoded = Buffer.from('/demo/../admin').toString('base64url');
    expect(readToken(tokenOf(LINK).replace(/(?<=\.)[\w-]{7}(?=\.)/, encoded))).toBeUndefined();
  });
});

describe('the cookie of a link', () => {
  it('is limited to its path and time, and signed', () => {
    expect(shareCookie(KEY, LINK, SCOPE, NOW)).toBe(
      '__Secure-portal-share=abcdefgh.1800000000.1800007200.L2RlbW8.lWI1RFw4NnfUtRJxBGxJTKPu19xUplMlc9t4tTonTsI; Path=/demo; Max-Age=7200; Secure; HttpOnly; SameSite=Lax',
    );
    const cookie = shareCookie(KEY, LINK, SCOPE, NOW).split(';', 1)[0]!;
    expect(linksIn(`theme=dark; ${cookie}; a=b`, CHECK)).toEqual([LINK]);
    expect(linksIn(cookie, { ...CHECK, key: Buffer.alloc(32, 8) })).toEqual([]);
    expect(linksIn(`x${cookie}`, CHECK)).toEqual([]);
    expect(linksIn(`__Secure-portal-share=${tokenOf(LINK)}`, CHECK)).toEqual([]);
  });

  it('of each link counts if there are several', () => {
    const other = { ...LINK, id: 'bcdefgha', path: '/other' };
    const cookies = [LINK, other].map((link) => shareCookie(KEY, link, SCOPE, NOW).split(';', 1)[0]!);
    expect(linksIn(cookies.join('; '), CHECK)).toEqual([LINK, other]);
  });
});

const forged = (i: number): string =>
  `__Secure-portal-share=${String(i)
    .padStart(8, 'a')
    .replace(/[0189]/g, 'b')}.1.99999999999.${Buffer.from('/demo').toString('base64url')}.${'A'.repeat(43)}`;

describe('forged cookies of links', () => {
  it('cost few signatures, however many a visitor sends', () => {
    const asked: string[] = [];
    const cookies = Array.from({ length: 300 }, (_, i) => forged(i)).join('; ');
    const check = { ...CHECK, mayBeOpen: ({ id }: ShareLink) => asked.push(id) > 0 };
    expect(linksIn(cookies, check)).toEqual([]);
    expect(asked).toHaveLength(8);
  });

  it('cost no signature if the link may not be open, or the proof has another length', () => {
    const cookie = shareCookie(KEY, LINK, SCOPE, NOW).split(';', 1)[0]!;
    expect(linksIn(cookie, { ...CHECK, mayBeOpen: () => false })).toEqual([]);
    const asked: string[] = [];
    const check = { ...CHECK, mayBeOpen: ({ id }: ShareLink) => asked.push(id) > 0 };
    expect(linksIn(`${cookie}A`, check)).toEqual([]);
    expect(asked).toEqual([]);
  });
});

describe('the path of a link', () => {
  it.each([
    ['/', '/'],
    ['/demo', '/demo'],
    ['/demo/', '/demo'],
    ['/a/b.c/~d', '/a/b.c/~d'],
  ])('%s is %s', (text, path) => {
    expect(linkPath(text)).toBe(path);
  });

  it.each([
    '',
    'demo',
    '//demo',
    '/a//b',
    '/a/../b',
    '/a/.',
    '/a%2fb',
    '/a;b',
    '/a?b',
    '/a#b',
    '/a b',
    '/a\\b',
    '/ü',
    `/${'x'.repeat(600)}`,
    `${'/'.repeat(511)}x`,
  ])('%j is rejected', (text) => {
    expect(linkPath(text)).toBeUndefined();
  });

  it.each([
    '/demo',
    '/demo/',
    '/demo?x=/../admin',
    '/demo/x/y',
    '/demo/a%20b',
    '/demo/100%25',
    '/demo/50%2525',
    '/demo//x',
    '/demo/v1..v2',
    '/demo/wait...',
    '/demo/.well-known/x.',
    '/demo/k%C5%AF%C5%88',
    '/demo/k\u00c5\u00af',
    '/demo/%F0%9F%98%80',
    '/demo/%E6%97%A5%E6%9C%AC.pdf',
    '/demo/e%CC%81t%C3%A9..v2',
  ])('includes %s', (target) => {
    expect(isWithin(target, '/demo')).toBe(true);
  });

  it.each([
    '/',
    '/demo2',
    '/dem',
    '/DEMO',
    '/admin',
    '/demo/../admin',
    '/demo/./../admin',
    '/demo/%2e%2e/admin',
    '/demo/%2E./admin',
    '/demo/..%2fadmin',
    '/demo/..%5cadmin',
    '/demo/..\\admin',
    '/demo/..;/admin',
    '/demo/%252e%252e/admin',
    '/demo/%25252e%25252e%25252fadmin',
    '/demo%2f..%2fadmin',
    '/demo/..',
    '//demo/x',
    '/x/../demo',
    '/%64emo2',
    '/demo;x/../../admin',
    // Some targets drop or convert what these contain, and a dot segment remains.
    '/demo/a;v=1',
    '/demo/%3b/x',
    '/demo/a\\b',
    '/demo/a%5Cb',
    '/demo/.%09./admin',
    '/demo/..%00/admin',
    '/demo/.%0d%0a./admin',
    '/demo/a%7fb',
    '/demo/%2509',
    '/demo/%u002e%u002e/admin',
    '/demo/%25u002e%25u002e%25u2215admin',
    '/demo/%c0%ae%c0%ae/admin',
    '/demo/..%c0%afadmin',
    '/demo/%e0%80%ae%e0%80%ae%e0%80%afadmin',
    '/demo/\u00c0\u00ae\u00c0\u00ae/admin',
    '/demo/%ff',
    '/demo/...',
    '/demo/.../admin',
    '/demo/..%20/admin',
    '/demo/..%20./admin',
    '/demo/%20../admin',
    '/demo/.%20',
    '/demo/..%C2%A0/admin',
    '/demo/%EF%BC%8E%EF%BC%8E/admin',
    '/demo/%E2%80%A5/admin',
    '/demo/..%EF%BC%8Fadmin',
    '/demo/..%E2%88%95admin',
    '/demo/..%C2%A5admin',
    '/demo/..%EF%BC%BCadmin',
    '/demo/.%E2%80%8B./admin',
    '/demo/.%C2%AD./admin',
    '/demo/.%EF%B8%8F./admin',
    '/demo/.%CD%8F./admin',
    '/demo/.%E1%A0%8B./admin',
    '/demo/.%F3%A0%84%80./admin',
    '/demo/.%CC%81./admin',
    '/demo/..%CC%81/admin',
    '/demo/%E3%85%A4../admin',
    '/demo/.%E3%85%A4./admin',
    '/demo/.%C3%A9./admin',
    '/demo/%C3%A9../admin',
    '/demo/%F0%9F%98%80../admin',
    '/demo/%E6%97%A5/%E6%9C%AC.',
    '/demo/..%3a/admin',
    '/demo/%',
    '/demo/%2',
    '/demo/%zz',
    '*',
    'demo',
  ])('does not include %s', (target) => {
    expect(isWithin(target, '/demo')).toBe(false);
  });

  it('/ includes every path', () => {
    for (const target of ['/any/path?x', '/a/..%2f..', '/a;b', '/%'])
      expect(isWithin(target, '/')).toBe(true);
    expect(isWithin('*', '/')).toBe(false);
  });
});

describe('the parameter of a link', () => {
  it('is removed from a target', () => {
    expect(tokenIn('/demo?portal-share=abc')).toEqual({ token: 'abc', clean: '/demo' });
    expect(tokenIn('/demo?a=1&portal-share=abc&b=2')).toEqual({ token: 'abc', clean: '/demo?a=1&b=2' });
    expect(tokenIn('/demo?portal-share=a&portal-share=b')).toEqual({ token: 'a', clean: '/demo' });
    expect(tokenIn('/demo?xportal-share=a')).toBeUndefined();
    expect(tokenIn('/portal-share=a')).toBeUndefined();
  });

  it('is hidden from people', () => {
    expect(withoutToken('/demo?a=1&portal-share=abc.d_e-f&b=2')).toBe('/demo?a=1&portal-share=***&b=2');
    expect(withoutToken('https://web.example/?portal-share=abc#x')).toBe(
      'https://web.example/?portal-share=***#x',
    );
    expect(withoutToken('/demo?a=1')).toBe('/demo?a=1');
  });
});
