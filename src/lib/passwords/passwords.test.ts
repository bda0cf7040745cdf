import { describe, expect, it } from 'vitest';
import { hashProblem } from './hash.js';
import { PasswordWorker } from './worker.js';

const worker = new PasswordWorker();
const BCRYPT = '$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const argon2 = (parameters: string, name = 'argon2id'): string =>
  `$${name}$v=19$${parameters}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc`;

describe('verification of a password', () => {
  it.each([
    // https://github.com/P-H-C/phc-winner-argon2, src/test.c
    ['argon2id', 'password', argon2('m=65536,t=2,p=1')],
    [
      'argon2id with two lanes',
      'password',
      '$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc',
    ],
    // https://www.openwall.com/crypt, crypt_blowfish, wrapper.c
    ['bcrypt', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    [
      'bcrypt of more than 72 bytes, which it ignores',
      '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored',
      '$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui',
    ],
  ])('agrees with the published vector of %s', async (_what, password, hash) => {
    expect(hashProblem(hash)).toBeUndefined();
    expect(await worker.verify(password, hash)).toBe(true);
    expect(await worker.verify(`x${password}`, hash)).toBe(false);
    expect(await worker.verify('', hash)).toBe(false);
  });

  it.each(['argon2id', 'bcrypt'] as const)(
    'accepts a new hash with %s, in either form of Unicode',
    async (algorithm) => {
      const hash = await worker.hash('kůň', algorithm);
      expect(hashProblem(hash)).toBeUndefined();
      expect(await worker.hash('kůň', algorithm)).not.toBe(hash);
      expect(await worker.verify('kůň'.normalize('NFD'), hash)).toBe(true);
      expect(await worker.verify('kun', hash)).toBe(false);
    },
  );

  it('rejects more than a number of hashes at once', async () => {
    const hash = argon2('m=8,t=1,p=1');
    const all = await Promise.all(Array.from({ length: 70 }, () => worker.verify('wrong', hash)));
    expect(all.filter((each) => each === 'busy')).toHaveLength(5);
    expect(all.filter((each) => each === false)).toHaveLength(65);
  });
});

describe('a text that is no usable hash', () => {
  it.each([
    ['secret', 'is not the hash of a password'],
    ['', 'is not the hash of a password'],
    ['{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'does not support: it needs argon2id or bcrypt'],
    ['$apr1$abc$def', 'does not support: it needs argon2id or bcrypt'],
    [argon2('m=65536,t=2,p=1', 'argon2i'), 'does not support: it needs argon2id or bcrypt'],
    [BCRYPT.replace('$2b', '$2x'), 'does not support: it needs argon2id or bcrypt'],
    // What a shell leaves of a hash in double quotes.
    [argon2('m=65536,t=2,p=1').replaceAll(/\$\w+/g, ''), 'is an incomplete hash'],
    [BCRYPT.slice(0, -1), 'is an incomplete hash'],
    [`${BCRYPT} `, 'is an incomplete hash'],
    [BCRYPT.replace('$12', '$15'), 'it has a cost of 15, and the limit is 14'],
    [BCRYPT.replace('$12', '$03'), 'the cost of bcrypt is at least 4'],
    [argon2('m=65537,t=2,p=1'), 'it has 65537 KiB of memory, and the limit is 65536'],
    [argon2('m=65536,t=11,p=1'), 'it has 11 passes, and the limit is 10'],
    [argon2('m=65536,t=1,p=17'), 'it has 17 lanes, and the limit is 16'],
    [argon2('m=8,t=1,p=2'), 'argon2id needs 8 KiB of memory for each lane'],
    [argon2('m=99999999999,t=1,p=1'), 'is an incomplete hash'],
  ])('%s has a message', (text, message) => {
    expect(hashProblem(text)?.message).toContain(message);
  });

  it('is not repeated in the message', () => {
    for (const text of ['secret-123', BCRYPT.slice(1), BCRYPT.replace('$12', '$15')])
      expect(JSON.stringify(hashProblem(text))).not.toContain(text.slice(0, 6));
  });
});
