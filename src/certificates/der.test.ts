import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bits, der, oid, sequence, TAG, time, valuesIn } from './der.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('DER', () => {
  it.each([
    [0, '0400'],
    [127, '047f'],
    [128, '048180'],
    [255, '0481ff'],
    [256, '04820100'],
    [65_531, '0482fffb'],
  ])('writes a length of %i bytes in the shortest form', (length, header) => {
    const value = der(TAG.octetString, Buffer.alloc(length));
    expect(hex(value.subarray(0, value.length - length))).toBe(header);
    expect(valuesIn(sequence(value))).toStrictEqual([value]);
  });

  it.each([
    ['1.2.840.10045.4.3.2', '06082a8648ce3d040302'],
    ['2.5.29.17', '0603551d11'],
    ['1.3.6.1.5.5.7.3.1', '06082b06010505070301'],
  ])('writes the object identifier %s', (dotted, bytes) => expect(hex(oid(dotted))).toBe(bytes));

  it.each([
    ['2049-12-31T23:59:59Z', TAG.utcTime, '491231235959Z'],
    ['2050-01-01T00:00:00Z', TAG.generalizedTime, '20500101000000Z'],
  ])('writes the time %s as a certificate has it', (date, tag, text) =>
    expect(time(new Date(date))).toStrictEqual(der(tag, Buffer.from(text))),
  );

  it('writes a bit string of whole bytes', () =>
    expect(hex(bits(Buffer.from('ff', 'hex')))).toBe('030200ff'));

  it('finds the values inside another one', () => {
    const values = [der(TAG.integer, Buffer.from([1])), der(TAG.octetString, Buffer.alloc(300))];
    expect(valuesIn(sequence(...values))).toStrictEqual(values);
  });

  it.each(['30', '3003', '300204', '30020405', '3080', '3084000000', '30000000'])(
    'rejects the malformed value %s',
    (bytes) => expect(() => valuesIn(Buffer.from(bytes, 'hex'))).toThrow(RangeError),
  );

  it('finds the parts of a certificate', () => {
    const certificate = new X509Certificate(EXAMPLE);
    const [unsigned, algorithm, signature, ...rest] = valuesIn(certificate.raw);
    expect(rest).toStrictEqual([]);
    expect(valuesIn(unsigned!)[2]).toStrictEqual(algorithm);
    expect(signature![0]).toBe(TAG.bitString);
  });
});

/** Self-signed, made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=example -days 36500`. */
const EXAMPLE = `-----BEGIN CERTIFICATE-----
MIIBfDCCASGgAwIBAgIULxAW3p+kmRh+FieATB8BoMSken4wCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNjExMzAxOTUyMjNaGA8yMTI2MTEwNjE5
NTIyM1owEjEQMA4GA1UEAwwHZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABBmxfbP5zUUFQPRb16Sr4fnpmF2fozcn1tNZW7CNGEej1V9ryVOKIfFs1YV8
Obe/lt3HISi5arFunzCvynfufe2jUzBRMB0GA1UdDgQWBBQ+KlsZ6TuTgqvaDt6J
WTKNsSCjDjAfBgNVHSMEGDAWgBQ+KlsZ6TuTgqvaDt6JWTKNsSCjDjAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCW8QNl1vfNjU3JajGvFK3fgXKQ
mNVglcAwlHHAuUUH7wIhAKPCpn9f0ZBxzkZlpGuQdbzzN2kjzjB4huVKFowcfaAA
-----END CERTIFICATE-----`;
