import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alpnList,
  buildClientHello,
  captureClientHello,
  intoRecords,
  outOfRecords,
  serverNames,
  vector,
} from '../../../test/support/client-hello.js';
import captured from '../../../test/fixtures/client-hellos.json' with { type: 'json' };
import { MAX_CLIENT_HELLO_BYTES, MAX_HANDSHAKE_BYTES, MAX_RECORDS, readClientHello } from './client-hello.js';

const hello = (parts?: Parameters<typeof buildClientHello>[0]) =>
  readClientHello(intoRecords(buildClientHello(parts)));
const named = (serverName: string) => hello({ serverName });
const withNameList = (data: Buffer) => hello({ extensions: [{ type: 0, data }] });

describe("hellos of Node's own TLS client", () => {
  const cases = [
    {
      what: 'with SNI and ALPN',
      options: { servername: 'web.localhost', ALPNProtocols: ['h2', 'http/1.1'] },
    },
    { what: 'with SNI alone', options: { servername: 'Web.Example.COM' } },
    { what: 'without SNI', options: {} },
    {
      what: 'for a certificate challenge',
      options: { servername: 'a.example', ALPNProtocols: ['acme-tls/1'] },
    },
    { what: 'of TLS 1.2', options: { servername: 'old.example', maxVersion: 'TLSv1.2' as const } },
  ];

  for (const { what, options } of cases) {
    const verdict = {
      kind: 'hello',
      ...(options.servername === undefined ? {} : { serverName: options.servername.toLowerCase() }),
      alpn: options.ALPNProtocols ?? [],
    };

    it(`${what}: is read`, async () => {
      expect(readClientHello(await captureClientHello(options))).toStrictEqual(verdict);
    });

    it(`${what}: every prefix requests more bytes, and only bytes that it needs`, async () => {
      const bytes = await captureClientHello(options);
      for (let length = 0; length < bytes.length; length++) {
        const prefix = readClientHello(bytes.subarray(0, length));
        const asked = prefix.kind === 'need' ? prefix.bytes : Number.NaN;
        expect(asked, `${length} bytes`).toBeGreaterThan(length);
        expect(asked).toBeLessThanOrEqual(bytes.length);
      }
    });

    it(`${what}: the same verdict over many records`, async () => {
      const handshake = outOfRecords(await captureClientHello(options));
      for (const sizes of [
        [1, 2, 3, 100],
        [3, 1, 64],
        [4, 64],
        [handshake.length - 1, 1],
        [Math.ceil(handshake.length / MAX_RECORDS)],
      ]) {
        const records = intoRecords(handshake, sizes);
        expect(readClientHello(records)).toStrictEqual(verdict);
        expect(readClientHello(records.subarray(0, -1))).toStrictEqual({
          kind: 'need',
          bytes: records.length,
        });
      }
    });
  }

  it('reads a hello that is larger than one record', async () => {
    const ALPNProtocols = Array.from({ length: 120 }, (_, i) => `p${i}-`.padEnd(250, 'x'));
    const bytes = await captureClientHello({ servername: 'big.example', ALPNProtocols });
    expect(bytes.length).toBeGreaterThan(30_000);
    expect(readClientHello(bytes)).toStrictEqual({
      kind: 'hello',
      serverName: 'big.example',
      alpn: ALPNProtocols,
    });
  });
});

describe('hellos of other TLS clients, as captured', () => {
  it.each(captured)('$client', ({ hex, serverName, alpn }) => {
    expect(readClientHello(Buffer.from(hex, 'hex'))).toStrictEqual({
      kind: 'hello',
      ...(serverName === null ? {} : { serverName }),
      alpn,
    });
  });
});

