import { describe, expect, it } from 'vitest';
import { accountOf, userField, type Claims } from './oidc-allow.js';

/** What the claims of an ID token and of UserInfo say about an account. */

const CEO = 'ceo@example.com';
const MALLORY = 'mallory@evil.example';
const emailOf = (idToken: Claims, userInfo?: Claims): string | undefined =>
  accountOf({ sub: 'm', ...idToken }, userInfo).email;

describe('the address of an account', () => {
  it.each<[string, Claims, Claims | undefined, string | undefined]>([
    ['the ID token alone', { email: CEO, email_verified: true }, undefined, CEO],
    ['UserInfo alone', {}, { email: CEO, email_verified: true }, CEO],
    [
      'the ID token if both have one',
      { email: CEO, email_verified: true },
      { email: MALLORY, email_verified: true },
      CEO,
    ],
    [
      'UserInfo if the ID token does not say whether it is verified',
      { email: MALLORY },
      { email: CEO, email_verified: true },
      CEO,
    ],
    [
      'UserInfo if the ID token has no address',
      { email_verified: true },
      { email: CEO, email_verified: 'true' },
      CEO,
    ],
    [
      'UserInfo if that of the ID token is null',
      { email: null, email_verified: true },
      { email: CEO, email_verified: true },
      CEO,
    ],
  ])('comes from %s', (_what, idToken, userInfo, email) => {
    expect(emailOf(idToken, userInfo)).toBe(email);
  });

  it.each<[string, Claims, Claims | undefined]>([
    ['an address of the ID token, verified by UserInfo', { email: CEO }, { email_verified: true }],
    ['an address of UserInfo, verified by the ID token', { email_verified: true }, { email: CEO }],
    [
      'an unverified address of UserInfo, beside a verification of the ID token',
      { email_verified: true },
      { email: CEO, email_verified: false },
    ],
    [
      'an unverified address of the ID token, beside another of UserInfo',
      { email: CEO, email_verified: false },
      { email: MALLORY, email_verified: true },
    ],
    ['an address without a word on verification', { email: CEO }, undefined],
  ])('is never %s', (_what, idToken, userInfo) => {
    expect(emailOf(idToken, userInfo)).toBeUndefined();
  });

  it('is that of UserInfo alone, although the ID token has another', () => {
    expect(emailOf({ email: CEO }, { email: MALLORY, email_verified: true })).toBe(MALLORY);
  });
});

const groupsOf = (idToken: Claims, userInfo?: Claims): readonly string[] =>
  accountOf({ sub: 'm', ...idToken }, userInfo).groups;

it('takes groups from the ID token, or else from UserInfo', () => {
  expect(groupsOf({ groups: ['a'] }, { groups: ['b'] })).toEqual(['a']);
  expect(groupsOf({ email: CEO, email_verified: true }, { groups: ['b', 1] })).toEqual(['b']);
  expect(groupsOf({ groups: [] }, { groups: ['b'] })).toEqual([]);
  expect(groupsOf({ groups: 'a' })).toEqual(['a']);
  expect(groupsOf({})).toEqual([]);
});

describe('the subject of an account', () => {
  it('is that of the ID token', () => {
    expect(accountOf({ sub: 'alice' }, { sub: 'alice' }).subject).toBe('alice');
  });

  it.each([
    ['absent', undefined],
    ['empty', ''],
    ['a number', 7],
    ['malformed text', 'a\ud800'],
  ])('is rejected if it is %s', (_what, sub) => {
    expect(() => accountOf({ sub })).toThrow('`sub`');
  });

  it('is rejected if UserInfo has another', () => {
    expect(() => accountOf({ sub: 'alice' }, { sub: 'bob' })).toThrow('`sub`');
  });
});

it('differs in X-Portal-User for each subject', () => {
  expect(['alice|1', 'a b', 'a%20b', 'k\u016f\u0148', 'a\r\nb'].map(userField)).toEqual([
    'alice|1',
    'a%20b',
    'a%2520b',
    'k%C5%AF%C5%88',
    'a%0D%0Ab',
  ]);
});
