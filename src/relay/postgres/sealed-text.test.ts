import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { SealedText } from './sealed-text.js';

it('opens a text with the key and the name that it was sealed with, and no other', () => {
  const sealed = new SealedText(randomBytes(32));
  const text = sealed.seal('a.pem', 'secret');
  expect(sealed.open('a.pem', text)).toBe('secret');
  expect(text).not.toContain('secret');
  expect(sealed.seal('a.pem', 'secret')).not.toBe(text);
  expect(sealed.open('b.pem', text)).toBeUndefined();
  expect(new SealedText(randomBytes(32)).open('a.pem', text)).toBeUndefined();
  for (const broken of ['', 'AAAA', text.slice(0, -4), `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`])
    expect(sealed.open('a.pem', broken)).toBeUndefined();
});