describe('bytes that are not TLS', () => {
  it.each(['G', 'P', 'CONNECT x', '\x15\x03\x03', '\x80\x2e\x01', '\x00', 'SSH-2.0-'])(
    '%j: recognised from the first bytes',
    (text) => {
      expect(readClientHello(Buffer.from(text, 'latin1'))).toStrictEqual({ kind: 'not-tls' });
    },
  );

  it('a first byte that looks like TLS is decided by the second', () => {
    expect(readClientHello(Buffer.from([22]))).toStrictEqual({ kind: 'need', bytes: 2 });
    expect(readClientHello(Buffer.from([22, 2]))).toStrictEqual({ kind: 'not-tls' });
  });

  it('an empty buffer requests one byte', () => {
    expect(readClientHello(Buffer.alloc(0))).toStrictEqual({ kind: 'need', bytes: 1 });
  });
});

describe('records', () => {
  const whole = intoRecords(buildClientHello({ serverName: 'a.example' }));

  it.each([
    ['empty', [22, 3, 1, 0, 0], 'has an empty record'],
    ['over 16 KB', [22, 3, 1, 0x40, 1], 'has a record of more than 16 KB'],
    ['of another handshake message', [22, 3, 3, 0, 4, 2, 0, 0, 0], 'is another handshake message'],
    ['announcing more than 64 KB', [22, 3, 3, 0, 4, 1, 1, 0, 0], 'is larger than 64 KB'],
    [
      'of another kind in between',
      [22, 3, 1, 0, 1, 1, 20, 3, 3, 0, 1],
      'is interrupted by another kind of record',
    ],
  ])('%s: invalid', (_what, bytes, reason) => {
    expect(readClientHello(Buffer.from(bytes))).toStrictEqual({ kind: 'invalid', reason });
  });

  it('ignores the minor version of a record', () => {
    for (const minor of [0, 3, 4, 255]) {
      const bytes = Buffer.from(whole);
      bytes[2] = minor;
      expect(readClientHello(bytes)).toMatchObject({ kind: 'hello' });
    }
  });

  it(`accepts up to ${MAX_RECORDS} records, and no more`, () => {
    const padding = { type: 21, data: Buffer.alloc(200) };
    const handshake = buildClientHello({ serverName: 'a.example', extensions: [padding] });
    const fits = Math.ceil(handshake.length / MAX_RECORDS);
    expect(readClientHello(intoRecords(handshake, [fits]))).toMatchObject({ kind: 'hello' });
    expect(
      readClientHello(intoRecords(handshake, [...Array<number>(MAX_RECORDS).fill(1), 2 ** 14])),
    ).toStrictEqual({
      kind: 'invalid',
      reason: `is spread over more than ${MAX_RECORDS} records`,
    });
  });

  it('reads the largest hello within the buffer limit', () => {
    const empty = buildClientHello({ extensions: [{ type: 21, data: Buffer.alloc(0) }] }).length;
    const data = Buffer.alloc(MAX_HANDSHAKE_BYTES - empty);
    const handshake = buildClientHello({ extensions: [{ type: 21, data }] });
    const records = intoRecords(handshake, [MAX_HANDSHAKE_BYTES / MAX_RECORDS]);
    expect(readClientHello(records)).toStrictEqual({ kind: 'hello', alpn: [] });
    expect(records.length).toBe(MAX_CLIENT_HELLO_BYTES);
  });
});

