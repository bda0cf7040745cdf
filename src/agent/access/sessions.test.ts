import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { PIN_COOKIE, USER_COOKIE, withoutSession } from './cookies.js';
import { Sessions } from './sessions.js';

const KEY = randomBytes(32);
const NOW = Date.parse('2026-03-01T12:00:00Z');
const DAY = 24 * 3_600_000;
const admitted = { hostname: 'app.example.com', settings: '1234' };
const cookieOf = (header: string): string => header.split(';', 1)[0]!;

describe('a session', () => {
  const header = new Sessions(KEY, PIN_COOKIE).begin(admitted, NOW);
  const cookie = cookieOf(header);
  const isValid = (cookies: string, over = {}, now = NOW, key = KEY): boolean =>
    new Sessions(key, PIN_COOKIE).isValid(cookies, { ...admitted, ...over }, now);

  it('has this value for a fixed key', () => {
    expect(new Sessions(Buffer.alloc(32, 7), PIN_COOKIE).begin(admitted, NOW)).toBe(
      '__Host-portal=1772452800.PNE-5yvkaE4lXwn9d-IFGDBX41d9bPN3sb3EpR_nrfw; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax',
    );
    const settings = { hostname: 'APP.example.com', settings: 'oidc {}' };
    const ofAccount = new Sessions(Buffer.alloc(32, 7), USER_COOKIE).begin(
      settings,
      NOW,
      '{"subject":"alice"}',
    );
    expect(cookieOf(ofAccount)).toBe(
      '__Host-portal-user=1772452800.eyJzdWJqZWN0IjoiYWxpY2UifQ.MlJ9MmkehBL_KRIBbqVAr9SaYbZSR-C5G16iUb_UB_g',
    );
  });

  it('is a host-only cookie, hidden from scripts and from plain http', () => {
    expect(header).toMatch(/^__Host-portal=[^;]+; Path=\/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax$/);
  });

  it('is valid for a day, across restarts', () => {
    expect(isValid(cookie)).toBe(true);
    expect(isValid(`a=b; ${cookie}; c=d`)).toBe(true);
    expect(isValid(cookie, {}, NOW + DAY - 1_000)).toBe(true);
    expect(isValid(cookie, {}, NOW + DAY)).toBe(false);
  });

  it('is bound to its service, its PIN and the identity', () => {
    expect(isValid(cookie, { hostname: 'shop.example.com' })).toBe(false);
    expect(isValid(cookie, { settings: '12345' })).toBe(false);
    expect(isValid(cookie, {}, NOW, randomBytes(32))).toBe(false);
  });

  it.each([
    ['nothing', ''],
    ['a later end', cookie.replace(/=(\d+)/, (_, end: string) => `=${Number(end) + 1}`)],
    ['no signature', cookie.replace(/\..*/, '.')],
    ['a cut signature', cookie.slice(0, -1)],
    ['another name', cookie.replace('__Host-portal', '__Host-portal2')],
    ['a name that ends alike', `x${cookie}`],
    ['a bare name', '__Host-portal'],
  ])('is invalid with %s', (_what, cookies) => expect(isValid(cookies)).toBe(false));

  it('is found beside an invalid cookie, because a browser may send several', () => {
    expect(isValid(`__Host-portal=1.x; ${cookie}`)).toBe(true);
  });

  it('is removed from requests to the service', () => {
    expect(withoutSession(`a=b; ${cookie}; c=d`)).toBe('a=b; c=d');
    expect(withoutSession(cookie)).toBeUndefined();
    expect(withoutSession(`__Host-portal-user=1; a=b; __Host-portal-sign-in=1`)).toBe('a=b');
    expect(withoutSession('__Host-portal-app=1')).toBe('__Host-portal-app=1');
    expect(withoutSession('a=b;c=d')).toBe('a=b;c=d');
    for (const space of ['\t', ' \t', '\u00a0', '\v', '\f', ''])
      expect(withoutSession(`a=b;${space}${cookie}${space};${space}c=d`)).toBe('a=b; c=d');
    expect(withoutSession(`${cookie}; `)).toBeUndefined();
  });
});

it('carries a signed text about the visitor', () => {
  const sessions = new Sessions(KEY, USER_COOKIE);
  const cookie = cookieOf(sessions.begin(admitted, NOW, '{"s":"k\u016F\u0148"}'));
  expect(sessions.find(cookie, admitted, NOW)).toBe('{"s":"k\u016F\u0148"}');
  const other = Buffer.from('{"s":"root"}').toString('base64url');
  expect(sessions.find(cookie.replace(/\.[\w-]+\./, `.${other}.`), admitted, NOW)).toBeUndefined();
  expect(sessions.find(cookie.replace(/\.[\w-]+\./, '.'), admitted, NOW)).toBeUndefined();
  // A session of one gate is invalid at another.
  expect(new Sessions(KEY, PIN_COOKIE).isValid(cookie, admitted, NOW)).toBe(false);
});