describe('the body', () => {
  it('may have no extensions, as in TLS 1.2', () => {
    const handshake = buildClientHello();
    const body = handshake.subarray(4, -2);
    const bare = Buffer.concat([Buffer.from([1]), vector(3, body)]);
    expect(readClientHello(intoRecords(bare))).toStrictEqual({ kind: 'hello', alpn: [] });
  });

  it('truncated anywhere, with fitting outer lengths: never a hello', () => {
    const body = buildClientHello({ serverName: 'a.example', alpn: ['h2'] }).subarray(4);
    const withoutExtensions = buildClientHello().length - 4 - 2;
    for (let length = 0; length < body.length; length++) {
      if (length === withoutExtensions) continue; // a hello of an older TLS, which may end here
      const cut = Buffer.concat([Buffer.from([1]), vector(3, body.subarray(0, length))]);
      expect(readClientHello(intoRecords(cut)), `cut at ${length}`).toMatchObject({ kind: 'invalid' });
    }
  });

  it.each([
    ['a long session id', { sessionId: Buffer.alloc(33) }, 'has a session id of more than 32 bytes'],
    ['no cipher suites', { cipherSuites: [] }, 'has a malformed list of cipher suites'],
  ])('%s: invalid', (_what, parts, reason) => {
    expect(hello(parts)).toStrictEqual({ kind: 'invalid', reason });
  });

  it('a duplicate extension is invalid, GREASE and unknown types included', () => {
    for (const type of [0x0a0a, 16, 4711]) {
      const data = alpnList(['h2']);
      expect(
        hello({
          extensions: [
            { type, data },
            { type, data },
          ],
        }),
      ).toStrictEqual({
        kind: 'invalid',
        reason: 'has a duplicate extension',
      });
    }
  });

  it('more extensions than the limit: invalid', () => {
    const extensions = Array.from({ length: 129 }, (_, i) => ({ type: 1000 + i, data: Buffer.alloc(0) }));
    expect(hello({ extensions })).toStrictEqual({ kind: 'invalid', reason: 'has more than 128 extensions' });
    expect(hello({ extensions: extensions.slice(1) })).toMatchObject({ kind: 'hello' });
  });

  it('skips unknown extensions, GREASE and ECH, and reads the outer name', () => {
    const extensions = [0x0a0a, 0xfe0d, 4711].map((type) => ({ type, data: Buffer.from([1, 2, 3]) }));
    expect(hello({ extensions, serverName: 'outer.example', alpn: ['h2'] })).toStrictEqual({
      kind: 'hello',
      serverName: 'outer.example',
      alpn: ['h2'],
    });
  });

  it.each([
    ['no list', Buffer.alloc(0)],
    ['an empty list', vector(2, Buffer.alloc(0))],
    ['an empty protocol', alpnList(['h2', ''])],
    ['a protocol longer than the list', vector(2, Buffer.from([5, 1]))],
    ['bytes after the list', Buffer.concat([alpnList(['h2']), Buffer.from([0])])],
  ])('ALPN with %s: invalid', (_what, data) => {
    expect(hello({ extensions: [{ type: 16, data }] })).toStrictEqual({
      kind: 'invalid',
      reason: 'has a malformed ALPN list',
    });
  });
});

describe('the server name', () => {
  it.each([
    ['Web.LocalHost', 'web.localhost'],
    ['a.example.', 'a.example'],
    ['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'],
    ['my_app.example', 'my_app.example'],
    ['localhost', 'localhost'],
    ['1.2.3.4.example', '1.2.3.4.example'],
    ['app.v2', 'app.v2'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
    [`${'abc.'.repeat(63)}d`, `${'abc.'.repeat(63)}d`],
  ])('%s is %s', (sent, serverName) => {
    expect(named(sent)).toStrictEqual({ kind: 'hello', serverName, alpn: [] });
  });

  it.each(['127.0.0.1', '::1', '2001:db8::7', '::ffff:192.0.2.1'])(
    '%s is an address: the server name is absent',
    (literal) => {
      expect(named(literal)).toStrictEqual({ kind: 'hello', alpn: [] });
    },
  );

  it.each([
    '',
    '.',
    'a..b',
    '.a',
    'a..',
    '-a.example',
    'a-.example',
    'a b',
    'a\0b',
    'caf\xe9.example',
    '*.example',
    '[::1]',
    'a.example:443',
    `${'a'.repeat(64)}.example`,
    `${'abc.'.repeat(63)}de`,
  ])('%j: invalid', (name) => {
    expect(named(name)).toStrictEqual({ kind: 'invalid', reason: 'names a host that is not a DNS name' });
  });

  it('skips other name types next to it', () => {
    expect(withNameList(serverNames([9, 'anything'], [0, 'a.example']))).toMatchObject({
      serverName: 'a.example',
    });
    expect(withNameList(serverNames([9, 'anything']))).toStrictEqual({ kind: 'hello', alpn: [] });
  });

  it('two hosts: invalid, even if one is an IP literal', () => {
    for (const first of ['a.example', '127.0.0.1']) {
      expect(withNameList(serverNames([0, first], [0, 'b.example']))).toStrictEqual({
        kind: 'invalid',
        reason: 'names two hosts',
      });
    }
  });

  it.each([
    ['no list', Buffer.alloc(0)],
    ['an empty list', vector(2, Buffer.alloc(0))],
    ['a name longer than the list', vector(2, Buffer.from([0, 0, 9, 0x61]))],
    ['half an entry', vector(2, Buffer.from([0, 0]))],
    ['bytes after the list', Buffer.concat([serverNames([0, 'a.example']), Buffer.from([0])])],
  ])('%s: invalid', (_what, data) => {
    expect(withNameList(data)).toStrictEqual({ kind: 'invalid', reason: 'has a malformed server name' });
  });
});

describe('properties', () => {
  /** Bytes that pass the first checks more often than random bytes do. */
  const almostTls = fc
    .tuple(fc.uint8Array({ maxLength: 400 }), fc.nat(400), fc.constantFrom(0, 1, 2))
    .map(([noise, size, depth]) => {
      const head = [
        [],
        [22, 3, 1, size >> 8, size & 0xff],
        [22, 3, 1, size >> 8, size & 0xff, 1, 0, size >> 8, size & 0xff],
      ];
      return Buffer.concat([Buffer.from(head[depth]!), noise]);
    });

  it('never throws for arbitrary bytes; `need` is exact and limited, and any other verdict is final', () => {
    fc.assert(
      fc.property(almostTls, fc.uint8Array({ maxLength: 64 }), (bytes, more) => {
        const verdict = readClientHello(bytes);
        const unchangedBelow = verdict.kind === 'need' ? verdict.bytes : Infinity;
        const asked = verdict.kind === 'need' ? verdict.bytes : MAX_CLIENT_HELLO_BYTES;
        expect(unchangedBelow).toBeGreaterThan(bytes.length);
        expect(asked).toBeLessThanOrEqual(MAX_CLIENT_HELLO_BYTES);
        const later = Buffer.concat([bytes, more]).subarray(0, unchangedBelow - 1);
        expect(readClientHello(later)).toStrictEqual(verdict);
      }),
      { numRuns: 2000 },
    );
  });

  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
  const domain = fc.tuple(fc.array(label, { maxLength: 4 }), fc.constantFrom('example', 'localhost', 'test'));
  const parts = fc.record({
    serverName: fc.option(
      domain.map(([labels, top]) => [...labels, top].join('.')),
      { nil: undefined },
    ),
    alpn: fc.option(
      fc.array(fc.string({ minLength: 1, maxLength: 20, unit: 'binary-ascii' }), {
        minLength: 1,
        maxLength: 5,
      }),
      {
        nil: undefined,
      },
    ),
    sessionId: fc.uint8Array({ maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    cipherSuites: fc.array(fc.nat(0xffff), { minLength: 1, maxLength: 40 }),
    extensions: fc.uniqueArray(
      fc.record({
        type: fc.integer({ min: 17, max: 0xffff }),
        data: fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)),
      }),
      { selector: (extension) => extension.type, maxLength: 10 },
    ),
  });

  it('reads back every generated hello, however it is split into records', () => {
    fc.assert(
      fc.property(parts, fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 20 }), (given, sizes) => {
        const records = intoRecords(buildClientHello(given), [...sizes, 2 ** 14]);
        expect(readClientHello(records)).toStrictEqual({
          kind: 'hello',
          ...(given.serverName === undefined ? {} : { serverName: given.serverName }),
          alpn: given.alpn ?? [],
        });
      }),
    );
  });
});
